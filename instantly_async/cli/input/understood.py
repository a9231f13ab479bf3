"""``Understood``: how an input is read, for the dry run."""

from dataclasses import dataclass

from instantly_async.cli.records import Noun

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
"""The delimiters of CSV that are looked for, and their names."""


@dataclass(slots=True)
class Understood:
    """How an input is read. ``None``: not known yet, or there is none.

    ``odd_lines`` were not UTF-8 and are read as Windows-1252. ``column`` is the one with the ids,
    ``first`` the first valid id, or what may be shown of an email: ``noun`` says which.
    ``missing`` says why no object of JSON has an id.
    """

    form: str | None = None
    compression: str | None = None
    encoding: str | None = "UTF-8"
    odd_lines: int = 0
    delimiter: str | None = None
    column: str | None = None
    first: str | None = None
    missing: str | None = None
    noun: Noun = "id"

    def facts(self) -> dict[str, str]:
        """Return what people may want to check, by name."""
        form = self.form or "-"
        if self.delimiter is not None:
            named = DELIMITERS.get(self.delimiter, f'"{self.delimiter}"')
            form += f", delimiter {named}"
        encoding = self.encoding
        if encoding and self.odd_lines:
            lines = "1 line" if self.odd_lines == 1 else f"{self.odd_lines:,} lines"
            encoding += f", but {lines} in Windows-1252"
        known = {
            "format": form,
            "compression": self.compression,
            "encoding": encoding,
            "column": self.column,
            f"first {self.noun}": self.first,
        }
        return {name: value for name, value in known.items() if value is not None}
