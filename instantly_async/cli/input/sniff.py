"""What a file is, by its first bytes, if it is not a list of ids. Pure: bytes in, a sentence out.

Each kind is one row of a table, so that a reader for it can take the row's place.
"""

import re
from typing import NamedTuple

from instantly_async.cli.records import BOM
from instantly_async.cli.system import COMPRESSIONS

SNIFFED_BYTES = 64 * 1024
"""Bytes that are looked at, at most (*choice*); a first line usually ends before."""

LEAST_BYTES = 16
"""Bytes of the longest signature, SQLite's; a line end may be among them."""

ZIP_BYTES = 64
"""Bytes of a ZIP archive that hold the name of its first file, as far as it matters."""

_ZIP = b"PK\x03\x04"
_FIRST_LINE = re.compile(rb"(?:\xef\xbb\xbf)?+(?:[ \t]*+(?:#[^\r\n]*+)?+[\r\n])*+([^\r\n]++)[\r\n]")

_OF_IDS = b"0123456789abcdefABCDEF-{}urn:uid\"'"
"""What an id may consist of, and the quotes around it."""


class Kind(NamedTuple):
    """A kind of file: the ``start`` of its bytes, what it ``is``, and the ``remedy``.

    The latter has ``{kind}`` and ``{nouns}`` in place of those of ``Sought``.
    """

    start: re.Pattern[bytes]
    is_: str
    remedy: str


def _starts(signature: bytes, is_: str, remedy: str) -> Kind:
    return Kind(re.compile(re.escape(signature)), is_, remedy)


_AS_IDS = "write its {nouns} to a text file, one per line"
_EXPORT = "export its {nouns} to a text file or to CSV"
_NAME_IDS = "name a file with {kind}"

_BINARY = (
    _starts(_ZIP, "a ZIP archive, and no workbook", "unpack it first"),
    _starts(b"PK\x05\x06", "an empty ZIP archive", _NAME_IDS),
    _starts(b"\x04\x22\x4d\x18", "compressed with lz4", "unpack it first (lz4 -dc)"),
    *(
        Kind(each.magic, f"compressed with {each.name} twice", f"unpack it first ({each.name} -dc)")
        for each in COMPRESSIONS
    ),
    Kind(re.compile(rb".{257}ustar", re.DOTALL), "a tar archive", "unpack it first (tar -xf)"),
    _starts(b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
    _starts(b"Rar!\x1a\x07", "a RAR archive", "unpack it first"),
    _starts(b"%PDF-", "a PDF document", _AS_IDS),
    _starts(b"{\\rtf", "an RTF document", "save it as plain text"),
    _starts(b"\x89PNG", "a PNG image", _NAME_IDS),
    _starts(b"\xff\xd8\xff", "a JPEG image", _NAME_IDS),
    Kind(re.compile(rb"GIF8[79]a"), "a GIF image", _NAME_IDS),
    Kind(re.compile(rb"RIFF....WEBP", re.DOTALL), "a WebP image", _NAME_IDS),
    Kind(re.compile(rb"PAR[1E]"), "a Parquet file", _EXPORT),
    _starts(b"ARROW1\0\0", "an Arrow (Feather) file", _EXPORT),
    _starts(b"ORC\n", "an ORC file", _EXPORT),
    _starts(b"Obj\x01", "an Avro file", _EXPORT),
    _starts(b"SQLite format 3\0", "an SQLite database", _EXPORT),
    _starts(b"\x89HDF\r\n\x1a\n", "an HDF5 file", _EXPORT),
    Kind(re.compile(rb"\x80[\x02-\x05][\x80-\x95()\]}cKXU]"), "a Python pickle", _EXPORT),
    _starts(b"\x7fELF", "a program", _NAME_IDS),
)

_MARKUP = (
    Kind(
        re.compile(rb"(?i)<(?:!doctype\s+html|html|head|body|title|script|table|div|p)[\s>]"),
        "an HTML page",
        f"download the file itself, or {_AS_IDS}",
    ),
    Kind(  # but not an id in angle brackets
        re.compile(rb"(?i)<(?![0-9a-f]{8})(?:\?xml|!--|!doctype|[a-z_][\w.:-]*(?:[\s>]|/>))"),
        "XML",
        _AS_IDS,
    ),
)


def head_of(data: bytes | bytearray) -> bytes | None:
    """Return the beginning that shows what an input is; ``None``: wait for more of it.

    It ends with the first line that is not blank or a comment, so a slow pipe is not held up.
    """
    least = ZIP_BYTES if data.startswith(_ZIP) else LEAST_BYTES
    has_line = b"\n" in data or b"\r" in data  # much faster than the pattern
    if has_line and len(data) >= least and (line := _FIRST_LINE.match(data, 0, SNIFFED_BYTES)):
        return bytes(data[: max(least, line.end())])
    return bytes(data[:SNIFFED_BYTES]) if len(data) >= SNIFFED_BYTES else None


def first_line_of(head: bytes) -> str:
    """Return the first line that is not blank or a comment, without its end.

    If the head ends within the line, the id that it may cut off is left out.
    """
    found = _FIRST_LINE.match(head + b"\n")
    if found is None:
        return ""
    line = found[1].rstrip(_OF_IDS) if is_cut(head) else found[1]
    return line.removeprefix(BOM).decode(errors="replace")


def is_cut(head: bytes) -> bool:
    """Whether the head ends within the first line."""
    return len(head) >= SNIFFED_BYTES and _FIRST_LINE.match(head) is None


def kind_of(head: bytes) -> Kind | None:
    """Return what an input is that begins so; ``None``: it may be a list of ids."""
    text = head.removeprefix(BOM).lstrip(b" \t\r\n")
    tables = ((head, _BINARY), (text, _MARKUP))
    return next((kind for part, kinds in tables for kind in kinds if kind.start.match(part)), None)
