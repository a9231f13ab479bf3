"""Columns: which fields they are made from, and how a lead becomes a row.

Pure: must not know files or pyarrow.
"""

import csv
import difflib
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, get_args

import msgspec

from instantly_async._arrow import ColumnKind, kind_of
from instantly_async.cli.exits import CommandError
from instantly_async.cli.records import SHOWN_CHARS, PayloadKeys, payload_key
from instantly_async.enums import OpenIntEnum, OpenStrEnum
from instantly_async.models import Lead

from .payloads import Payloads

ALL_KEYS = "payload.*"
"""Selects every key of the payload."""

_NULL = msgspec.Raw(b"null")

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


_OF_KEYS = {ColumnKind.ANY, ColumnKind.MAP}


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its ``name``, and the ``field`` of the lead that it is made from.

    The field is decoded as ``type``. ``read`` returns the value of a row, ``None`` for null; in
    ``JSON`` and ``ANY`` columns that is the server's own JSON, in a ``MAP`` column that of each
    key.
    """

    name: str
    field: str
    kind: ColumnKind
    type: Any
    read: Callable[[Any], Any]


class Row(msgspec.Struct):
    """The fields that columns are made from; ``row_type`` adds them.

    ``times`` names the fields that hold timestamps, ``objects`` those of which single keys are
    selected.
    """

    times: ClassVar[tuple[str, ...]] = ()
    objects: ClassVar[tuple[str, ...]] = ()

    id: str

    def settle(self) -> tuple[str, ...]:
        """Convert timestamps to UTC; return the fields whose values do not fit a column.

        These are timestamps outside of the years 1 to 9999 in UTC, which become ``None``, and
        values that are not objects although a key of them is selected.
        """
        return (*filter(self._has_no_utc, self.times), *filter(self._is_not_object, self.objects))

    def _has_no_utc(self, name: str) -> bool:
        moment: datetime | None = getattr(self, name)
        if moment is not None and moment.tzinfo is not UTC:
            try:
                setattr(self, name, moment.astimezone(UTC))
            except OverflowError:
                setattr(self, name, None)
                return True
        return False

    def _is_not_object(self, name: str) -> bool:
        return not bytes(getattr(self, name)).startswith((b"{", b"null"))


def parse_fields(text: str) -> list[str]:
    """Split ``id,email,payload.company``; a payload key with a comma in it can be quoted.

    Raises:
        CommandError: a name is unknown, empty or repeated.
    """
    try:
        text.encode()  # an argument that is not UTF-8 holds surrogates
        names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]
    except (csv.Error, ValueError):
        raise CommandError(
            "--fields is not a list of names; write it like id,email,status."
        ) from None
    seen = set[str]()
    for name in names:
        shown = name[:SHOWN_CHARS]
        if name not in Lead.__struct_fields__ and not payload_key(name):
            nearest = difflib.get_close_matches(shown, Lead.__struct_fields__, n=1, cutoff=0.0)[0]
            raise CommandError(
                f'There is no field "{shown}"; the nearest is "{nearest}", and payload.<key> '
                "selects a key of the payload."
            )
        if name in seen:
            raise CommandError(f'--fields names "{shown}" twice; name it once.')
        seen.add(name)
    if not names:
        raise CommandError("--fields is empty; name fields, such as id,email,status.")
    return names


def columns_of(
    names: Iterable[str] | None = None,
    *,
    labels: bool = False,
    keys: PayloadKeys | None = None,
    maps: bool = False,
) -> list[Column]:
    """Return the columns of these fields, of all 50 if ``None``.

    They depend only on the names, not on the leads. ``labels``: enums become their labels.
    ``keys`` watches for the selected keys of the payload. ``maps``: ``payload.*`` is a map of all
    keys, and not a key of that name.
    """
    fields = {field.name: field for field in msgspec.structs.fields(Lead)}
    payloads = Payloads(PayloadKeys(()) if keys is None else keys)
    return [
        _column(fields[name], labels=labels)
        if name in fields
        else _map_column(payloads)
        if maps and name == ALL_KEYS
        else _payload_column(name, payloads)
        for name in (fields if names is None else names)
    ]


def _payload_column(name: str, payloads: Payloads) -> Column:
    key = payload_key(name) or ""

    def read(lead: Any) -> Any:
        return _none_for_null((payloads.of(lead) or {}).get(key, _NULL))

    return Column(name, "payload", ColumnKind.ANY, msgspec.Raw, read)


def _map_column(payloads: Payloads) -> Column:
    return Column("payload", "payload", ColumnKind.MAP, msgspec.Raw, payloads.of)


def _none_for_null(raw: Any) -> Any:
    return None if bytes(raw) == b"null" else raw


def _column(field: msgspec.structs.FieldInfo, *, labels: bool) -> Column:
    name, kind = field.name, kind_of(field.type)
    read = operator.attrgetter(name)

    def read_label(lead: Any) -> str | None:
        member: OpenIntEnum | OpenStrEnum | None = read(lead)
        return None if member is None else member.label

    def read_json(lead: Any) -> Any:
        return _none_for_null(read(lead))

    if labels and (enum := _enum_of(field)):
        return Column(name, name, ColumnKind.TEXT, enum, read_label)
    if kind is ColumnKind.JSON:
        return Column(name, name, kind, msgspec.Raw, read_json)
    types = {
        ColumnKind.INTEGER: _Int64,  # also enums: codes need no members
        ColumnKind.BOOLEAN: bool,
        ColumnKind.TIME: field.type,
    }
    return Column(name, name, kind, types.get(kind, str), read)


def _enum_of(field: msgspec.structs.FieldInfo) -> type[OpenIntEnum | OpenStrEnum] | None:
    options = get_args(field.type)
    enums = (OpenIntEnum, OpenStrEnum)
    return next(
        (each for each in options if isinstance(each, type) and issubclass(each, enums)), None
    )


def row_type(columns: Sequence[Column]) -> type[Row]:
    """Make the type with the fields of these columns; other fields are skipped."""
    types = {column.field: column.type for column in columns if column.field != "id"}
    fields = [
        (name, each, _NULL) if each is msgspec.Raw else (name, each | None, None)
        for name, each in types.items()
    ]
    namespace = {
        "times": tuple(each.field for each in columns if each.kind is ColumnKind.TIME),
        "objects": tuple({each.field for each in columns if each.kind in _OF_KEYS}),
    }
    made = msgspec.defstruct(
        "LeadRow",
        fields,
        bases=(Row,),
        namespace=namespace,
        gc=False,
    )
    assert issubclass(made, Row)
    return made


def json_text(raw: Any) -> str:
    """Return JSON as text."""
    return str(raw, "utf-8")


def any_text(raw: Any) -> str:
    """Return a text as it is, anything else as JSON."""
    return _decode_text(raw) if is_text(raw) else json_text(raw)


def is_text(raw: Any) -> bool:
    """Whether this JSON is a string."""
    return bytes(raw).startswith(b'"')


_decode_text = msgspec.json.Decoder(str).decode
