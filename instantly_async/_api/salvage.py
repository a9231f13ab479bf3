"""Salvage of leads with odd fields: lenient parsing, and conversion field by field.

Knows JSON and ``msgspec.Struct`` types, but neither ids nor errors.
"""

import functools
import json
import math
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

MISFIT = object()
"""Returned instead of a value that does not fit its type."""

_MAX_INT_DIGITS = 4000  # CPython refuses to parse longer integers (CVE-2020-10735)


def parse_object(body: bytes) -> tuple[dict[str, Any], set[str]] | None:
    """Parse with the standard library, which accepts more; ``None``: it is not an object.

    Returns the object and those of its keys whose values had to be converted.
    """
    try:
        # A byte order mark is not valid JSON, but harmless.
        parsed = json.loads(body.decode("utf-8-sig"), parse_int=_parse_int)
        if not isinstance(parsed, dict):
            return None
        fields = {_replace_invalid(key): _replace_invalid(value) for key, value in parsed.items()}
        return fields, {key for key, value in parsed.items() if fields.get(key, value) != value}
    except (ValueError, RecursionError):
        return None


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_INT_DIGITS else float(digits)


def _replace_invalid(value: Any) -> Any:
    """Replace values that JSON must not contain.

    Half a surrogate pair, which JavaScript writes for a cut emoji, becomes U+FFFD; a number
    that is not finite becomes ``None``.
    """
    if isinstance(value, str):
        if value.isascii():
            return value
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_replace_invalid(item) for item in value]
    if isinstance(value, dict):
        return {_replace_invalid(key): _replace_invalid(item) for key, item in value.items()}
    return value


class _Field(NamedTuple):
    """A field of a Struct, with the decoders for its values."""

    name: str
    key: str
    required: bool
    strict: msgspec.json.Decoder[Any]
    lax: msgspec.json.Decoder[Any]
    takes_timestamp: bool
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
        next((m.cls for m in members if isinstance(m, msgspec.inspect.StructType)), None),
    )


def salvage_struct(struct: Any, value: dict[str, Any], path: str, problems: list[str]) -> Any:
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
        salvaged = salvage_struct(field.nested, value, f"{path}.", inner)
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
        return decoder.decode(msgspec.json.encode(value))
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return MISFIT


def _is_naive_timestamp(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        return False
