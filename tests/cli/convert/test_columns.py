"""The formats, without files: columns, cells, selections, and any lead in each format."""

import csv
import io
import json
import re
import tracemalloc
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from places import DOCS
from stepping import at_once

from instantly_async._api import LeadDecoder
from instantly_async._arrow import arrow_schema
from instantly_async._recorder import Recorder
from instantly_async.cli.convert import writers
from instantly_async.cli.convert.columns import columns_of, parse_fields
from instantly_async.cli.convert.csv_cells import guard_cell
from instantly_async.cli.convert.layout import Found
from instantly_async.cli.convert.packing import Source
from instantly_async.cli.convert.reading import look_into, read_leads
from instantly_async.cli.exits import CommandError
from instantly_async.cli.options import OutputOptions
from instantly_async.cli.records import Selection, keys_of
from instantly_async.cli.target import layout_of
from instantly_async.models import Lead
from instantly_async.outcomes import Found as FoundLead
from instantly_async.outcomes import LeadBatch
from instantly_async.testing import lead_ids, lead_json, make_lead

IDS = list(lead_ids(7))
FORMATS = DOCS / "reference/formats.md"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
NAMES = Lead.__struct_fields__


class Converted(NamedTuple):
    data: bytes
    problems: list[tuple[str, ...]]
    guarded: str | None
    absent: str | None

    @property
    def rows(self) -> list[list[str]]:
        """Return the rows of a CSV, with the header."""
        return list(csv.reader(io.StringIO(self.data.decode(), newline="")))

    @property
    def table(self) -> pa.Table:
        """Return the table of a Parquet file."""
        return pq.read_table(io.BytesIO(self.data))


def convert(
    lines: Iterable[bytes | dict[str, Any]],
    form: str,
    fields: str | None = None,
    *,
    labels: bool = False,
    csv_raw: bool = False,
) -> Converted:
    encoded = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines]
    layout = layout_of(f"out.{form}", OutputOptions(fields=fields, labels=labels, csv_raw=csv_raw))
    source = Source(io.BytesIO(b"".join(each + b"\n" for each in encoded)), "leads")
    found, journal = look_into(source, layout)
    writer, keys = layout.writer(found)
    file, problems = io.BytesIO(), []
    with writer.writing(file) as add:
        for _, item in read_leads(journal, "leads", writer.lead_type):
            problems.append(item.problems + item.lead.settle())
            add(item)
    return Converted(file.getvalue(), problems, writer.remark, keys.describe())


# --- any lead ----------------------------------------------------------------------------

TEXTS = st.text(st.characters(codec=None), max_size=8) | st.sampled_from(
    ["\ud83d", "=1+1", "a,b", '"', "\r\n", "\0", "5", "-5", "true", "2026-01-02T03:04:05Z",
     "2026-01-02", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.9999999-12:00",
     "2016-12-31T23:59:60Z", "10000-01-01T00:00:00Z", "2026-01-02T03:04:05.123456789+23:59"],
)  # fmt: skip


def encode_text(text: str) -> str:
    """Encode a text as the server may do; half a surrogate pair becomes an escape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(text)
    return json.dumps(text, ensure_ascii=False)


TOKENS = st.one_of(
    TEXTS.map(encode_text),
    st.integers().map(str),
    st.sampled_from([str(2**63), str(-(2**63)), str(2**64), "9" * 4100, "1e999", "-0", "1.50"]),
    st.floats().map(json.dumps),  # including NaN and Infinity
    st.sampled_from(["null", "true", "false", "[]", "{}", "[" * 60 + "]" * 60]),
)
VALUES = st.recursive(
    TOKENS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda each: f"[{','.join(each)}]")
        | st.lists(st.tuples(TEXTS.map(encode_text), inner), max_size=3).map(
            lambda pairs: f"{{{','.join(f'{key} : {value}' for key, value in pairs)}}}"
        )
    ),
    max_leaves=6,
)
KEYS = st.sampled_from([f'"{name}"' for name in NAMES if name != "id"]) | TEXTS.map(encode_text)


@st.composite
def hostile_lines(draw: st.DrawFn) -> bytes:
    """Draw a lead of the fake API in which any field may have any value."""
    lead_id = draw(st.sampled_from(IDS))
    members = [f"{json.dumps(k)}:{json.dumps(v)}" for k, v in make_lead(lead_id).items()]
    pairs = draw(st.lists(st.tuples(KEYS, VALUES), max_size=6))
    # If two members have the same key, the last one counts.
    hostile = [f"{key}:{value}" for key, value in pairs if json.loads(key) != "id"]
    return f"{{{','.join([*members, *hostile])}}}".encode()


LINES = st.lists(hostile_lines(), max_size=4)
FIELDS = "id,email,status,payload,timestamp_created,is_website_visitor,payload.location,payload.é"
OPTIONS: list[dict[str, Any]] = [
    {"fields": fields, "labels": labels} for fields in (None, FIELDS) for labels in (False, True)
]


def is_plain_number(cell: str) -> bool:
    """Whether a cell with a sign is a number, such as that of a phone; independent of the code."""
    return set(cell[1:]) <= set("0123456789 ().-") and any(each in "0123456789" for each in cell)


def ids_of(lines: list[bytes]) -> list[str]:
    return [json.loads(line)["id"] for line in lines]


@given(LINES, st.sampled_from(OPTIONS))
def test_any_lead_becomes_a_row_of_parquet(lines: list[bytes], options: dict[str, Any]) -> None:
    """In order, with the schema of the columns; payloads are valid JSON."""
    table = convert(lines, "parquet", **options).table
    fields, labels = options["fields"], options["labels"]
    names = None if fields is None else parse_fields(fields)
    columns = columns_of(names, labels=labels)
    assert table.schema == arrow_schema((each.name, each.kind) for each in columns)
    assert table["id"].to_pylist() == ids_of(lines)
    for row in table.to_pylist():  # also checks that Python can represent each time
        assert row["payload"] is None or json.loads(row["payload"]) is not None


@given(LINES, st.sampled_from(OPTIONS))
def test_any_lead_becomes_a_row_of_csv(lines: list[bytes], options: dict[str, Any]) -> None:
    header, *rows = convert(lines, "csv", **options).rows
    index = header.index("id")
    assert [row[index] for row in rows] == ids_of(lines)
    assert all(len(row) == len(header) for row in rows)
    for row in rows:
        for name, cell in zip(header, row, strict=True):
            kept = "payload" in name or name.startswith("status")  # numbers may begin with a sign
            assert not cell.startswith(FORMULA) or kept or is_plain_number(cell)


@given(LINES)
def test_any_line_passes_through_json_lines(lines: list[bytes]) -> None:
    """Whole lines are unchanged; selections keep the values."""
    assert convert(lines, "jsonl").data.splitlines() == lines
    fields = "email,payload,payload.location"
    cut = convert(lines, "jsonl", fields).data.splitlines()
    assert [keys_of(line) for line in cut] == [("id", *fields.split(","))] * len(lines)
    for line, whole in zip(cut, map(json.loads, lines), strict=True):
        some = json.loads(line)
        for name in ("id", "email", "payload"):
            assert same(some[name], whole[name])
        payload = whole["payload"]
        inner = payload.get("location") if isinstance(payload, dict) else None
        assert same(some["payload.location"], inner)


def same(left: Any, right: Any) -> bool:
    return repr(left) == repr(right)  # NaN is NaN, -0.0 is not 0


@given(st.lists(st.sampled_from(IDS)), st.sampled_from(["csv", "parquet", "jsonl"]))
def test_leads_of_the_fake_api_have_no_problems(ids: list[str], form: str) -> None:
    assert convert(map(lead_json, ids), form).problems == [()] * len(ids)


# --- values ------------------------------------------------------------------------------

ODD = f'{{"a": 1.50, "big":{10**30}}}'
T1 = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "sent", "value", "cell", "counted"),
    [
        ("email", '"a\\ud83d"', "a\ufffd", "a\ufffd", True),
        ("email", '"a\\u0000"', "a\0", "a\0", False),
        ("phone", "4915112345678", "4915112345678", "4915112345678", True),
        ("phone", "1.50", "1.50", "1.50", True),
        ("phone", "9" * 30, "9" * 30, "9" * 30, True),
        ("phone", "1e999", "1e999", "1e999", True),
        ("phone", "-5", "-5", "-5", True),
        ("phone", "true", "true", "true", True),
        ("phone", "[5]", None, "", True),
        ("upload_method", "5", "5", "5", True),
        ("status", "-1", -1, "-1", False),
        ("status", "77", 77, "77", False),
        ("status", '"3"', 3, "3", True),
        ("status", "1.0", 1, "1", True),
        ("status", "1.5", None, "", True),
        ("status", "NaN", None, "", True),
        ("status", "1e999", None, "", True),
        ("status", str(2**63 - 1), 2**63 - 1, str(2**63 - 1), False),
        ("status", str(2**63), None, "", True),
        ("status", str(-(2**63) - 1), None, "", True),
        ("email_open_count", "9" * 4100, None, "", True),
        ("is_website_visitor", '"TRUE"', True, "true", True),
        ("is_website_visitor", "0", False, "false", True),
        ("is_website_visitor", '"maybe"', None, "", True),
        ("timestamp_created", '"2026-01-02T03:04:05Z"', T1, "2026-01-02T03:04:05.000000Z", False),
        ("timestamp_created", '"2026-01-02T05:04:05+02:00"', T1,
         "2026-01-02T03:04:05.000000Z", False),
        ("timestamp_created", '"2026-01-02T03:04:05"', T1, "2026-01-02T03:04:05.000000Z", True),
        ("timestamp_created", '"2026-01-02 03:04:05.000+00"', T1,
         "2026-01-02T03:04:05.000000Z", True),
        ("timestamp_created", '"20260102T050405+02"', T1, "2026-01-02T03:04:05.000000Z", True),
        ("timestamp_created", '"01/02/2026 03:04:05"', None, "", True),
        ("timestamp_created", '"0001-01-01T00:00:00+14:00"', None, "", True),
        ("timestamp_created", '"9999-12-31T23:59:59-01:00"', None, "", True),
        ("timestamp_created", '"10000-01-01T00:00:00Z"', None, "", True),
        ("timestamp_created", "1767322800", None, "", True),
        ("payload", ODD, ODD, ODD, False),
        ("payload", '"text"', '"text"', '"text"', False),
        ("payload", "null", None, "", False),
        ("payload", '{"a":"\\ud83d"}', '{"a":"\ufffd"}', '{"a":"\ufffd"}', True),
        ("status_summary", "{}", "{}", "{}", False),
        ("payload.k", '{"k":"=x"}', "=x", "'=x", False),
        ("payload.k", '{"k":"-5"}', "-5", "-5", False),
        ("payload.k", '{"k":-5}', "-5", "-5", False),
        ("payload.k", '{"k":[1, "é"]}', '[1, "é"]', '[1, "é"]', False),
        ("payload.k", '{"k":null}', None, "", False),
        ("payload.k", "{}", None, "", False),
        ("payload.k", "null", None, "", False),
        ("payload.k", '"text"', None, "", True),
        ("payload.k", "[]", None, "", True),
    ],
)  # fmt: skip
def test_values(field: str, sent: str, value: Any, cell: str, *, counted: bool) -> None:
    """The value in each format; a value that is changed or dropped is counted."""
    key = field.partition(".")[0]
    line = b'{"id":"x","%s":%s}' % (key.encode(), sent.encode())
    parquet = convert([line], "parquet", field)
    assert parquet.table.to_pylist() == [{field: value}]
    assert parquet.problems == [(key,) if counted else ()]
    text = convert([line], "csv", f"id,{field}")
    assert text.rows[1] == ["x", cell]
    assert text.problems == parquet.problems


def test_a_lead_keeps_all_its_values() -> None:
    """Each value in Parquet equals that of ``Lead``; objects are the JSON that the server sent."""
    decoder = LeadDecoder(Lead)
    for row in convert(map(lead_json, IDS), "parquet").table.to_pylist():
        lead, _ = at_once(decoder.decode(lead_json(row["id"]), row["id"]))
        raw = make_lead(row["id"])
        for name, value in row.items():
            if name in {"payload", "status_summary", "status_summary_subseq"}:
                assert value is None if raw.get(name) is None else json.loads(value) == raw[name]
            else:
                assert value == getattr(lead, name)


@pytest.mark.parametrize("kind", ["get", "list"])
def test_row_groups_keep_the_order(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "BATCH_ROWS", 2)
    monkeypatch.setattr(writers, "GROUP_BYTES", 3 * 3000 if kind == "get" else 1)
    converted = convert(map(lead_json, IDS), "parquet")
    assert pq.ParquetFile(io.BytesIO(converted.data)).num_row_groups > 1
    assert converted.table["id"].to_pylist() == IDS


def test_labels() -> None:
    """Labels are the vendor's; an undocumented number gets one too."""
    lead = {"id": "x", "status": -1, "esp_code": 7, "upload_method": "api"}
    fields = "status,esp_code,upload_method,esg_code"
    (row,) = convert([lead], "parquet", fields, labels=True).table.to_pylist()
    assert list(row.values()) == ["Bounced", "Unknown (7)", "API", None]
    (row,) = convert([lead], "parquet", fields).table.to_pylist()
    assert list(row.values()) == [-1, 7, "api", None]
    assert convert([lead], "csv", fields, labels=True).rows[1] == [
        "Bounced", "Unknown (7)", "API", "",
    ]  # fmt: skip


# --- CSV ---------------------------------------------------------------------------------


def test_csv_follows_rfc_4180() -> None:
    lead = {"id": "x", "email": 'a,"b"\r\nc', "website": "a\rb", "is_website_visitor": False}
    data = convert([lead], "csv", "id,email,website,is_website_visitor,phone").data
    assert data == (
        b"id,email,website,is_website_visitor,phone\r\n"
        b'x,"a,""b""\r\nc","a\rb",false,\r\n'
    )  # fmt: skip


def test_a_lone_empty_cell_is_a_row() -> None:
    """It is quoted, because most readers skip blank lines."""
    assert convert([{"id": "x"}, {"id": "y"}], "csv", "email").data == b'email\r\n""\r\n""\r\n'


@given(st.text() | st.tuples(st.sampled_from(FORMULA), st.text()).map("".join))
def test_no_text_begins_a_formula(text: str) -> None:
    """A guarded text is the text after a quote; ``--csv-raw`` does not change it."""
    cell = guard_cell(text)
    assert not cell.startswith(FORMULA) or (cell[0] in "+-" and is_plain_number(cell))
    assert cell in {text, f"'{text}"}
    lead = {"id": "x", "email": text, "payload": {"a": text}}
    fields = "id,email,payload.a"
    assert convert([lead], "csv", fields).rows[1] == ["x", cell, cell]
    assert convert([lead], "csv", fields, csv_raw=True).rows[1] == ["x", text, text]


@given(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
def test_no_number_is_guarded(integer: int, number: float) -> None:
    lead = {"id": "x", "status": integer, "payload": {"n": number}}
    assert convert([lead], "csv", "status,payload.n").rows[1] == [str(integer), repr(number)]


def test_no_name_begins_a_formula() -> None:
    """A payload key begins with ``payload.``, so it needs no quote."""
    fields = 'payload.=1+1,status,"payload.a, ""b"""'
    assert convert([], "csv", fields).rows == [["payload.=1+1", "status", 'payload.a, "b"']]
    assert not any(name.startswith(FORMULA) for name in NAMES)


# --- JSON Lines --------------------------------------------------------------------------


def test_json_lines_keep_the_servers_own_bytes() -> None:
    lines = [
        b'\xef\xbb\xbf{ "id": "X", "status" : 1.50, "new":1, "payload":{"a": [1, 2.0],"b":7}}\r',
        b'{"id":"y","payload":{"a":"\\ud83d"}, "k\\udc00":1, "status":"\\ud83d"}',
        b'{"id":"z","payload":"text"}',
    ]
    assert convert(lines, "jsonl").data == b"\n".join(lines)[3:].replace(b"\r", b"") + b"\n"
    assert convert(lines, "jsonl", "payload.a,status").data == (
        b'{"id":"X","payload.a":[1, 2.0],"status":1.50} \n'
        b'{"id":"y","payload.a":"\\ud83d","status":"\\ud83d"} \n'
        b'{"id":"z","payload.a":null,"status":null} \n'
    )
    assert convert(lines[:1], "jsonl", "status,id").data == b'{"status":1.50,"id":"X"} \n'


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        (b'{"id":"x","email":\r\n"e"}', b'{"id":"x","email":"e"} \n'),
        (b'{"id":"x","email":"\xff\xed\xa0\xbd"}\n', b'{"id":"x","email":"\xff\xed\xa0\xbd"} \n'),
        (b'{"id":"x","email":{"a":\n[1 ]}}', b'{"id":"x","email":{"a":[1 ]}} \n'),
        (b'{"email":"e"}\n', b'{"email":"e"}\n'),
        (b"[1]", b"[1]\n"),
    ],
)
def test_a_selection_loses_nothing(line: bytes, cut: bytes) -> None:
    """Odd bytes are kept; a line without an id is kept whole."""
    assert Selection(["email"]).cut(line) == cut


def test_a_line_nested_too_deeply_stays_whole() -> None:
    line = b'{"id":"x","payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
    assert Selection(["email"]).cut(line) == line
    assert keys_of(line) is None


def test_keys_of_a_line_are_the_selected_fields() -> None:
    selection = Selection(["payload.a.b", "email"])
    assert selection.keys == ("id", "payload.a.b", "email")
    line = selection.cut(b'{"email":"\\ud83d","id":"x","payload":{"a.b":{}}}')
    assert line == b'{"id":"x","payload.a.b":{},"email":"\\ud83d"} \n'
    assert keys_of(line) == selection.keys
    assert keys_of(lead_json(IDS[0])) != selection.keys
    assert keys_of(b"[1]\n") is None
    assert keys_of(b"{}") == ()


# --- options -----------------------------------------------------------------------------


def as_fields(keys: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(["id", *(f"payload.{key}" for key in keys)])
    return line.getvalue()


@pytest.mark.parametrize("names", ["{}", "payload.{0},payload.{0}"])
def test_a_long_name_is_cut_in_the_message(names: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_fields(names.format("x" * 10_000))
    assert len(str(caught.value)) < 250


@given(st.text(st.characters(codec=None)) | st.lists(TEXTS).map(as_fields))
@example("id,payload.*")
def test_any_text_for_fields_is_parsed_or_refused(text: str) -> None:
    try:
        names = parse_fields(text)
    except CommandError as error:
        assert str(error).endswith(".")  # noqa: PT017 - it may also parse
    else:
        assert names
        assert all(name in NAMES or name.startswith("payload.") for name in names)
        for form in ("csv", "parquet", "jsonl"):
            if form == "jsonl" and "payload.*" in names:
                with pytest.raises(CommandError, match="is for CSV and Parquet"):
                    convert([lead_json(IDS[0])], form, text)
            else:
                convert([lead_json(IDS[0])], form, text)


# --- the page ----------------------------------------------------------------------------

IN_CSV = {
    "string": "text",
    "int64": "number",
    "bool": "`true`, `false`",
    "timestamp[us, tz=UTC]": "`2026-01-02T03:04:05.678000Z`",
}


def test_the_page_shows_the_columns() -> None:
    """The page lists all columns in order, with name, Arrow type and form in CSV."""
    shown = re.findall(
        r"(?m)^\| `(\w+)` \| ([^|]+?) \| ([^|]+?) \| ([^|]*?) \|$", FORMATS.read_text()
    )
    columns = columns_of()
    assert shown == [
        (
            column.name,
            str(field.type),
            "JSON" if column.kind == "JSON" else IN_CSV[str(field.type)],
            "text" if column.type is not labels.type else "",
        )
        for column, labels, field in zip(
            columns,
            columns_of(labels=True),
            arrow_schema((each.name, each.kind) for each in columns),
            strict=True,
        )
    ]


@given(LINES)
@example([b'{"id":"%s","payload":"\\ud83d","payload":[1]}' % IDS[0].encode()])
@example([b'{"id":"%s","status_summary":"\\ud83d"}' % IDS[0].encode()])
def test_a_batch_makes_the_same_table(lines: list[bytes]) -> None:
    """``to_arrow`` and Parquet, of any lead whose own bytes were kept."""
    decoder, outcomes = LeadDecoder(Lead), []
    for at, line in enumerate(lines):
        _, item = decoder.decode_item(line)
        assert item is not None
        outcomes.append(
            FoundLead(lead_id=IDS[0], index=at, lead=item.lead, attempts=1, elapsed_s=0, raw=line)
        )
    stats = Recorder().snapshot(0, allowed_rate=None)
    table = LeadBatch(outcomes=tuple(outcomes), stats=stats).to_arrow()
    written = convert(lines, "parquet").table
    assert table.schema == written.schema
    assert table.to_pylist() == written.to_pylist()


# --- memory ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_memory_does_not_grow(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither Python's nor Arrow's memory grows between 200 and 2,000 leads."""
    monkeypatch.setattr(writers, "BATCH_ROWS", 20)
    monkeypatch.setattr(writers, "GROUP_BYTES", 100 * 3000)
    fields = "id,payload" if form == "jsonl" else None
    writer, _ = layout_of(f"out.{form}", OutputOptions(fields=fields)).writer(Found())
    decoder = LeadDecoder(writer.lead_type)
    peaks, arrow = {}, {}
    tracemalloc.start()
    with (tmp_path / "out.jsonl").open("wb") as file, writer.writing(file) as add:
        for count, lead_id in enumerate(lead_ids(2001)):
            item = decoder.decode_item(lead_json(lead_id))[1]
            assert item is not None
            add(item)
            if count in {200, 2000}:
                peaks[count] = tracemalloc.get_traced_memory()[1]
                arrow[count] = pa.default_memory_pool().bytes_allocated()
    tracemalloc.stop()
    assert peaks[2000] < peaks[200] + 512 * 1024
    assert arrow[2000] < arrow[200] + 1024 * 1024
