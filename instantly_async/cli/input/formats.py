"""The formats of the input, and the parsers of text and JSON Lines. Lines to ids, without I/O.

Every id carries the number of its line, so that messages can name it. A line without a usable id
still yields one (which is not a UUID), so that no line is lost silently; only comments, blank
lines and headers yield nothing.
"""

from typing import Literal, Protocol

from instantly_async.cli.exits import InputError
from instantly_async.cli.records import LineId, id_of_object

InputFormat = Literal["text", "csv", "tsv", "jsonl"]

_SUFFIXES: dict[str, InputFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


def format_of(path: str) -> InputFormat:
    """Return the format for a file's name; text if the suffix is unknown."""
    lower = path.lower()
    return next((form for end, form in _SUFFIXES.items() if lower.endswith(end)), "text")


class LineParser(Protocol):
    """Parses ids from lines, one line at a time."""

    def feed(self, line: str, number: int) -> LineId | None:
        """Return the id that this line completes; ``None``: it completes none."""

    def finish(self) -> None:
        """Raise ``InputError`` if the input ended too early."""


class TextParser:
    """One id a line; white space around it is ignored."""

    def feed(self, line: str, number: int) -> LineId | None:
        """Return the line's id; ``None`` for blank and ``#`` lines."""
        text = line.strip()
        return None if not text or text.startswith("#") else LineId(text, number)

    def finish(self) -> None:
        """Do nothing: text may end anywhere."""


class JsonLinesParser:
    """One JSON object a line, with its id under ``id``: also what ``fetch`` writes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def feed(self, line: str, number: int) -> LineId | None:
        """Return the object's ``id``, an empty one when it has none."""
        text = line.strip()
        if not text or text.startswith("#"):
            return None
        try:
            value = id_of_object(text)
        except ValueError:
            raise InputError(
                f"Line {number} of {self._name} is not a JSON object; fix it, or use "
                "--input-format to name the file's format."
            ) from None
        return LineId(value.strip() if isinstance(value, str) else "", number)

    def finish(self) -> None:
        """Do nothing: each line is complete."""
