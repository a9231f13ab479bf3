"""The rows that ``FetchLeads`` makes, without a cluster."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Command

from instantly_async import ConfigurationError, RetryPolicy
from instantly_async.ray import FetchLeads
from instantly_async.ray.rows import SLICE_ROWS, RowMaker
from instantly_async.testing import FakeInstantly, lead_ids

ODD: dict[str, Any] = {
    "status": "3",
    "email_open_count": 2**70,
    "is_website_visitor": "true",
    "timestamp_created": "Sat, 28 Nov 2026 20:00:00 +0100",
    "timestamp_updated": "2026-11-28T20:00:00+02:00",
    "timestamp_last_reply": 1_700_000_000,
    "timestamp_last_click": True,
    "timestamp_last_touch": "2026-02-30T00:00:00Z",
    "timestamp_last_contact": "2026-11-28",
    "timestamp_added_subsequence": "0000-01-01T00:00:00Z",
    "timestamp_last_interest_change": {"at": 1},
    "last_step_timestamp_executed": "9999-12-31T23:59:59.123456789-01:00",
    "timestamp_last_open": "0001-01-01T00:00:00+14:00",
    "payload": {"a": 1.50, "b": "\u00e9\n"},
    "status_summary": {"from": "campaign", "new": [1, 2]},
    "esp_code": 999,
    "phone": 12345,
}


async def fetch(ids: Any, **options: Any) -> Any:
    batch = ids if isinstance(ids, pa.Table) else pa.table({"id": ids})
    return await FetchLeads(limit=None, **options)(batch)


@pytest.mark.parametrize("strategy", ["get", "list"])
def test_the_columns_are_those_of_the_command(
    fake_instantly: FakeInstantly, command: Command, tmp_path: Path, strategy: str
) -> None:
    """Names, types, order and values, also of leads with odd fields."""
    ids = list(lead_ids(8))
    fake_instantly.fields = {ids[1]: ODD, ids[2]: dict.fromkeys(ODD)}
    (tmp_path / "ids.txt").write_text("\n".join(ids))
    table = asyncio.run(fetch(ids, strategy=strategy))  # the command has a loop of its own
    arguments = [tmp_path / "ids.txt", "-o", tmp_path / "a.parquet", "--strategy", strategy]
    assert command("fetch", *arguments).code == 0
    written = pq.read_table(tmp_path / "a.parquet")
    assert table.schema.names == [*written.schema.names, "outcome", "error"]
    rows = table.select(written.schema.names)
    assert rows.schema.equals(written.schema)
    for ours, theirs in zip(rows.to_pylist(), written.sort_by("id").to_pylist(), strict=True):
        assert ours == theirs


HERE, GONE, BROKEN = lead_ids(3)
ROWS = [
    (HERE, HERE, "found"),
    (GONE, GONE, "not_found"),
    ("no-uuid", "no-uuid", "failed"),
    (None, "", "failed"),
    (HERE.upper(), HERE, "found"),
    (BROKEN, BROKEN, "failed"),
    (GONE, GONE, "not_found"),
    (HERE, HERE, "found"),
    ("", "", "failed"),
]
"""The ids of a batch, those of its rows, and their outcomes."""


@pytest.mark.fake_instantly(unknown={GONE}, broken={BROKEN}, list_omits={BROKEN})
@pytest.mark.parametrize("strategy", ["get", "list"])
async def test_each_row_has_one_outcome_in_its_place(environment: None, strategy: str) -> None:
    """Found or not, twice, in another spelling, no UUID, null: in the order of the batch."""
    ids, expected, outcomes = zip(*ROWS, strict=True)
    table = await fetch(list(ids), strategy=strategy, retry=RetryPolicy(attempts=1))
    assert table.column("id").to_pylist() == list(expected)
    assert table.column("outcome").to_pylist() == list(outcomes)
    for row in table.to_pylist():
        assert bool(row["error"]) == (row["outcome"] == "failed")
        assert bool(row["email"]) == (row["outcome"] == "found")
    assert table.column("error").to_pylist()[5].startswith("ServerError: ")
    pq.write_table(table, pa.BufferOutputStream())  # "id" is never null


@pytest.mark.fake_instantly(rate_limit=None)
async def test_many_rows_are_made_in_slices(environment: None) -> None:
    """The order holds over the borders of slices, which the workspaces cross, too."""
    ids = list(lead_ids(2 * SLICE_ROWS + 7))
    workspaces = [f"w{number % 3}" for number in range(len(ids))]
    table = await fetch(
        pa.table({"id": ids, "w": workspaces}), strategy="list", workspace_column="w"
    )
    assert table.column("id").to_pylist() == ids
    assert table.column("w").to_pylist() == workspaces


async def test_nothing_to_fetch_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray Data calls with a table of no rows, sometimes of no columns."""
    monkeypatch.delenv("INSTANTLY_API_KEY", raising=False)
    for batch in (pa.table({}), pa.table({"id": pa.array([], pa.string())})):
        table = await fetch(batch, workspace_column="w")
        assert table.num_rows == 0
        assert table.schema == RowMaker("w").schema


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
async def test_ids_may_be_text_of_any_kind(environment: None, kind: pa.DataType) -> None:
    ids = list(lead_ids(3))
    table = await fetch(pa.table({"lead": pa.array(ids).cast(kind)}), id_column="lead")
    assert table.column("id").to_pylist() == ids


async def test_ids_may_be_uuids_or_all_null(environment: None) -> None:
    uuids = pa.array([UUID(each).bytes for each in lead_ids(2)], pa.uuid())
    table = await fetch(pa.table({"id": uuids, "w": pa.nulls(2)}), workspace_column="w")
    assert table.column("id").to_pylist() == list(lead_ids(2))
    assert table.column("w").to_pylist() == [None, None]
    assert (await fetch(pa.table({"id": pa.nulls(2)}))).column("outcome").to_pylist() == [
        "failed"
    ] * 2


@pytest.mark.parametrize(
    ("batch", "options", "sentence"),
    [
        ({"id": ["x"]}, {}, 'use map_batches(FetchLeads, batch_format="pyarrow")'),
        (pa.table({"lead": ["x"], "n": [1]}), {}, "no column 'id'; it has 'lead', 'n'. Name the"),
        (pa.table({f"c{n}": ["x"] for n in range(30)}), {}, "'c9' and 20 more. Name the right one"),
        (pa.table([["x"], ["y"]], names=["id", "id"]), {}, "more than one column 'id'"),
        (
            pa.table({"id": [1]}),
            {},
            "'id' holds DataType(int64), not text; name the right one with id_column",
        ),
        (pa.table({"id": ["x"]}), {"workspace_column": "w"}, "no column 'w'"),
        (pa.table({"id": ["x"], "w": [1]}), {"workspace_column": "w"}, "with workspace_column=…"),
    ],
    ids=range(7),
)
async def test_a_batch_of_another_form_is_refused(
    environment: None, batch: Any, options: dict[str, Any], sentence: str
) -> None:
    """In one sentence that shows no row."""
    with pytest.raises(ConfigurationError) as caught:
        await FetchLeads(limit=None, **options)(batch)
    assert sentence in str(caught.value)
