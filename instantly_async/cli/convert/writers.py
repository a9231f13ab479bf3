"""One writer a format: leads in, bytes into an open file. Memory: one row group at most.

pyarrow is imported when Parquet is asked for, and not before.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, BinaryIO, Protocol

from instantly_async._api import LeadItem
from instantly_async.cli.exits import CommandError
from instantly_async.cli.output.lines import line_of
from instantly_async.cli.records.selection import Selection

from .columns import Column, Kind, Row, any_text, csv_look, csv_row, json_text, quote_cell, row_type

BATCH_ROWS = 500
"""Leads that wait as Python objects for Arrow, which holds them in a fifth (*choice*)."""

GROUP_BYTES = 16 * 1024 * 1024
"""JSON of a Parquet row group, however long the leads are; about 5,500 of them (*choice*)."""

_MISSING = (
    "Parquet needs the extra \"parquet\": pip install 'instantly-async[parquet]' "
    "(no module {name})."
)

Add = Callable[[LeadItem[Row]], None]
"""Writes one lead, sooner or later; its ``raw`` is its line."""


class Writer(Protocol):
    """Writes one format. ``lead_type`` is what it wants the leads decoded as."""

    lead_type: type[Row]

    def writing(self, file: BinaryIO) -> contextlib.AbstractContextManager[Add]:
        """Write into this file, which stays the caller's; complete it at the block's end."""


class JsonLinesWriter:
    """The lines as they are, or what a ``Selection`` leaves of them."""

    lead_type = Row

    def __init__(self, names: Sequence[str] | None) -> None:
        self._line_of = line_of if names is None else Selection(names).cut

    @contextlib.contextmanager
    def writing(self, file: BinaryIO) -> Iterator[Add]:
        """Write into this file."""

        def add(item: LeadItem[Row]) -> None:
            file.write(self._line_of(item.raw or b""))

        yield add


class CsvWriter:
    """RFC 4180: UTF-8, names in the first line, CRLF; nothing between commas for ``None``."""

    def __init__(self, columns: Sequence[Column], *, guard: bool) -> None:
        self.lead_type = row_type(columns)
        # Not guarded: a name is a field's, or begins with "payload.".
        self._header = csv_row(quote_cell(each.name) for each in columns)
        self._cells = [(each.read, csv_look(each.kind, guard=guard)) for each in columns]

    @contextlib.contextmanager
    def writing(self, file: BinaryIO) -> Iterator[Add]:
        """Write into this file."""

        def add(item: LeadItem[Row]) -> None:
            cells = [
                "" if (value := read(item.lead)) is None else look(value)
                for read, look in self._cells
            ]
            file.write(csv_row(cells))

        file.write(self._header)
        yield add


class ParquetWriter:
    """Parquet by pyarrow, zstd; the schema follows from the columns.

    Raises:
        CommandError: pyarrow is not installed.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        try:
            self._arrow: Any = import_module("pyarrow")
            self._parquet: Any = import_module("pyarrow.parquet")
        except ModuleNotFoundError as error:
            raise CommandError(_MISSING.format(name=error.name)) from None
        self.lead_type = row_type(columns)
        self.schema = arrow_schema(columns)
        self._columns = columns

    @contextlib.contextmanager
    def writing(self, file: BinaryIO) -> Iterator[Add]:
        """Write into this file, one row group after the other, and the footer at the end."""
        out = self._parquet.ParquetWriter(file, self.schema, compression="zstd")
        group = _RowGroup(
            self._pack,
            lambda batches: out.write_table(self._arrow.Table.from_batches(batches, self.schema)),
        )
        try:
            yield group.add
            group.write()
            out.close()
        except BaseException:
            # The file is of no use any more, but an open writer would complain later.
            with contextlib.suppress(Exception):
                out.close()
            raise

    def _pack(self, leads: Sequence[Row]) -> Any:
        arrays = [
            self._arrow.array(_values(column, leads), field.type)
            for column, field in zip(self._columns, self.schema, strict=True)
        ]
        return self._arrow.record_batch(arrays, schema=self.schema)


class _RowGroup:
    """Gathers leads: few as Python objects, many as packed batches, which ``write`` hands on."""

    def __init__(
        self, pack: Callable[[Sequence[Row]], Any], write: Callable[[list[Any]], None]
    ) -> None:
        self._pack_leads = pack
        self._write_batches = write
        self._leads: list[Row] = []
        self._batches: list[Any] = []
        self._bytes = 0

    def add(self, item: LeadItem[Row]) -> None:
        """Take one lead; write them all when there are enough."""
        self._leads.append(item.lead)
        self._bytes += len(item.raw or b"")
        if self._bytes >= GROUP_BYTES:
            self.write()
        elif len(self._leads) >= BATCH_ROWS:
            self._pack()

    def write(self) -> None:
        """Write what has been gathered."""
        self._pack()
        self._write_batches(self._batches)
        self._batches.clear()
        self._bytes = 0

    def _pack(self) -> None:
        if self._leads:
            self._batches.append(self._pack_leads(self._leads))
            self._leads.clear()


def _values(column: Column, leads: Sequence[Row]) -> list[Any]:
    values = map(column.read, leads)
    to_text = {Kind.JSON: json_text, Kind.ANY: any_text}.get(column.kind)
    if to_text is None:
        return list(values)
    return [None if value is None else to_text(value) for value in values]


def arrow_schema(columns: Sequence[Column]) -> Any:
    """Return the ``pyarrow.Schema`` of these columns; only ``id`` is never null."""
    arrow: Any = import_module("pyarrow")
    types = {
        Kind.INTEGER: arrow.int64(),
        Kind.BOOLEAN: arrow.bool_(),
        Kind.TIME: arrow.timestamp("us", tz="UTC"),
    }
    return arrow.schema(
        [
            arrow.field(each.name, types.get(each.kind, arrow.string()), nullable=each.name != "id")
            for each in columns
        ]
    )
