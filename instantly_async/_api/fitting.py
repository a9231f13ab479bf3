"""What a field takes, and how a value of another type is converted to it.

A value is converted only if there is one thing that it can mean. Knows no leads.
"""

import functools
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, TypeGuard

import msgspec
from msgspec import inspect

from .moments import parse_moment

MISFIT = object()
"""Returned instead of a value that does not fit its type."""

_MAX_CHARS = 4000  # of a text that is a number; CPython parses no longer ones (CVE-2020-10735)
_MAX_DIGITS = 310  # of a float that is an integer; the largest one has 309

_NUMBER = re.compile(
    r"(?:\+(?!-))?(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?)", re.ASCII | re.IGNORECASE
)

# As PostgreSQL reads booleans: https://www.postgresql.org/docs/current/datatype-boolean.html
_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on"), "true"),
    **dict.fromkeys(("false", "f", "no", "n", "off"), "false"),
}


class Field(NamedTuple):
    """A field of a Struct, and what it takes.

    ``nested``: another Struct that it takes; ``None``: none that is written as any object.
    """

    name: str
    key: str
    required: bool
    decoder: msgspec.json.Decoder[Any]
    takes_text: bool
    takes_boolean: bool
    takes_timestamp: bool
    takes_object: bool
    nested: Any


@functools.lru_cache(maxsize=256)  # making the decoders is the slowest part
def fields_of(struct: Any) -> tuple[Field, ...]:
    """Return the fields of a Struct type, in its order."""
    return tuple(_prepare(field) for field in msgspec.structs.fields(struct))


def _prepare(field: msgspec.structs.FieldInfo) -> Field:
    members = tuple(_members_of(inspect.type_info(field.type)))

    def takes(*types: type[inspect.Type]) -> bool:
        return any(isinstance(member, types) for member in members)

    return Field(
        field.name,
        field.encode_name,
        field.required,
        msgspec.json.Decoder(field.type),
        # The decoder knows which texts an enum has.
        takes_text=takes(inspect.StrType, inspect.EnumType, inspect.LiteralType),
        takes_boolean=takes(inspect.BoolType),
        takes_timestamp=takes(inspect.DateTimeType),
        takes_object=any(map(_takes_any_object, members)),
        nested=next((member.cls for member in members if _is_plain_struct(member)), None),
    )


def _members_of(info: inspect.Type) -> Iterator[inspect.Type]:
    """Yield the members of a union, or the type itself, without titles and the like."""
    if isinstance(info, inspect.Metadata):
        yield from _members_of(info.type)
    elif isinstance(info, inspect.UnionType):
        for member in info.types:
            yield from _members_of(member)
    else:
        yield info


def _is_plain_struct(member: inspect.Type) -> TypeGuard[inspect.StructType]:
    """Whether it is a Struct whose fields alone say what it is: no tag, no array."""
    return isinstance(member, inspect.StructType) and member.tag is None and not member.array_like


def _takes_any_object(member: inspect.Type) -> bool:
    """Whether the type accepts an object of JSON as it is, like ``dict[str, Any]``."""
    if isinstance(member, inspect.DictType):
        return member == inspect.DictType(inspect.StrType(), inspect.AnyType())
    return isinstance(member, inspect.AnyType)


def decode(json: str | bytes, field: Field) -> Any:
    """Decode a value as it is, as the fast decoder does."""
    try:
        return field.decoder.decode(json)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return MISFIT


def decode_value(value: Any, field: Field) -> Any:
    """Decode a parsed value, through JSON, so that each type is read in the same way."""
    try:
        return decode(msgspec.json.encode(value), field)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return MISFIT


def fit_word(json: str, field: Field) -> Any:
    """Convert a number or boolean, as it is written in JSON.

    As a text it is written in the same way, because only that keeps all digits of a number.
    """
    fitted = decode(f'"{json}"', field) if field.takes_text else MISFIT
    if fitted is not MISFIT or json in _WORDS or (integer := _integer(json)) is None:
        return fitted
    fitted = decode(str(integer), field)
    if fitted is MISFIT and field.takes_boolean and integer in (0, 1):
        return decode("true" if integer else "false", field)
    return fitted


def _integer(number: str) -> int | None:
    """Return the integer that a number of JSON is, exactly; ``None``: it is not one."""
    if len(number) > _MAX_CHARS:
        return None
    try:
        exact = Decimal(number)
    except InvalidOperation:  # such an exponent
        return None
    is_integer = exact.adjusted() < _MAX_DIGITS and exact == exact.to_integral_value()
    return int(exact) if is_integer else None


def fit_text(text: str, field: Field) -> Any:
    """Convert a text: to a timestamp, a number or a boolean."""
    if len(text) > _MAX_CHARS:
        return MISFIT
    if field.takes_timestamp:
        moment = parse_moment(text)
        return MISFIT if moment is None else decode_value(moment, field)
    text = text.strip()
    if number := _NUMBER.fullmatch(text):
        fitted = decode(number[1], field)
        return fitted if fitted is not MISFIT else fit_word(number[1], field)
    word = _WORDS.get(text.lower())
    return MISFIT if word is None or not field.takes_boolean else decode(word, field)
