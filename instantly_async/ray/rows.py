"""Rows: the type that leads are decoded as, and the tables that are made from outcomes.

The columns are those of the command's Parquet files, and the values, too: the server's own.
"""

import contextlib
import operator
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Annotated, Any
from uuid import UUID

import msgspec

from instantly_async._api import LeadDecoder
from instantly_async._arrow import ColumnKind, arrow_schema, import_arrow, kind_of
from instantly_async.models import Lead, Timestamp
from instantly_async.outcomes import Failed, Found, NotFound, Outcome

OUTCOME = "outcome"
"""The column with ``found``, ``not_found`` or ``failed``."""

ERROR = "error"
"""The column with the error of a lead that has failed."""

COLUMNS = (*Lead.__struct_fields__, OUTCOME, ERROR)
"""The columns of each table."""

SLICE_ROWS = 250
"""Rows that are made at once, in about 3 ms (*choice*): meanwhile no request can be sent."""

_ANY_ID = str(UUID(int=0))
_NULL = msgspec.Raw(b"null")
_KINDS = {field.name: kind_of(field.type) for field in msgspec.structs.fields(Lead)}
_TYPES: dict[ColumnKind, Any] = {
    ColumnKind.TEXT: str,
    ColumnKind.INTEGER: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    ColumnKind.BOOLEAN: bool,
    ColumnKind.TIME: str,  # most are read by Arrow, which is quicker
}


def _field_of(name: str, kind: ColumnKind) -> tuple[str, Any, Any]:
    if kind is ColumnKind.JSON:
        return name, msgspec.Raw, _NULL
    return name, _TYPES[kind] | None, None


class _Identified(msgspec.Struct, kw_only=True):
    id: str


LeadRow: type[Any] = msgspec.defstruct(
    "LeadRow",
    [_field_of(name, kind) for name, kind in _KINDS.items() if name != "id"],
    bases=(_Identified,),
    kw_only=True,
    gc=False,
)
"""A lead with the values of its columns, which takes a third of the time of a ``Lead``."""

_cells_of: Callable[[Any], tuple[Any, ...]] = operator.attrgetter(*_KINDS)
_NO_CELLS = (None,) * (len(_KINDS) - 1)


class RowMaker:
    """Makes tables of outcomes, with the column ``workspace_column``, if it is not ``None``.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """

    def __init__(self, workspace_column: str | None) -> None:
        self._arrow = import_arrow()
        self._compute = import_module("pyarrow.compute")
        more = [OUTCOME, ERROR, *filter(None, [workspace_column])]
        columns = _KINDS | dict.fromkeys(more, ColumnKind.TEXT)
        self.schema = arrow_schema(columns.items())

    def table(self, outcomes: Sequence[Outcome[Any]], workspaces: Sequence[str | None]) -> Any:
        """Return a table with one row for each outcome, in order."""
        cells = list(zip(*map(_lead_cells, outcomes), strict=True))
        cells += [tuple(map(_name_of, outcomes)), tuple(map(_error_of, outcomes))]
        cells += [tuple(workspaces)] * (len(self.schema) - len(cells))
        arrays = [
            self._array(column, _KINDS.get(field.name), field.type)
            for column, field in zip(cells, self.schema, strict=True)
        ]
        return self._arrow.Table.from_arrays(arrays, schema=self.schema)

    def _array(self, column: Sequence[Any], kind: ColumnKind | None, type_: Any) -> Any:
        if kind is ColumnKind.JSON:
            return self._arrow.array(list(map(_json, column)), type_)
        if kind is ColumnKind.TIME:
            return self._times(column, type_)
        return self._arrow.array(column, type_)

    def _times(self, column: Sequence[str | None], type_: Any) -> Any:
        texts = self._arrow.array(column, self._arrow.string())
        are_usual = self._compute.match_substring_regex(texts, _USUAL_TIME)
        if self._compute.all(are_usual, min_count=0).as_py():
            # If there is no such day, each is read by itself.
            with contextlib.suppress(self._arrow.ArrowInvalid):
                return texts.cast(type_)
        return self._arrow.array(list(map(_time, column)), type_)

    def joined(self, tables: Sequence[Any], order: Sequence[int]) -> Any:
        """Return a table with the rows of all of these; ``order``: where each of them belongs."""
        places = [0] * len(order)
        for at, row in enumerate(order):
            places[row] = at
        rows = self._arrow.concat_tables([self.schema.empty_table(), *tables]).combine_chunks()
        return rows.take(self._arrow.array(places, self._arrow.int64()))


class RowCollector:
    """Collects the outcomes of a batch. It makes rows of them meanwhile, not all at the end.

    Otherwise, no request could be sent for a while.
    """

    def __init__(self, maker: RowMaker, workspaces: Sequence[str | None]) -> None:
        self._maker = maker
        self._workspaces = workspaces
        self._tables: list[Any] = []
        self._order: list[int] = []
        self._outcomes: list[Outcome[Any]] = []

    def add(self, row: int, outcome: Outcome[Any]) -> None:
        """Add the outcome of a row of the batch."""
        self._order.append(row)
        self._outcomes.append(outcome)
        if len(self._outcomes) >= SLICE_ROWS:
            self._pack()

    def table(self) -> Any:
        """Return the table of all outcomes, in the order of the batch."""
        if self._outcomes:
            self._pack()
        return self._maker.joined(self._tables, self._order)

    def _pack(self) -> None:
        rows = self._order[-len(self._outcomes) :]
        workspaces = [self._workspaces[row] for row in rows]
        self._tables.append(self._maker.table(self._outcomes, workspaces))
        self._outcomes.clear()


def _lead_cells(outcome: Outcome[Any]) -> tuple[Any, ...]:
    if isinstance(outcome, Found):
        return _cells_of(outcome.lead)
    # None stands for what was null where an id should be.
    return ("" if outcome.lead_id is None else str(outcome.lead_id), *_NO_CELLS)


def _name_of(outcome: Outcome[Any]) -> str:
    if isinstance(outcome, Found):
        return "found"
    return "not_found" if isinstance(outcome, NotFound) else "failed"


def _error_of(outcome: Outcome[Any]) -> str | None:
    """Return the class of an error and its text, without the id, which has a column."""
    if not isinstance(outcome, Failed):
        return None
    return f"{type(outcome.error).__name__}: {outcome.error.args[0]}"


def _json(raw: msgspec.Raw | None) -> bytes | None:
    text = b"null" if raw is None else bytes(raw)
    return None if text == b"null" else text  # Arrow takes bytes for text


_USUAL_TIME = r"^[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$"
"""What Arrow reads as we do. It reads other spellings, too, such as a date without a time."""

_Timed: type[Any] = msgspec.defstruct("Timed", [("id", str), ("time", Timestamp | None, None)])
_decode_timed = LeadDecoder(_Timed).decode_item


def _time(text: str | None) -> datetime | None:
    """Return the moment in UTC that the field of a lead with this text would have."""
    if text is None:
        return None
    _, item = _decode_timed(msgspec.json.encode({"id": _ANY_ID, "time": text}))
    moment: datetime | None = item.lead.time if item else None
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError:  # outside of the years 1 to 9999
        return None
