"""A lead as a line: the server's own JSON. An id of the input, with the number of its line."""

import json
from typing import Any, ClassVar, Literal, Self

import msgspec

from instantly_async._api import wire_id
from instantly_async.settings import MOST_MAX_LEAD_BYTES

from .emails import email_number

Noun = Literal["id", "email"]
"""What leads are fetched by."""

Unit = Literal["line", "row", "element"]
"""What an input consists of: text, a workbook, or a JSON document."""

BOM = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8."""

MAX_LINE_BYTES = 2 * MOST_MAX_LEAD_BYTES + 1024 * 1024
"""Longest line that is read, so that a file without line ends does not fill the memory.

No run writes a longer one, whatever its ``--max-lead-bytes``: with ``--fields``, a payload and its
keys can be in a line twice. So readers need no such option.
"""


_SPACE = b" \t\r\n"  # JSON's


def number_of(lead_id: str) -> int | None:
    """Return the UUID as a number, which takes half the memory; ``None``: it is not a UUID."""
    wire = wire_id(lead_id)
    return None if wire is None else _number_of_wire(wire)


def _number_of_wire(wire: str) -> int:
    return int(wire.replace("-", ""), 16)


class LineId(str):
    """An id of the input; ``line`` is the number of its line, from 1, or of another ``unit``.

    ``number`` is the UUID as a number; ``None``: it is not a UUID.
    """

    __slots__ = ("line", "number", "unit")

    noun: ClassVar[Noun] = "id"
    line: int
    unit: Unit
    number: int | None

    def __new__(cls, text: str, line: int, unit: Unit = "line", *, is_valid: bool = False) -> Self:
        """Make an id; ``text`` need not be a valid one. ``is_valid``: it is one in wire form."""
        self = super().__new__(cls, text)
        self.line = line
        self.unit = unit
        self.number = cls.number_of_wire(text) if is_valid else cls.number_in(text)
        return self

    @staticmethod
    def number_of_wire(wire: str) -> int | None:
        """Return the same as ``number_in`` for a valid text in its wire form."""
        return _number_of_wire(wire)

    @staticmethod
    def number_in(text: str) -> int | None:
        """Return what two spellings of one id have in common."""
        return number_of(text)


class LineEmail(LineId):
    """An email of the input. ``number`` is a hash of the address; ``None``: it is not one."""

    __slots__ = ()

    noun = "email"

    @staticmethod
    def number_of_wire(wire: str) -> int | None:
        return email_number(wire)

    @staticmethod
    def number_in(text: str) -> int | None:
        return email_number(text)


def to_line(raw: bytes, *, cut: bool = False) -> bytes:
    """Return the server's JSON as one line, without loss.

    CR and LF cannot occur inside a JSON string, so they are layout; a byte order mark in front
    is not JSON, and white space behind it means nothing. Nothing is decoded or encoded.

    ``cut``: the line holds only some fields, so it gets the mark that ``is_cut`` looks for.
    """
    raw = raw.removeprefix(BOM).rstrip(_SPACE)
    if b"\n" in raw or b"\r" in raw:  # rare, and the check is much cheaper
        raw = raw.translate(None, b"\r\n")
    return raw + (b" \n" if cut else b"\n")


def is_cut(line: bytes) -> bool:
    """Whether a line holds only some fields of its lead: it ends with a blank.

    Its keys do not show that, because a whole lead may have few.
    """
    return line.rstrip(b"\r\n").endswith(b" ")


class _Named(msgspec.Struct, gc=False):
    id: Any = None
    email: Any = None


_NAMED = msgspec.json.Decoder(_Named)


def id_of_object(text: str | bytes) -> Any:
    """Return the value of ``id`` in a JSON object; ``None`` if there is none.

    Raises:
        ValueError: the text is not a JSON object.
    """
    return value_of_object(text, "id")


def value_of_object(text: str | bytes, key: Noun) -> Any:
    """Return the value of a key, as ``id_of_object``."""
    try:
        return getattr(_NAMED.decode(text), key)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        # The standard library accepts half a surrogate pair, which JavaScript writes for a cut
        # emoji.
        value = json.loads(text)
    except RecursionError:
        value = None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - like json.loads
    return value.get(key)
