"""What a file is, by its first bytes, if it is not a list of ids. Pure: bytes in, a sentence out.

Each kind is one row of a table, so that a reader for it can take the row's place.
"""

import re
from typing import NamedTuple

from instantly_async.cli.records import BOM

from .formats import InputFormat

SNIFFED_BYTES = 4096
"""Bytes that are looked at, at most (*choice*); a first line usually ends before."""

LEAST_BYTES = 16
"""Bytes of the longest signature, SQLite's; a line end may be among them."""


class Kind(NamedTuple):
    """A kind of file: the ``start`` of its bytes, what it ``is``, and the ``remedy``."""

    start: re.Pattern[bytes]
    is_: str
    remedy: str


def _starts(signature: bytes, is_: str, remedy: str) -> Kind:
    return Kind(re.compile(re.escape(signature)), is_, remedy)


def _packed(signature: bytes, program: str) -> Kind:
    return _starts(signature, f"compressed with {program}", f"unpack it first ({program} -dc)")


_AS_CSV = "save the sheet as CSV"
_AS_IDS = "write its ids to a text file, one per line"
_EXPORT = "export its ids to a text file or to CSV"
_NAME_IDS = "name a file with lead ids"

_BINARY = (
    _starts(
        b"PK\x03\x04", "a ZIP archive, as workbooks (.xlsx, .ods) are", f"{_AS_CSV}, or unpack it"
    ),
    _starts(b"PK\x05\x06", "an empty ZIP archive", _NAME_IDS),
    _starts(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office file, such as a workbook", _AS_CSV),
    _packed(b"\x1f\x8b", "gzip"),
    _packed(b"\x28\xb5\x2f\xfd", "zstd"),
    _packed(b"\xfd7zXZ\x00", "xz"),
    _packed(b"\x04\x22\x4d\x18", "lz4"),
    Kind(
        re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
        "compressed with bzip2",
        "unpack it first (bzip2 -dc)",
    ),
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

_UTF_8 = "save it as UTF-8 (iconv -f {0} -t UTF-8)"
_MARKS = (  # UTF-32 before UTF-16, whose mark its own begins with
    _starts(b"\xff\xfe\0\0", "text in UTF-32", _UTF_8.format("UTF-32")),
    _starts(b"\0\0\xfe\xff", "text in UTF-32", _UTF_8.format("UTF-32")),
    _starts(b"\xff\xfe", "text in UTF-16", _UTF_8.format("UTF-16")),
    _starts(b"\xfe\xff", "text in UTF-16", _UTF_8.format("UTF-16")),
)

_C = rb"[^\0]"
_WITHOUT_MARK = (  # ASCII, of which four characters are enough
    Kind(re.compile(rb"(?:%b\0\0\0){4}" % _C), "text in UTF-32", _UTF_8.format("UTF-32LE")),
    Kind(re.compile(rb"(?:\0\0\0%b){4}" % _C), "text in UTF-32", _UTF_8.format("UTF-32BE")),
    Kind(re.compile(rb"(?:%b\0){4}" % _C), "text in UTF-16", _UTF_8.format("UTF-16LE")),
    Kind(re.compile(rb"(?:\0%b){4}" % _C), "text in UTF-16", _UTF_8.format("UTF-16BE")),
    Kind(re.compile(rb".*?\0", re.DOTALL), "not text: it has NUL bytes", "save it as UTF-8 text"),
)

_JQ = "write its ids one per line, for example with jq -r '{0}'"
_MARKUP = (
    Kind(
        re.compile(rb"(?i)<(?:!doctype\s+html|html|head|body|title|script|table|div|p)[\s>]"),
        "an HTML page",
        f"download the file itself, or {_AS_IDS}",
    ),
    Kind(  # but not an id in angle brackets
        re.compile(rb"(?i)<(?![0-9a-f]{8}-)(?:\?xml|!--|!doctype|[a-z_][\w.:-]*(?:[\s>]|/>))"),
        "XML",
        _AS_IDS,
    ),
    Kind(re.compile(rb"\[\s*\{"), "a JSON array", _JQ.format(".[].id")),
    Kind(re.compile(rb"\[\s*(?:[\"\]\[]|$)"), "a JSON array", _JQ.format(".[]")),
)
_OBJECTS = (
    Kind(re.compile(rb"\{\s*\"items\"\s*:"), "a page of leads in JSON", _JQ.format(".items[].id")),
    Kind(
        re.compile(rb"\{\s*(?:\"|$|\})"),
        "JSON",
        f"add --input-format jsonl if each line is one object, or {_JQ.format('.id')}",
    ),
)
_ID_COLUMN = r"(?i)(?=[^\n]*[%s])[^\n]*(?<![^%s\n])\"?(?:lead_)?id\"?\r?(?:[%s]|\n|$)"


def _table_of(delimiters: str, is_: str, remedy: str) -> Kind:
    pattern = _ID_COLUMN % (delimiters, delimiters, delimiters)
    return Kind(re.compile(pattern.encode()), is_, remedy)


_TABLES = (
    _table_of(r"\t", "a table with tabs", "add --input-format tsv"),
    _table_of(",;", "a table in CSV", "add --input-format csv"),
)
_OBJECTS_OVER_LINES = (
    Kind(
        re.compile(rb"\{[ \t\r]*\n"),
        "JSON whose objects go over several lines",
        "put each object on one line (jq -c .)",
    ),
)


def head_of(data: bytes | bytearray) -> bytes | None:
    """Return the beginning that shows what an input is; ``None``: wait for more of it.

    It ends with a line, and does not depend on how a pipe divides the input.
    """
    end = data.find(b"\n", LEAST_BYTES - 1, SNIFFED_BYTES) + 1
    if not end and len(data) < SNIFFED_BYTES:
        return None
    return bytes(data[: end or SNIFFED_BYTES])


def kind_of(head: bytes, form: InputFormat) -> Kind | None:
    """Return what an input is that begins so; ``None``: it may be a list of ids in this format."""
    text = head.removeprefix(BOM).lstrip(b" \t\r\n")
    of_text = {"text": (*_OBJECTS, *_TABLES), "jsonl": _OBJECTS_OVER_LINES}.get(form, _OBJECTS)
    tables = ((head, (*_BINARY, *_MARKS, *_WITHOUT_MARK)), (text, (*_MARKUP, *of_text)))
    return next((kind for part, kinds in tables for kind in kinds if kind.start.match(part)), None)
