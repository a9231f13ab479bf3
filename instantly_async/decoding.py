"""Bytes to leads: the fast decode, and the salvage that saves a lead with an odd field.

A lead is lost to ``DecodeError`` only when its body is no JSON object, is not UTF-8, or
names another lead. Everything else is salvaged field by field, and what was converted or
left out is named.
"""

import json
import math
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from .errors import ConfigurationError, DecodeError

L = TypeVar("L")

Decoded = tuple[L, tuple[str, ...]]
"""A lead and the paths of its fields that had to be converted or left out."""

_MISFIT = object()
_MAX_INT_DIGITS = 4000  # CPython refuses to parse longer integers (CVE-2020-10735)


class _IdOnly(msgspec.Struct, gc=False):
    id: str


class LeadDecoder(Generic[L]):
    """Decodes bodies into ``lead_type``, a ``msgspec.Struct``.

    Raises:
        ConfigurationError: the type is no Struct, or is tagged, array-like or forbids
            unknown fields: the API's leads would not fit it.
    """

    def __init__(self, lead_type: type[L]) -> None:
        self._type = lead_type
        self._fields = _check_lead_type(lead_type)
        try:
            self._fast = msgspec.json.Decoder(lead_type)
        except TypeError as error:  # such as a union of untagged Structs
            raise ConfigurationError(
                f"lead_type {lead_type.__name__} cannot be decoded: {error}"
            ) from error
        self._id_name = next((f.name for f in self._fields if f.encode_name == "id"), None)
        self._id_only = msgspec.json.Decoder(_IdOnly)

    def decode(self, body: bytes, wire_id: str) -> Decoded[L]:
        """Decode one lead and check that it is the one asked for.

        ``wire_id`` is in lower case.

        Raises:
            DecodeError: as the module says.
        """
        problem = _utf8_problem(body)
        if problem is not None:
            raise problem
        try:
            lead = self._fast.decode(body)
            found_id = self._id_of(lead, body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found_id = None
        if found_id is None:  # outside the except block: msgspec's error can quote values
            return self._salvage(body, wire_id)
        if found_id != wire_id:
            raise _other_lead(body)
        return lead, ()

    def _id_of(self, lead: L, body: bytes) -> str:
        if self._id_name is None:
            return self._id_only.decode(body).id.lower()
        return str(getattr(lead, self._id_name)).lower()

    def _salvage(self, body: bytes, wire_id: str) -> Decoded[L]:
        parsed = _parse_object(body)
        if parsed is None:
            raise DecodeError(
                "The answer is no JSON object",
                raw=body,
                reason="truncated" if _is_truncated(body) else "malformed",
            )
        fields, mended = parsed
        if str(fields.get("id")).lower() != wire_id:
            raise _other_lead(body)
        problems = [f.encode_name for f in self._fields if f.encode_name in mended]
        lead = _salvage_struct(self._type, fields, "", problems)
        if lead is _MISFIT:
            raise DecodeError(
                f"The lead does not fit at {problems[-1]}", path=problems[-1], raw=body
            )
        return lead, tuple(dict.fromkeys(problems))


def _check_lead_type(lead_type: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    if not (isinstance(lead_type, type) and issubclass(lead_type, msgspec.Struct)):
        raise ConfigurationError("lead_type must be a msgspec.Struct class.")
    config = lead_type.__struct_config__
    if config.tag is not None or config.array_like or config.forbid_unknown_fields:
        raise ConfigurationError(
            f"lead_type {lead_type.__name__} is tagged, array-like or forbids unknown fields; "
            "a lead is a plain object whose fields may grow."
        )
    return msgspec.structs.fields(lead_type)


def _utf8_problem(body: bytes) -> DecodeError | None:
    # msgspec looks at the bytes of the fields it keeps only; a journal line must be
    # readable as a whole.
    if body.isascii():
        return None
    try:
        body.decode()
    except UnicodeDecodeError as error:
        cut = error.reason == "unexpected end of data"  # in the middle of a character
        return DecodeError(
            "The answer is not UTF-8", raw=body, reason="truncated" if cut else "malformed"
        )
    return None


def _is_truncated(body: bytes) -> bool:
    # Asked of the syntax alone: a typed decode may have failed before the end.
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError) as error:
        # The others: a number that ends after its sign, point or exponent.
        end = f"(byte {len(body)})"
        return str(error).endswith(
            ("Input data was truncated", f"invalid character {end}", f"invalid number {end}")
        )
    return False


def _other_lead(body: bytes) -> DecodeError:
    return DecodeError(
        "The answer is another lead than the one asked for",
        path="$.id",
        raw=body,
        reason="other lead",
    )


def _parse_object(body: bytes) -> tuple[dict[str, Any], set[str]] | None:
    """Parse with the standard library, which takes more; ``None`` when it is no object.

    Gives the object and those of its keys whose values had to be mended.
    """
    try:
        # A byte order mark is no JSON, but harmless.
        parsed = json.loads(body.decode("utf-8-sig"), parse_int=_parse_int)
        if not isinstance(parsed, dict):
            return None
        fields = {_mend(key): _mend(value) for key, value in parsed.items()}
        return fields, {key for key, value in parsed.items() if fields.get(key, value) != value}
    except (ValueError, RecursionError):
        return None


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_INT_DIGITS else float(digits)


def _mend(value: Any) -> Any:
    """Replace what no JSON text should hold.

    Half a surrogate pair, which JavaScript writes for a cut emoji, becomes U+FFFD; a number
    that is not finite becomes ``None``.
    """
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_mend(item) for item in value]
    if isinstance(value, dict):
        return {_mend(key): _mend(item) for key, item in value.items()}
    return value


def _salvage_struct(struct: Any, value: dict[str, Any], path: str, problems: list[str]) -> Any:
    kept: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        if field.encode_name not in value:
            if field.required:
                problems.append(path + field.encode_name)
                return _MISFIT
            continue
        here = path + field.encode_name
        fitted = _fit(value[field.encode_name], field.type, here, problems)
        if fitted is not _MISFIT:
            kept[field.name] = fitted
        elif field.required:
            return _MISFIT
    try:
        return struct(**kept)
    except (TypeError, ValueError):  # the caller's own __post_init__
        problems.append(path.rstrip(".") or "$")
        return _MISFIT


def _fit(value: Any, type_: Any, path: str, problems: list[str]) -> Any:
    """Convert one field; a field that needed help, or is left out, joins ``problems``."""
    fitted = _convert(value, type_, strict=True)
    if fitted is not _MISFIT:
        return fitted
    nested = _struct_in(type_)
    if nested is not None and isinstance(value, dict):
        inner: list[str] = []
        salvaged = _salvage_struct(nested, value, f"{path}.", inner)
        if salvaged is not _MISFIT:
            problems.extend(inner)
            return salvaged
    problems.append(path)
    if isinstance(value, str) and _takes_timestamp(type_):
        naive = _is_naive_timestamp(value)
        return _convert(f"{value}Z", type_, strict=True) if naive else _MISFIT
    if isinstance(value, float) and value.is_integer():
        return _convert(int(value), type_, strict=True)
    if isinstance(value, str):
        return _convert(value, type_, strict=False)  # numbers that are written as strings
    return _MISFIT


def _convert(value: Any, type_: Any, *, strict: bool) -> Any:
    # By way of JSON, so that every type means here what it means to the fast decoder.
    try:
        return msgspec.json.decode(msgspec.json.encode(value), type=type_, strict=strict)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return _MISFIT


def _is_naive_timestamp(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        return False


def _members(type_: Any) -> tuple[msgspec.inspect.Type, ...]:
    info = msgspec.inspect.type_info(type_)
    return info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)


def _takes_timestamp(type_: Any) -> bool:
    # A number for a timestamp could be seconds or milliseconds: nobody says, so neither.
    return any(isinstance(member, msgspec.inspect.DateTimeType) for member in _members(type_))


def _struct_in(type_: Any) -> Any:
    for member in _members(type_):
        if isinstance(member, msgspec.inspect.StructType):
            return member.cls
    return None
