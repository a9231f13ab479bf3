"""Batches: which ids, of which workspace, a table has. Its rows are never shown in errors."""

from typing import Any, NamedTuple

from instantly_async._arrow import import_arrow
from instantly_async._reprs import cut_repr
from instantly_async.errors import ConfigurationError

_MOST_NAMES = 10


class Batch(NamedTuple):
    """The ids of a batch, and the workspace of each; ``None``: that of the key."""

    lead_ids: list[Any]
    workspaces: list[str | None]

    @property
    def places(self) -> dict[str | None, list[int]]:
        """The rows of each workspace."""
        places: dict[str | None, list[int]] = {}
        for row, workspace in enumerate(self.workspaces):
            places.setdefault(workspace, []).append(row)
        return places


def read_batch(table: Any, id_column: str, workspace_column: str | None) -> Batch:
    """Read the columns of a batch. One without rows may have none.

    Raises:
        ConfigurationError: it is not a table, or a column is missing or holds something else.
    """
    if not isinstance(table, import_arrow().Table):
        raise ConfigurationError(
            'FetchLeads takes Arrow tables; use map_batches(FetchLeads, batch_format="pyarrow").'
        )
    if not table.num_rows:
        return Batch([], [])
    lead_ids = _texts(table, id_column, "id_column")
    if workspace_column is None:
        return Batch(lead_ids, [None] * len(lead_ids))
    workspaces = _texts(table, workspace_column, "workspace_column")
    return Batch(lead_ids, [None if each is None else str(each) for each in workspaces])


def _texts(table: Any, name: str, argument: str) -> list[Any]:
    found = table.schema.get_all_field_indices(name)
    if len(found) != 1:
        count = "no column" if not found else "more than one column"
        raise ConfigurationError(
            f"The batch has {count} {cut_repr(name)}; it has {_names(table)}. Name the right one "
            f"with {argument}=…."
        )
    column = table.column(found[0])
    if not _is_text(column.type):
        raise ConfigurationError(
            f"The column {cut_repr(name)} holds {cut_repr(column.type)}, not text; name the right "
            f"one with {argument}=…, or cast it."
        )
    values: list[Any] = column.to_pylist()
    return values


def _names(table: Any) -> str:
    names = [cut_repr(name) for name in table.column_names]
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _is_text(kind: Any) -> bool:
    types = import_arrow().types
    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    is_uuid = getattr(kind, "extension_name", "") == "arrow.uuid"
    # Null: there is no value in the whole batch.
    checks = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    return is_uuid or any(check(kind) for check in checks)
