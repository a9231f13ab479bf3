"""Salvage of leads with odd fields: lenient parsing, and conversion field by field, in steps.

Knows JSON and ``msgspec.Struct`` types, but neither ids nor errors.
"""

import functools
import json
import math
import re
from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from .pieces import PIECE, PieceReader

MISFIT = object()
"""Returned instead of a value that does not fit its type."""

_MAX_INT_DIGITS = 4000  # CPython refuses to parse longer integers (CVE-2020-10735)
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_MAY_BE_HALF_A_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


class Cleaner:
    """Replaces values that JSON must not contain; ``has_changed``: there was one.

    Half a surrogate pair, which JavaScript writes for a cut emoji, becomes U+FFFD; a number
    that is not finite becomes ``None``. ``decoder`` does the latter.
    """

    def __init__(self) -> None:
        self.has_changed = False
        self.decoder = json.JSONDecoder(
            parse_int=self._parse_int,
            parse_float=self._parse_float,
            parse_constant=self._parse_float,  # NaN, Infinity, -Infinity
        )

    def is_odd(self, text: str) -> bool:
        return _MAY_BE_HALF_A_PAIR.search(text) is not None

    def clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return value if value.isascii() else self._clean_text(value)
        if isinstance(value, list):
            return [self.clean(item) for item in value]
        if isinstance(value, dict):
            return {self.clean(key): self.clean(item) for key, item in value.items()}
        return value

    def _clean_text(self, text: str) -> str:
        # The decoder has combined all pairs, so what is left are halves.
        text, halves = _HALF_PAIR.subn("\ufffd", text)
        self.has_changed |= halves > 0
        return text

    def _parse_int(self, digits: str) -> int | float | None:
        return int(digits) if len(digits) <= _MAX_INT_DIGITS else self._parse_float(digits)

    def _parse_float(self, digits: str) -> float | None:
        number = float(digits)
        if math.isfinite(number):
            return number
        self.has_changed = True
        return None


class _Field(NamedTuple):
    """A field of a Struct, with the decoders for its values."""

    name: str
    key: str
    required: bool
    strict: msgspec.json.Decoder[Any]
    lax: msgspec.json.Decoder[Any]
    takes_timestamp: bool
    takes_object: bool
    nested: Any


@functools.lru_cache(maxsize=256)  # making the decoders is the slowest part
def _fields(struct: Any) -> tuple[_Field, ...]:
    return tuple(_prepare(field) for field in msgspec.structs.fields(struct))


def _prepare(field: msgspec.structs.FieldInfo) -> _Field:
    info = msgspec.inspect.type_info(field.type)
    members = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    return _Field(
        field.name,
        field.encode_name,
        field.required,
        msgspec.json.Decoder(field.type),
        msgspec.json.Decoder(field.type, strict=False),
        any(isinstance(member, msgspec.inspect.DateTimeType) for member in members),
        any(map(_takes_any_object, members)),
        next((m.cls for m in members if isinstance(m, msgspec.inspect.StructType)), None),
    )


def _takes_any_object(member: msgspec.inspect.Type) -> bool:
    """Whether the type accepts an object of JSON as it is, like ``dict[str, Any]``."""
    if isinstance(member, msgspec.inspect.DictType):
        open_dict = msgspec.inspect.DictType(msgspec.inspect.StrType(), msgspec.inspect.AnyType())
        return member == open_dict
    return isinstance(member, msgspec.inspect.AnyType)


def salvage_lead(
    struct: Any, text: str, members: Mapping[str, slice]
) -> Generator[None, None, tuple[Any, list[str]]]:
    """Make a Struct from the members of an object, field by field, in steps.

    Returns the Struct, or ``MISFIT`` if a required field does not fit; and the path of each field
    that was converted or left out. ``members`` says where each value is in ``text``.
    """
    cleaned: list[str] = []
    problems: list[str] = []
    kept: dict[str, Any] = {}
    for field in _fields(struct):
        if field.key not in members:
            fitted = MISFIT
            if field.required:
                problems.append(field.key)
        else:
            value = text[members[field.key]]
            fitted = yield from _fit_json(value, field, cleaned, problems)
        if fitted is not MISFIT:
            kept[field.name] = fitted
        elif field.required:
            return MISFIT, problems
    lead = _make(struct, kept, "", problems)
    return lead, [*cleaned, *problems]


def _fit_json(
    text: str, field: _Field, cleaned: list[str], problems: list[str]
) -> Generator[None, None, Any]:
    """Convert one value, as it is written; append its key if it has to be converted."""
    if not (field.takes_object and len(text) > PIECE) and not _MAY_BE_HALF_A_PAIR.search(text):
        fitted = _decode(text, field.strict)  # usually nothing is odd about it
        yield
        if fitted is not MISFIT:
            return fitted
    cleaner = Cleaner()
    value, _ = yield from PieceReader(text, cleaner.decoder, cleaner).value(0)
    if cleaner.has_changed:
        cleaned.append(field.key)
    if field.takes_object and isinstance(value, dict):
        return value
    return _fit(value, field, field.key, problems)


def _salvage_struct(struct: Any, value: dict[str, Any], path: str, problems: list[str]) -> Any:
    """Make a Struct from an object, field by field; ``MISFIT`` if a required one does not fit.

    Appends to ``problems`` the path of each field that was converted or left out. ``path`` is
    the path of the object, with a dot at its end.
    """
    kept: dict[str, Any] = {}
    for field in _fields(struct):
        if field.key not in value:
            if field.required:
                problems.append(path + field.key)
                return MISFIT
            continue
        fitted = _fit(value[field.key], field, path + field.key, problems)
        if fitted is not MISFIT:
            kept[field.name] = fitted
        elif field.required:
            return MISFIT
    return _make(struct, kept, path, problems)


def _make(struct: Any, kept: dict[str, Any], path: str, problems: list[str]) -> Any:
    try:
        return struct(**kept)
    except (TypeError, ValueError):  # the caller's own __post_init__
        problems.append(path.rstrip(".") or "$")
        return MISFIT


def _fit(value: Any, field: _Field, path: str, problems: list[str]) -> Any:
    """Convert one value; append its path to ``problems`` if it was converted or is left out."""
    fitted = _convert(value, field.strict)
    if fitted is not MISFIT:
        return fitted
    if field.nested is not None and isinstance(value, dict):
        inner: list[str] = []
        salvaged = _salvage_struct(field.nested, value, f"{path}.", inner)
        if salvaged is not MISFIT:
            problems.extend(inner)
            return salvaged
    problems.append(path)
    if isinstance(value, str) and field.takes_timestamp:
        # Digits could be seconds or milliseconds. That is unknown, so they are left out.
        return _convert(f"{value}Z", field.strict) if _is_naive_timestamp(value) else MISFIT
    if isinstance(value, float) and value.is_integer():
        return _convert(int(value), field.strict)
    if isinstance(value, str):
        return _convert(value, field.lax)  # numbers that are written as strings
    return MISFIT


def _convert(value: Any, decoder: msgspec.json.Decoder[Any]) -> Any:
    # Through JSON, so that every type is read as the fast decoder reads it.
    try:
        return _decode(msgspec.json.encode(value), decoder)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return MISFIT


def _decode(text: str | bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return MISFIT


def _is_naive_timestamp(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        return False
