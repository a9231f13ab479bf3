"""Arrow tables of leads. The command writes the same columns to Parquet.

Must not know files. pyarrow is imported only when a table is made.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any

import msgspec
from msgspec import inspect

from ._api import LeadDecoder
from ._extras import load_extra


class ColumnKind(StrEnum):
    """The kind of a column's values; each has one Arrow type and one form in CSV."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    JSON = "JSON"
    ANY = "text or JSON"
    MAP = "map of text or JSON"


def kind_of(type_: Any) -> ColumnKind:
    """Return the kind of the column of a field with this type; ``None`` in it does not count."""
    info = inspect.type_info(type_)
    if isinstance(info, inspect.UnionType):
        present = [each for each in info.types if not isinstance(each, inspect.NoneType)]
        info = present[0] if len(present) == 1 else inspect.AnyType()
    match info:
        case inspect.EnumType():
            return _kind_of_enum(info.cls)
        case inspect.StrType():
            return ColumnKind.TEXT
        case inspect.IntType():
            return ColumnKind.INTEGER
        case inspect.FloatType():
            return ColumnKind.NUMBER
        case inspect.BoolType():
            return ColumnKind.BOOLEAN
        case inspect.DateTimeType():
            return ColumnKind.TIME
        case inspect.StructType() | inspect.DictType():
            return ColumnKind.JSON
    return ColumnKind.ANY


def _kind_of_enum(enum: type[Enum]) -> ColumnKind:
    if issubclass(enum, str):
        return ColumnKind.TEXT
    return ColumnKind.INTEGER if issubclass(enum, int) else ColumnKind.ANY


def arrow_schema(columns: Iterable[tuple[str, ColumnKind]]) -> Any:
    """Return the ``pyarrow.Schema`` of these names and kinds; only ``id`` is never null.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """
    arrow = import_arrow()
    types = {
        ColumnKind.INTEGER: arrow.int64(),
        ColumnKind.NUMBER: arrow.float64(),
        ColumnKind.BOOLEAN: arrow.bool_(),
        ColumnKind.TIME: arrow.timestamp("us", tz="UTC"),
        ColumnKind.MAP: arrow.map_(arrow.string(), arrow.string()),
    }
    return arrow.schema(
        arrow.field(name, types.get(kind, arrow.string()), nullable=name != "id")
        for name, kind in columns
    )


def import_arrow() -> Any:
    """Return ``pyarrow``.

    Raises:
        ConfigurationError: it is not installed.
    """
    return load_extra("pyarrow", what="An Arrow table", extra="parquet")


def lead_table(
    lead_type: type[msgspec.Struct], leads: Sequence[Any], bodies: Sequence[bytes | None]
) -> Any:
    """Return a ``pyarrow.Table`` of leads; JSON is taken from their ``bodies``, if there are any.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """
    arrow = import_arrow()
    fields = msgspec.structs.fields(lead_type)
    kinds = {each.name: kind_of(each.type) for each in fields}
    schema = arrow_schema((each.encode_name, kinds[each.name]) for each in fields)
    columns = {
        name: list(map(_READ[kind], map(operator.attrgetter(name), leads)))
        for name, kind in kinds.items()
    }
    sent = {each.name: each.encode_name for each in fields if kinds[each.name] is ColumnKind.JSON}
    decode = _decoder_of_json(sent)
    for row, body in enumerate(bodies):
        if body is not None:
            for name, text in decode(body).items():
                columns[name][row] = text
    arrays = [
        arrow.array(columns[field.name], column.type)
        for field, column in zip(fields, schema, strict=True)
    ]
    return arrow.Table.from_arrays(arrays, schema=schema)


_NOT_SENT = msgspec.Raw(b"")


def _decoder_of_json(sent: dict[str, str]) -> Callable[[bytes], dict[str, str | None]]:
    """Return a function from a lead's body to the JSON of these fields, by their names.

    ``sent`` has the names that the API uses. Odd values are treated as the command treats them.
    """
    fields = [
        (name, msgspec.Raw, msgspec.field(default=_NOT_SENT, name=key))
        for name, key in sent.items()
    ]
    decoder = LeadDecoder(msgspec.defstruct("SentJson", fields))

    def decode(body: bytes) -> dict[str, str | None]:
        _, item = decoder.decode_item(body)
        raws = {name: bytes(getattr(item.lead, name)) for name in sent} if item else {}
        return {name: None if raw == b"null" else raw.decode() for name, raw in raws.items() if raw}

    return decode


def _text(value: Any) -> str | None:
    return None if _is_absent(value) else str.__str__(value)


def _integer(value: Any) -> int | None:
    return int(value) if not _is_absent(value) and -(2**63) <= value < 2**63 else None


def _same(value: Any) -> Any:
    return None if _is_absent(value) else value


def _time(value: datetime | None) -> datetime | None:
    if value is None or _is_absent(value):
        return None
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:  # outside of the years 1 to 9999
        return None


def _json(value: Any) -> str | None:
    return None if _is_absent(value) else msgspec.json.encode(value).decode()


def _any(value: Any) -> str | None:
    plain = None if _is_absent(value) else msgspec.to_builtins(value)
    return plain if isinstance(plain, str) else _json(plain)


def _is_absent(value: Any) -> bool:
    return value is None or value is msgspec.UNSET


_READ: dict[ColumnKind, Callable[[Any], Any]] = {
    ColumnKind.TEXT: _text,
    ColumnKind.INTEGER: _integer,
    ColumnKind.NUMBER: _same,
    ColumnKind.BOOLEAN: _same,
    ColumnKind.TIME: _time,
    ColumnKind.JSON: _json,
    ColumnKind.ANY: _any,
}
