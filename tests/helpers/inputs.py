"""Inputs of every kind, and what the reader makes of them."""

import bz2
import gzip
import io
import lzma
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import xlsxwriter

from instantly_async.cli.exits import CommandError
from instantly_async.cli.input import InputFormat
from instantly_async.cli.input.reader import IdReader
from instantly_async.cli.input.sought import IDS, Sought
from instantly_async.cli.known import KnownIds

SAMPLES = Path(__file__).parents[1] / "samples" / "inputs"

zstd = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}

Found = list[tuple[str, str]]
"""Each id, and its place, such as ``line 2``."""


class Outcome(NamedTuple):
    """What comes of an input: ids with places, what the dry run says, and why it was refused."""

    found: Found
    facts: dict[str, str]
    sentence: str | None

    @property
    def ids(self) -> list[str]:
        return [each for each, _ in self.found]


def read_input(
    name: str,
    pieces: bytes | Iterable[bytes],
    column: str | None = None,
    form: InputFormat | None = None,
    *,
    known: KnownIds | None = None,
    by: Sought = IDS,
) -> Outcome:
    reader = IdReader(form, name, column, known, by)
    found = []
    sentence = None
    try:
        for piece in [pieces] if isinstance(pieces, bytes) else pieces:
            for each in reader.feed(piece):
                found.append((str(each), f"{each.unit} {each.line}"))
        for each in reader.finish():
            found.append((str(each), f"{each.unit} {each.line}"))
    except CommandError as error:
        sentence = str(error)
    return Outcome(found, reader.understood.facts(), sentence)


def understand(
    name: str, pieces: bytes | Iterable[bytes], column: str | None = None
) -> tuple[Found, dict[str, str]]:
    """Read an input that is not refused; return its ids with their places, and the facts."""
    found, facts, sentence = read_input(name, pieces, column)
    assert sentence is None, sentence
    return found, facts


def refusal(
    name: str,
    pieces: bytes | Iterable[bytes],
    column: str | None = None,
    form: InputFormat | None = None,
    *,
    by: Sought = IDS,
) -> str:
    """Read an input that is refused; return the sentence."""
    _, _, sentence = read_input(name, pieces, column, form, by=by)
    assert sentence is not None
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def book(*sheets: Sequence[Sequence[object]]) -> bytes:
    """Return a workbook as Excel writes it; ``None`` is an empty cell."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True, "remove_timezone": True}) as workbook:
        for rows in sheets:
            sheet = workbook.add_worksheet()
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return file.getvalue()
