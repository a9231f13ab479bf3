"""``LeadBatch.to_arrow``: the table that the command writes to Parquet."""

import asyncio
import importlib
import json
import subprocess
import sys
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Command

from instantly_async import (
    ConfigurationError,
    Found,
    InstantlyClient,
    Lead,
    LeadBatch,
    NotFound,
    _arrow,
)
from instantly_async._recorder import Recorder
from instantly_async.decoding import LeadDecoder
from instantly_async.testing import FakeInstantly, lead_ids

IDS = list(lead_ids(12))
JSON_COLUMNS = ("payload", "status_summary", "status_summary_subseq")
ODD: list[dict[str, Any]] = [
    {},
    {"status": 77, "esp_code": 2**70, "upload_method": "fax", "email_open_count": 2**64},
    {
        "timestamp_created": "0001-01-01T00:00:00+14:00",
        "timestamp_last_open": "2026-02-03 04:05:06",
    },
    {"timestamp_created": "2026-01-02T03:04:05.678+05:30", "timestamp_updated": None},
    {"payload": None, "status_summary": None},
    {"payload": {}, "status_summary": {}},
    {"payload": {"z": [1, {"a": 1.50}], "a": None, "é": "\U0001f600"}},
    {"payload": "no object", "status": "3", "phone": 4915112345678},
    {"payload": [1, 2], "is_website_visitor": "YES", "email_reply_count": 3.0},
    {"first_name": True, "payload": {"n": 1e30, "deep": [[[[]]]]}},
    {"status_summary": {"lastStep": {"from": 5, "more": True}}, "campaign": False},
    {"email": None, "email_click_count": "many"},
]


class Kind(Enum):
    ONE = 1


class Own(msgspec.Struct):
    """A type of the caller's own, with fields of many types."""

    id: UUID
    mail: str | None = msgspec.field(default=None, name="email")
    score: float | None = None
    count: int | msgspec.UnsetType = msgspec.UNSET
    naive: datetime | None = None
    tags: list[str] = []
    kind: Kind | None = None
    payload: dict[str, Any] | None = None
    either: int | str | None = None


def batch_of(*leads: Any, raw: bytes | None = None) -> LeadBatch[Any]:
    outcomes = [
        Found(lead_id=IDS[at], index=at, lead=lead, attempts=1, elapsed_s=0.1, raw=raw)
        for at, lead in enumerate(leads)
    ]
    missing = NotFound(lead_id=IDS[-1], index=len(leads), attempts=1, elapsed_s=0.1)
    return LeadBatch(outcomes=(*outcomes, missing), stats=Recorder().snapshot(0, allowed_rate=None))


def fetch(fake: FakeInstantly, *, keep_raw: bool) -> LeadBatch[Lead]:
    fake.fields = dict(zip(IDS, ODD, strict=True))

    async def main() -> LeadBatch[Lead]:
        async with InstantlyClient(fake.api_key, base_url=fake.url, rate_limit=None) as client:
            return await client.get_leads(IDS, keep_raw=keep_raw)

    return asyncio.run(main())


@pytest.fixture
def parquet(fake_instantly: FakeInstantly, command: Command, tmp_path: Path) -> pa.Table:
    """Fetch the same leads by the command."""
    fake_instantly.fields = dict(zip(IDS, ODD, strict=True))
    (tmp_path / "ids.txt").write_text("\n".join(IDS) + "\n")
    path = tmp_path / "leads.parquet"
    done = command("fetch", tmp_path / "ids.txt", "-o", path)
    assert done.code == 0, done.err
    table = pq.read_table(path)
    return table.take([table["id"].to_pylist().index(each) for each in IDS])


def test_the_table_is_that_of_the_command(fake_instantly: FakeInstantly, parquet: pa.Table) -> None:
    """With ``keep_raw``, to the byte; else only the spelling of JSON texts may differ."""
    exact = fetch(fake_instantly, keep_raw=True).to_arrow()
    assert exact.schema == parquet.schema
    assert exact.to_pylist() == parquet.to_pylist()
    table = fetch(fake_instantly, keep_raw=False).to_arrow()
    assert table.schema == parquet.schema
    assert table.drop(list(JSON_COLUMNS)).equals(parquet.drop(list(JSON_COLUMNS)))
    for made, sent in zip(table["payload"], parquet["payload"], strict=True):
        assert json.loads(made.as_py() or "null") == json.loads(sent.as_py() or "null")


def test_a_summary_has_its_documented_keys() -> None:
    """If the server's own bytes were not kept."""
    lead, problems = LeadDecoder(Lead).decode(
        b'{"id":"%s","status_summary":{"lastStep":{"from":"x"},"new":1}}' % IDS[0].encode()
    )
    assert not problems
    table = batch_of(lead).to_arrow()
    assert json.loads(table["status_summary"][0].as_py()) == {
        "lastStep": {"from": "x", "stepID": None, "timestamp_executed": None},
        "domain_complete": None,
    }


def test_bytes_that_are_no_lead_do_not_count() -> None:
    """A caller may have made the outcome."""
    table = batch_of(Lead(id=IDS[0], payload={"a": 1}), raw=b"no JSON").to_arrow()
    assert table["payload"].to_pylist() == ['{"a":1}']


def test_without_leads_there_are_columns() -> None:
    table = batch_of().to_arrow()
    assert table.num_rows == 0
    assert [each.name for each in table.schema if not each.nullable] == ["id"]
    assert table.schema == batch_of(Lead(id=IDS[0])).to_arrow().schema


def test_a_type_of_the_caller_s_own() -> None:
    """Its Arrow types follow from its fields, not from the values."""
    full = Own(
        id=UUID(IDS[0]), mail="a@b", score=1.5, count=2**64, naive=datetime(2026, 1, 2, 3),  # noqa: DTZ001
        tags=["x"], kind=Kind.ONE, payload={"a": [1]}, either="text",
    )  # fmt: skip
    empty = Own(id=UUID(IDS[1]), either=5)
    table = batch_of(full, empty).to_arrow()
    assert {each.name: str(each.type) for each in table.schema} == {
        "id": "string", "email": "string", "score": "double", "count": "int64",
        "naive": "timestamp[us, tz=UTC]", "tags": "string", "kind": "string",
        "payload": "string", "either": "string",
    }  # fmt: skip
    first, second = table.to_pylist()
    assert first | {"naive": None} == {
        "id": IDS[0], "email": "a@b", "score": 1.5, "count": None, "naive": None,
        "tags": '["x"]', "kind": "1", "payload": '{"a":[1]}', "either": "text",
    }  # fmt: skip
    assert first["naive"].isoformat() == "2026-01-02T03:00:00+00:00"
    assert second == dict.fromkeys(first) | {"id": IDS[1], "tags": "[]", "either": "5"}


def test_types_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not for each lead, which would take a millisecond."""
    kind_of = Mock(wraps=_arrow.kind_of)
    monkeypatch.setattr(_arrow, "kind_of", kind_of)
    batch_of(*(Lead(id=lead_id) for lead_id in IDS)).to_arrow()
    assert kind_of.call_count == len(Lead.__struct_fields__)


def test_pyarrow_takes_a_batch_as_it_is() -> None:
    batch = batch_of(Lead(id=IDS[0]))
    assert pa.table(batch) == batch.to_arrow()


def test_without_pyarrow_a_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError) as caught:
        batch_of().to_arrow()
    assert str(caught.value) == (
        "An Arrow table needs the extra \"parquet\": pip install 'instantly-async[parquet]' "
        "(no module pyarrow)."
    )


def test_importing_the_library_imports_none_of_it() -> None:
    code = (
        "import sys, instantly_async; from instantly_async import InstantlyClient;"
        "print({'pyarrow', 'tqdm', 'instantly_async._arrow', 'instantly_async._html'}"
        " & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.guides
def test_data_frames_take_a_batch_as_it_is() -> None:
    batch = batch_of(Lead(id=IDS[0], email="a@b.example"), Lead(id=IDS[1]))
    ids, polars = IDS[:2], importlib.import_module("polars")
    assert polars.DataFrame(batch)["id"].to_list() == ids
    assert polars.from_arrow(batch.to_arrow()).schema == polars.DataFrame(batch).schema
    assert batch.to_arrow().to_pandas()["id"].to_list() == ids
    leads = importlib.import_module("duckdb").from_arrow(batch.to_arrow())
    assert leads.filter("email IS NOT NULL").select("id").fetchall() == [(ids[0],)]
