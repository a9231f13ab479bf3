"""Inputs of every kind, and what the reader makes of them."""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import xlsxwriter
from backports import zstd

from instantly_async.cli.exits import CommandError
from instantly_async.cli.input import InputFormat
from instantly_async.cli.input.reader import IdReader

SAMPLES = Path(__file__).parents[1] / "samples" / "inputs"

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}

Found = list[tuple[str, str]]
"""Each id, and its place, such as ``line 2``."""


def understand(
    name: str,
    pieces: bytes | Iterable[bytes],
    column: str | None = None,
    form: InputFormat | None = None,
) -> tuple[Found, dict[str, str]]:
    """Read an input; return its ids with their places, and what ``--dry-run`` says about it."""
    reader = IdReader(form, name, column)
    found = []
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        found += [(str(each), f"{each.unit} {each.line}") for each in reader.feed(piece)]
    found += [(str(each), f"{each.unit} {each.line}") for each in reader.finish()]
    return found, reader.understood.facts()


def result(
    name: str,
    pieces: bytes | Iterable[bytes],
    column: str | None = None,
    form: InputFormat | None = None,
) -> tuple[Found, dict[str, str]] | str:
    """As above; if the input is refused, return the sentence."""
    try:
        return understand(name, pieces, column, form)
    except CommandError as error:
        return str(error)


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
