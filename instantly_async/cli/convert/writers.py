"""Writers, one for each format: from leads to bytes in an open file. Memory: one row group.

pyarrow is only imported for Parquet.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Protocol

from instantly_async._api import LeadItem
from instantly_async._arrow import ColumnKind, arrow_schema
from instantly_async._extras import load_extra
from instantly_async.cli.exits import CommandError
from instantly_async.cli.records import BOM, Selection, is_cut, to_line
from instantly_async.errors import ConfigurationError

from .columns import Column, Row, any_text, json_text, row_type
from .csv_cells import Guard, csv_formatter, csv_row, quote_cell

BATCH_ROWS = 500
"""Leads per Arrow batch, which needs a fifth of the memory of Python objects (*choice*)."""

GROUP_BYTES = 16 * 1024 * 1024
"""Bytes of JSON per Parquet row group, about 5,500 leads (*choice*)."""

Add = Callable[[LeadItem[Row]], None]
"""Writes one lead, now or later; its ``raw`` is its line."""


class Writer(Protocol):
    """Writes one format. It needs leads decoded as ``lead_type``."""

    lead_type: type[Row]

    @property
    def remark(self) -> str | None:
        """What the user may want to know about the cells that were written; ``None``: nothing."""

    def writing(self, file: BinaryIO) -> contextlib.AbstractContextManager[Add]:
        """Write into this file, and complete it at the end of the block. The caller closes it."""


class JsonLinesWriter:
    """The lines as they are, or cut down to the fields of a ``Selection``."""

    lead_type = Row
    remark = None

    def __init__(self, selection: Selection | None) -> None:
        self._line_of = _same_line if selection is None else selection.cut

    @contextlib.contextmanager
    def writing(self, file: BinaryIO) -> Iterator[Add]:
        def add(item: LeadItem[Row]) -> None:
            file.write(self._line_of(item.raw or b""))

        yield add


def _same_line(line: bytes) -> bytes:
    return to_line(line, cut=is_cut(line))


class CsvWriter:
    """RFC 4180: UTF-8, names in the first line, CRLF; an empty cell for ``None``.

    ``bom``: with a byte order mark in front.
    """

    def __init__(self, columns: Sequence[Column], *, guard: bool, bom: bool = False) -> None:
        self.lead_type = row_type(columns)
        # Not guarded: a name is a field's, or begins with "payload.".
        header = csv_row(quote_cell(each.name) for each in columns)
        self._head = BOM + header if bom else header
        self._guard = Guard()
        text = self._guard if guard else quote_cell
        self._cells = [(each.read, csv_formatter(each.kind, text)) for each in columns]

    @property
    def remark(self) -> str | None:
        return self._guard.describe()

    @contextlib.contextmanager
    def writing(self, file: BinaryIO) -> Iterator[Add]:
        def add(item: LeadItem[Row]) -> None:
            cells = [
                "" if (value := read(item.lead)) is None else form(value)
                for read, form in self._cells
            ]
            file.write(csv_row(cells))

        file.write(self._head)
        yield add


class ParquetWriter:
    """Parquet, written by pyarrow with zstd; the schema depends only on the columns.

    Raises:
        CommandError: pyarrow is not installed.
    """

    remark = None

    def __init__(self, columns: Sequence[Column]) -> None:
        self._arrow, self._parquet = import_arrow()
        self.lead_type = row_type(columns)
        self.schema = arrow_schema((each.name, each.kind) for each in columns)
        self._columns = columns

    @contextlib.contextmanager
    def writing(self, file: BinaryIO) -> Iterator[Add]:
        """Write into this file: row groups, and the footer at the end."""
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
            # The file is useless now, but an open writer would warn later.
            with contextlib.suppress(Exception):
                out.close()
            raise

    def _pack(self, leads: Sequence[Row]) -> Any:
        arrays = [
            self._arrow.array(_values(column, leads), field.type)
            for column, field in zip(self._columns, self.schema, strict=True)
        ]
        return self._arrow.record_batch(arrays, schema=self.schema)


def import_arrow() -> tuple[Any, Any]:
    """Return the modules ``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        CommandError: pyarrow is not installed.
    """
    try:
        arrow, parquet = (
            load_extra(module, what="Parquet", extra="parquet")
            for module in ("pyarrow", "pyarrow.parquet")
        )
    except ConfigurationError as error:
        raise CommandError(str(error)) from None
    return arrow, parquet


class _RowGroup:
    """Collects leads: few as Python objects, many as packed batches, which ``write`` writes."""

    def __init__(
        self, pack: Callable[[Sequence[Row]], Any], write: Callable[[list[Any]], None]
    ) -> None:
        self._pack_leads = pack
        self._write_batches = write
        self._leads: list[Row] = []
        self._batches: list[Any] = []
        self._bytes = 0

    def add(self, item: LeadItem[Row]) -> None:
        """Add one lead; write the row group when it is large enough."""
        self._leads.append(item.lead)
        self._bytes += len(item.raw or b"")
        if self._bytes >= GROUP_BYTES:
            self.write()
        elif len(self._leads) >= BATCH_ROWS:
            self._pack()

    def write(self) -> None:
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
    forms: dict[ColumnKind, Callable[[Any], Any]] = {
        ColumnKind.JSON: json_text,
        ColumnKind.ANY: any_text,
        ColumnKind.MAP: _pairs,
    }
    form = forms.get(column.kind)
    if form is None:
        return list(values)
    return [None if value is None else form(value) for value in values]


def _pairs(members: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(key, None if bytes(raw) == b"null" else any_text(raw)) for key, raw in members.items()]
