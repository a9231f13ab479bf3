"""How large a zipped workbook is, before it is loaded. Reads only the data that it is given.

python-calamine needs about 32 bytes for each cell of the rectangle that a sheet spans. One cell
far from the table can make that 549 GB, and Rust aborts the process if it gets no memory. What
cannot be read here has the size 0, so that python-calamine decides about it.
"""

import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

MAX_CELLS = 32_000_000
"""Most cells that a sheet may span (*choice*): 30 columns of all rows, 1 GB."""

MAX_UNPACKED_BYTES = 2 * 1024**3
"""Most bytes that all members of a workbook may have (*choice*)."""

_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    LookupError,  # a member is missing, as in .xlsb and .ods
    RuntimeError,  # encrypted, or an unknown compression
    UnicodeError,
)
_SHEET = re.compile(rb"""<(?:\w+:)?sheet\s[^>]*?\w+:id=["']([^"']+)""")
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\s[^>]*>")
_ID = re.compile(rb"""\sId=["']([^"']+)""")
_TARGET = re.compile(rb"""\sTarget=["']([^"']+)""")
_DIMENSION = re.compile(rb"""<(?:\w+:)?dimension\s+ref=["']([A-Z]+)(\d+):([A-Z]+)(\d+)""")
_VALUE = re.compile(rb"""<(?:\w+:)?c\s(?:[^>]*?\s)?r=["']([A-Z]+)(\d+)["'][^>]*(?<!/)>""")
_CHUNK, _HEAD, _LONGEST_TAG = 1 << 20, 1 << 12, 1 << 12


def unpacked_bytes(data: IO[bytes]) -> int:
    """Return the size of all members."""
    with suppress(*_UNREADABLE), zipfile.ZipFile(data) as archive:
        return sum(member.file_size for member in archive.infolist())
    return 0


def spanned_cells(data: IO[bytes], index: int) -> int:
    """Return how many cells a sheet of .xlsx spans; if more than ``MAX_CELLS``, roughly.

    The size in the head of the sheet may also count cells that have only a format, and some
    programs state a single cell, or nothing. Then the cells with values are looked at.
    """
    with (
        suppress(*_UNREADABLE),
        zipfile.ZipFile(data) as archive,
        archive.open(_member(archive, index)) as sheet,
    ):
        stated = _stated_cells(sheet.read(_HEAD))
        if 1 < stated <= MAX_CELLS:
            return stated
        sheet.seek(0)
        return _counted_cells(sheet)
    return 0


def _member(archive: zipfile.ZipFile, index: int) -> str:
    """Return the path of a sheet in the archive; its name shows neither order nor title."""
    targets = {
        _ID.findall(relation)[0]: _TARGET.findall(relation)[0].decode()
        for relation in _RELATION.findall(archive.read("xl/_rels/workbook.xml.rels"))
    }
    target = targets[_SHEET.findall(archive.read("xl/workbook.xml"))[index]]
    return target[1:] if target.startswith("/") else f"xl/{target}"


def _stated_cells(head: bytes) -> int:
    found = _DIMENSION.search(head)
    if found is None:
        return 0
    left, top, right, bottom = found.groups()
    return (_row(bottom) - _row(top) + 1) * (_number(right) - _number(left) + 1)


def _counted_cells(sheet: IO[bytes]) -> int:
    cells = 0
    top = left = math.inf
    bottom = right = 0
    for row, column in _values(sheet):
        top, bottom = min(top, row), max(bottom, row)
        left, right = min(left, column), max(right, column)
        cells = int((bottom - top + 1) * (right - left + 1))
        if cells > MAX_CELLS:
            break
    return cells


def _values(sheet: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Yield row and column of each cell that is not empty; some of them twice."""
    text = b""
    while chunk := sheet.read(_CHUNK):
        text += chunk
        for found in _VALUE.finditer(text):
            yield _row(found[2]), _number(found[1])
        text = text[max(text.rfind(b"<"), len(text) - _LONGEST_TAG) :]


def _row(digits: bytes) -> int:
    # Rows have seven digits; a hostile file may have more, of which nine are too many cells.
    return int(digits[:9])


def _number(letters: bytes) -> int:
    """Return the number of a column.

    >>> _number(b"A"), _number(b"XFD")
    (1, 16384)
    """
    number = 0
    for letter in letters[:8]:
        number = number * 26 + letter - 64
    return number
