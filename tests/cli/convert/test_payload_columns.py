"""Keys of the payload: of journals that were cut, all of them, and keys that no lead has."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import IDS, Command
from hypothesis import given
from hypothesis import strategies as st

from instantly_async.cli.convert import layout
from instantly_async.cli.records import Selection, keys_of, payload_keys, restored
from instantly_async.testing import FakeInstantly, Fault

PAYLOADS: list[Any] = [
    {"industry": "Mining", "n": 1},
    {"n": [1, "é"], "-x": "=1+1", "industry": None},
    "no object",
    None,
    {},
]
LEADS = [
    {"id": lead_id, "status": index, "payload": payload}
    for index, (lead_id, payload) in enumerate(zip(IDS, PAYLOADS, strict=False))
]
WHOLE = b"".join(json.dumps(lead).encode() + b"\n" for lead in LEADS)
FORMS = ["csv", "parquet", "jsonl"]

pytestmark = pytest.mark.fake_instantly(rate_limit=None)


def cut(*names: str) -> bytes:
    return b"".join(map(Selection(names).cut, WHOLE.splitlines()))


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, with text for each value as CSV has it."""
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    elif path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    else:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    return [
        {
            name: "" if each is None else each if isinstance(each, str) else json.dumps(each)
            for name, each in row.items()
        }
        for row in rows
    ]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "leads.jsonl"


# --- journals that were cut -----------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("piped", [True, False])
@pytest.mark.parametrize(
    "fields", [None, "status,id,payload.industry", "payload.industry", "payload.industry,id"]
)
def test_the_keys_of_a_cut_line_come_first(
    command: Command, journal: Path, form: str, fields: str | None, *, piped: bool
) -> None:
    """Without ``--fields`` the output has exactly the fields of the journal, in their order."""
    journal.write_bytes(cut("status", "id", "payload.industry"))
    output = journal.with_name(f"out.{form}")
    options = [] if fields is None else ["--fields", fields]
    source, stdin = ("-", journal.read_bytes()) if piped else (journal, None)
    result = command("convert", source, output, *options, stdin=stdin)
    assert (result.code, result.out) == (0, b"")
    rows = rows_of(output)
    names = (fields or "status,id,payload.industry").split(",")
    if form == "jsonl" and "id" not in names:
        names = ["id", *names]
    assert list(rows[0]) == names
    assert [row["payload.industry"] for row in rows] == ["Mining", "", "", "", ""]
    if form == "parquet" and "status" in names:
        assert pq.read_schema(output).field("status").type == pa.int64()


def test_a_cut_journal_stays_one(command: Command, journal: Path) -> None:
    """A copy in JSON Lines is marked, too, so it is not continued with whole leads."""
    journal.write_bytes(cut("status"))
    assert command("convert", journal, journal.with_name("copy.jsonl")).code == 0
    assert journal.with_name("copy.jsonl").read_bytes() == journal.read_bytes()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["email", "payload", "payload.n", "payload.*"])
def test_a_field_that_no_line_can_have_is_refused(
    command: Command, journal: Path, form: str, name: str
) -> None:
    journal.write_bytes(cut("status"))
    result = command("convert", journal, journal.with_name(f"o.{form}"), "--fields", f"id,{name}")
    if (form, name) == ("jsonl", "payload.*"):
        assert (result.code, "payload.* is for CSV and Parquet" in result.err) == (2, True)
        return
    sentence = f'The leads were fetched without "{name}"; name only fields that they have: '
    assert result == (2, b"", f"{sentence}id,status.\n")
    assert list(journal.parent.iterdir()) == [journal]


@given(
    st.lists(st.text(max_size=4).filter(bool), unique=True),
    st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=3)),
)
def test_a_cut_line_has_its_keys_where_whole_leads_have_them(
    selected: list[str], payload: dict[str, Any]
) -> None:
    """So both become the same cells; also keys with half a surrogate pair, quotes and dots."""
    line = json.dumps({"id": "x", "payload": payload}).encode()
    selection = Selection([f"payload.{key}" for key in selected])
    again = json.loads(restored(selection.cut(line)))
    assert again.get("payload", {}) == {key: payload[key] for key in selected if key in payload}
    assert selection.cut(selection.cut(line)) == selection.cut(line)
    assert restored(line) == line or "payload." in line.decode()


# --- all keys -------------------------------------------------------------------------------


def test_all_keys_become_columns_of_csv(command: Command, journal: Path) -> None:
    """In the order of their first appearance; named ones are not repeated."""
    journal.write_bytes(WHOLE)
    output = journal.with_name("out.csv")
    result = command("convert", journal, output, "--fields", "payload.n,payload.*,id")
    assert result.code == 0
    rows = rows_of(output)
    assert list(rows[0]) == ["payload.n", "payload.industry", "payload.-x", "id"]
    assert [row["payload.-x"] for row in rows] == ["", "'=1+1", "", "", ""]
    assert [row["payload.n"] for row in rows] == [
        "1",
        '[1, "é"]'.replace("é", "\\u00e9"),
        "",
        "",
        "",
    ]
    assert "1 cell begins like a formula, so a ' is in front of it; --csv-raw leaves" in result.err


def test_all_keys_of_a_cut_journal(command: Command, journal: Path) -> None:
    """They are known from the first line, so a pipe will do."""
    data = cut("payload.n", "status", "payload.none")
    output = journal.with_name("out.csv")
    result = command("convert", "-", output, "--fields", "payload.*", stdin=data)
    assert result.code == 0
    assert list(rows_of(output)[0]) == ["payload.n", "payload.none"]
    output = journal.with_name("out.parquet")
    assert command("convert", "-", output, "--fields", "payload.*", stdin=data).code == 0
    first = pq.read_table(output)["payload"].to_pylist()[0]
    assert first == [("n", "1")]


def test_a_pipe_cannot_be_read_twice(command: Command, journal: Path) -> None:
    result = command(
        "convert", "-", journal.with_name("o.csv"), "--fields", "payload.*", stdin=WHOLE
    )
    sentence = "payload.* has to read the leads twice, which a pipe cannot do; save them to a file,"
    assert result == (2, b"", f"{sentence} or name the keys.\n")


@pytest.mark.parametrize("fields", ["payload.*", "id,payload.*,payload.n"])
def test_all_keys_are_a_map_in_parquet(command: Command, journal: Path, fields: str) -> None:
    """Its type does not depend on the leads; a payload that is no object is null."""
    journal.write_bytes(WHOLE)
    output = journal.with_name("out.parquet")
    result = command("convert", journal, output, "--fields", fields)
    assert result.code == 0
    assert "2 of 5 leads" not in result.err
    assert "1 of 5 lead has a field that was converted or left out" in result.err
    table = pq.read_table(output)
    assert table.schema.field("payload").type == pa.map_(pa.string(), pa.string())
    assert table["payload"].to_pylist() == [
        [("industry", "Mining"), ("n", "1")],
        [("n", '[1, "\\u00e9"]'), ("-x", "=1+1"), ("industry", None)],
        None,
        None,
        [],
    ]


def test_tables_of_two_nights_fit_together(command: Command, journal: Path) -> None:
    schemas = []
    for night, lines in enumerate((WHOLE.splitlines()[:1], WHOLE.splitlines()[1:2], [])):
        journal.write_bytes(b"".join(line + b"\n" for line in lines))
        output = journal.with_name(f"{night}.parquet")
        assert command("convert", journal, output, "--fields", "id,payload.*").code == 0
        schemas.append(pq.read_schema(output))
    assert schemas[0] == schemas[1] == schemas[2]


def test_payload_and_all_keys_in_parquet(command: Command, journal: Path) -> None:
    result = command("convert", journal, "o.parquet", "--fields", "payload,payload.*")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "payload.* is the column payload, too; name only one of the two." in result.err


def test_too_many_columns(command: Command, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Excel opens 16,384 of them. Nothing is written."""
    many = {f"k{number}": number for number in range(100_000)}
    journal.write_bytes(json.dumps({"id": "x", "payload": many}).encode() + b"\n")
    result = command("convert", journal, journal.with_name("o.csv"), "--fields", "id,payload.*")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "makes more than 16,384 columns" in result.err
    assert list(journal.parent.iterdir()) == [journal]
    monkeypatch.setattr(layout, "MAX_COLUMNS", 100_001)
    output = journal.with_name("o.parquet")
    assert command("convert", journal, output, "--fields", "payload.*").code == 0
    assert len(pq.read_table(output)["payload"].to_pylist()[0]) == 100_000


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_hostile_payloads(command: Command, journal: Path, form: str) -> None:
    """Deep, with equal keys, half surrogate pairs, line ends and quotes: each is a row."""
    payloads = [
        b'{"a":' + b"[" * 400 + b"]" * 400 + b"}",
        b'{"a":1,"a":2,"":3,"*":4}',
        b'{"\\ud83d":"\\ud83d","x":1}',
        b'{"a\\r\\nb,\\"c\\"":"\\u0000"}',
        b"[" * 300 + b"]" * 300,
    ]
    pairs = zip(IDS, payloads, strict=False)
    journal.write_bytes(b"".join(b'{"id":"%s","payload":%s}\n' % (i.encode(), p) for i, p in pairs))
    output = journal.with_name(f"out.{form}")
    result = command("convert", journal, output, "--fields", "id,payload.*")
    assert result.code == 0
    assert [row["id"] for row in rows_of(output)] == IDS[:5]
    if form == "csv":
        names = ["id", "payload.a", "payload.", "payload.*", "payload.\ufffd", "payload.x"]
        assert list(rows_of(output)[1]) == [*names, 'payload.a\r\nb,"c"']
        assert rows_of(output)[1]["payload.a"] == "2"


def test_all_keys_at_the_end_of_fetch(command: Command, ids_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "leads.csv"
    result = command("fetch", ids_file, "-o", output, "--fields", "id,payload.*")
    assert result.code == 0
    assert "payload.location" in rows_of(output)[0]
    last = f"Wrote 6 leads to {output} ({output.stat().st_size / 1000:.1f} kB)."
    assert result.err.splitlines()[-1] == last


# --- keys that no lead has ------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lines", [WHOLE, cut("payload.industry", "payload.indstry", "status")])
def test_a_key_that_no_lead_has_is_named(
    command: Command, journal: Path, form: str, lines: bytes
) -> None:
    """With the nearest one, if one is close; also with ``--quiet``."""
    journal.write_bytes(lines)
    output = journal.with_name(f"out.{form}")
    options = ["--fields", "id,payload.industry,payload.indstry", "--quiet"]
    result = command("convert", journal, output, *options)
    sentence = "No lead has payload.indstry (the nearest key is payload.industry).\n"
    assert result.code == 0
    assert result.err.endswith(sentence)
    assert "payload.industry," not in result.err


def test_fetch_names_such_keys_too(
    command: Command, ids_file: Path, tmp_path: Path, fake_instantly: FakeInstantly
) -> None:
    """For JSON Lines only if a lead was written; for tables as a conversion does."""
    options = ["--fields", "email,payload.qqq", "--quiet"]
    output = tmp_path / "leads.jsonl"
    result = command("fetch", ids_file, "-o", output, *options)
    assert result == (0, b"", "No lead of this run has payload.qqq.\n")
    assert command("fetch", ids_file, "-o", output, "--resume", *options) == (0, b"", "")
    table = tmp_path / "leads.csv"
    assert command("fetch", ids_file, "-o", table, *options).err == "No lead has payload.qqq.\n"
    fake_instantly.script(IDS[0], Fault.status(404))
    one = tmp_path / "one"
    one.write_text(IDS[0])
    fake_instantly.unknown = {IDS[0]}
    assert "No lead of" not in command("fetch", one, *options).err


def test_many_keys_that_no_lead_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names ten; other keys are remembered up to a bound."""
    monkeypatch.setattr(payload_keys, "MAX_KEYS", 3)
    watch = payload_keys.PayloadKeys([f"absent{number}" for number in range(12)])
    assert watch.describe() is None
    watch.see({f"absent{number}x" for number in range(100_000)} | {"y" * 1000})
    sentence = watch.describe()
    assert sentence is not None
    assert sentence.endswith(" and 2 more.")
    assert len(watch._others) == 3


def test_the_keys_of_a_restored_line() -> None:
    """A ``null`` of a cut line says nothing about the lead."""
    line = b'{"id":"x","payload.a":null,"payload.b":1,"payload":{"a":2,"b":2}} \n'
    assert restored(line) == b'{"id":"x","payload":{"a":2,"b":1}}'
    assert keys_of(restored(b'{"id":"x","payload.a":null}')) == ("id",)
    assert restored(b'["payload."]') == b'["payload."]'
    text = b'{"id":"x","payload":{"payload.a":1}}'
    assert restored(text) == text
