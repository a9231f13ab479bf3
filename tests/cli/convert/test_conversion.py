"""``convert`` with real files, disks, locks and signals: a whole file, or nothing is changed."""

import contextlib
import csv
import fcntl
import importlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import MODULE, Command, wait_until

from instantly_async.cli import main
from instantly_async.cli.convert import check_output, reading
from instantly_async.cli.convert import conversion as module
from instantly_async.cli.exits import CommandError
from instantly_async.cli.options import OutputOptions
from instantly_async.cli.system import files, replacement
from instantly_async.cli.target import layout_of
from instantly_async.models import Lead
from instantly_async.testing import lead_ids, lead_json, make_lead

IDS = list(lead_ids(7))
LINES = b"".join(lead_json(each) + b"\n" for each in IDS)
FORMS = ["jsonl", "csv", "parquet"]
INTEGERS = {
    "status", "email_open_count", "email_reply_count", "email_click_count", "email_opened_step",
    "email_opened_variant", "email_replied_step", "email_replied_variant", "email_clicked_step",
    "email_clicked_variant", "lt_interest_status", "verification_status", "enrichment_status",
    "esp_code", "esg_code",
}  # fmt: skip
ENUMS = {
    "status", "lt_interest_status", "verification_status", "enrichment_status", "esp_code",
    "esg_code",
}  # fmt: skip

Convert = Callable[..., tuple[int, str]]


@pytest.fixture
def convert(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Convert:
    """Return a function that converts lines in ``tmp_path`` and returns exit code and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(lines: bytes | list[Any], output: str, *options: str) -> tuple[int, str]:
        if isinstance(lines, list):
            lines = b"".join(json.dumps(each).encode() + b"\n" for each in lines)
        Path("leads.jsonl").write_bytes(lines)
        argv = ["instantly-async", "convert", "leads.jsonl", output, *options]
        monkeypatch.setattr(sys, "argv", argv)
        code = main()
        out, err = capfd.readouterr()
        assert out == ""
        assert not list(tmp_path.glob(".*"))  # no temporary file is left
        return code, err if code else without_summary(err, output)

    return run


def without_summary(err: str, output: str) -> str:
    """Return stderr without its last line, which says what was written."""
    *others, last = err.splitlines(keepends=True)
    assert re.fullmatch(rf"Wrote .+ leads? to {output} \(.+\)\.\n", last)
    return "".join(others)


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


# --- what comes out ----------------------------------------------------------------------


def expected_types(*, labels: bool = False) -> dict[str, pa.DataType]:
    """Return the documented schema, written independently of the code."""
    types = {}
    for name in Lead.__struct_fields__:
        if name in INTEGERS and not (labels and name in ENUMS):
            types[name] = pa.int64()
        elif name == "is_website_visitor":
            types[name] = pa.bool_()
        elif name.startswith("timestamp_") or name == "last_step_timestamp_executed":
            types[name] = pa.timestamp("us", tz="UTC")
        else:
            types[name] = pa.string()
    return types


EMPTY: list[list[dict[str, Any]]] = [[], [{"id": "x"}], [dict.fromkeys(Lead.__struct_fields__)]]
EMPTY[2][0]["id"] = "x"


@pytest.mark.parametrize("leads", [[make_lead(each) for each in IDS], *EMPTY])
@pytest.mark.parametrize("labels", [True, False])
def test_the_schema_does_not_depend_on_the_leads(
    convert: Convert, leads: list[Any], *, labels: bool
) -> None:
    """Also without leads, and if all values are null."""
    assert convert(leads, "out.parquet", *["--labels"] * labels) == (0, "")
    schema = pq.read_schema("out.parquet")
    expected = expected_types(labels=labels)
    assert dict(zip(schema.names, schema.types, strict=True)) == expected
    assert [field.name for field in schema if not field.nullable] == ["id"]
    assert pq.read_table("out.parquet").num_rows == len(leads)


@pytest.mark.guides
@pytest.mark.parametrize("leads", [[make_lead(each) for each in IDS], *EMPTY])
@pytest.mark.parametrize("labels", [True, False])
def test_duckdb_sees_the_same_schema(convert: Convert, leads: list[Any], *, labels: bool) -> None:
    duckdb = importlib.import_module("duckdb")
    assert convert(leads, "out.parquet", *["--labels"] * labels) == (0, "")
    expected = expected_types(labels=labels)
    duck = duckdb.execute("DESCRIBE SELECT * FROM 'out.parquet'").fetchall()
    names = {"string": "VARCHAR", "int64": "BIGINT", "bool": "BOOLEAN"}
    assert [(row[0], row[1]) for row in duck] == [
        (name, names.get(str(each), "TIMESTAMP WITH TIME ZONE")) for name, each in expected.items()
    ]
    assert duckdb.execute("SELECT count(*) FROM 'out.parquet'").fetchall() == [(len(leads),)]


@pytest.mark.guides
def test_duckdb_reads_the_same_from_all_formats(convert: Convert) -> None:
    """The same ids in the same order, the same instants, the same key of the payload."""
    duckdb = importlib.import_module("duckdb")
    leads = [make_lead(each) for each in IDS]
    for form in FORMS:
        options = [] if form == "jsonl" else ["--csv-raw"] * (form == "csv")
        assert convert(leads, f"out.{form}", *options) == (0, "")
    columns = "id::VARCHAR, epoch_us(timestamp_created::TIMESTAMPTZ), payload->>'location'"
    sources = {
        "out.parquet": "'out.parquet'",
        "out.csv": "read_csv('out.csv', all_varchar = true)",
        "out.jsonl": "read_json('out.jsonl', format = 'newline_delimited')",
    }
    read = [
        duckdb.execute(f"SELECT {columns} FROM {source}").fetchall()  # noqa: S608 - our own texts
        for source in sources.values()
    ]
    assert read[0] == read[1] == read[2]
    assert [row[0] for row in read[0]] == IDS


@pytest.mark.parametrize("form", FORMS)
def test_fields_select_and_order(convert: Convert, form: str) -> None:
    lead = {"id": "x", "email": "e", "status": 1, "payload": {"a, b": "c"}}
    convert([lead], "out", "--format", form, "--fields", 'status,"payload.a, b", id')
    if form == "csv":
        names, values = csv.reader(io.StringIO(Path("out").read_text()))
    else:
        row = (
            json.loads(Path("out").read_bytes())
            if form == "jsonl"
            else pq.ParquetFile("out").read().to_pylist()[0]
        )
        names, values = list(row), list(row.values())
    assert names == ["status", "payload.a, b", "id"]
    assert list(map(str, values)) == ["1", "c", "x"]


def test_without_pyarrow(convert: Convert, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, with the command that installs it; the other formats do not need it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, err = convert([{"id": "x"}], "out.parquet")
    assert (code, err.count("\n")) == (2, 1)
    assert "pip install 'instantly-async[parquet]'" in err
    assert not Path("out.parquet").exists()
    assert convert([{"id": "x"}], "out.csv") == (0, "")


def test_the_file_is_private_and_replaced_if_forced(convert: Convert) -> None:
    Path("out.csv").write_text("old")
    assert convert([{"id": "x"}], "out.csv", "--fields", "id", "--force") == (0, "")
    assert Path("out.csv").read_text() == "id\nx\n"
    assert Path("out.csv").stat().st_mode & 0o777 == 0o600


def test_fields_that_do_not_fit_are_reported(convert: Convert) -> None:
    leads = [{"id": "x"}, {"id": "y", "email_open_count": 2**63}, {"id": "z", "status": []}]
    code, err = convert(leads, "out.parquet")
    assert code == 0
    assert err == (
        "2 of 3 leads have a field that was converted or left out; "
        "the first is email_open_count in line 2.\n"
    )
    code, err = convert(leads[1:2], "out.csv")
    assert err.startswith("1 of 1 lead has a field")


def test_blank_lines_are_skipped(convert: Convert) -> None:
    """As a resumed run does; but they count for the line numbers."""
    code, err = convert(
        b'\n{"id":"x"}\n\r\n {"id":"y","status":"?"}\n', "out.csv", "--fields", "id"
    )
    assert (code, err) == (0, "")
    assert Path("out.csv").read_bytes() == b"id\r\nx\r\ny\r\n"
    assert (
        "is status in line 4." in convert(b'\n{"id":"x"}\n\n{"id":"y","status":"?"}\n', "b.csv")[1]
    )


# --- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("o.csv", ["--fields", "id,stauts"], 'no field "stauts"; the nearest is "status"'),
        ("o.jsonl", ["--fields", "Email"], 'no field "Email"; the nearest is "email"'),
        ("o.csv", ["--fields", "payload."], 'the nearest is "payload"'),
        ("o.csv", ["--fields", ""], "--fields is empty"),
        ("o.csv", ["--fields", "id,email,id"], '--fields names "id" twice'),
        ("o.csv", ["--fields", "id\nemail"], "--fields is not a list of names"),
        ("o.csv", ["--fields", "payload.\udcff"], "--fields is not a list of names"),
        ("o.jsonl", ["--labels"], "--labels is for CSV and Parquet"),
        ("o.parquet", ["--csv-raw"], "--csv-raw is for CSV"),
        ("o.xlsx", [], "end it with .jsonl, .ndjson, .csv or .parquet, plus .gz, .bz2, .xz or"),
        ("o.parquet", ["--csv-bom"], "--csv-bom is for CSV"),
        (
            "-",
            ["--format", "csv"],
            "Only JSON Lines can be written to stdout; name a file",
        ),
        ("-", ["--format", "jsonl"], "convert writes whole files"),
        ("leads.jsonl", ["--force"], "is the file with the leads"),
        ("leads.jsonl", [], "is the file with the leads"),
        ("here.csv", [], "exists already; choose another name or use --force"),
        ("folder.csv", ["--force"], "folder.csv is a folder; name a file in it."),
        ("link.csv", ["--force"], "is not a regular file"),
        ("no/o.csv", [], "There is no folder for no/o.csv"),
        ("a\0.csv", [], "cannot be created"),
        ("a" * 300 + ".csv", [], "File name too long"),
        ("/proc/o.csv", [], "/proc/o.csv"),
    ],
)
def test_a_refused_command(convert: Convert, output: str, options: list[str], message: str) -> None:
    """One sentence, before any file is created."""
    Path("here.csv").write_text("mine")
    Path("folder.csv").mkdir()
    Path("link.csv").symlink_to("elsewhere.csv")
    code, err = convert([{"id": "x"}], output, *options)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert names_in(Path()) == ["folder.csv", "here.csv", "leads.jsonl", "link.csv"]


def test_the_output_can_be_checked_without_leads(tmp_path: Path) -> None:
    """``fetch`` does this before its first request."""
    check_output(str(tmp_path / "new.csv"), force=True)
    (tmp_path / "old.csv").touch()
    check_output(str(tmp_path / "old.csv"), force=True)
    with pytest.raises(CommandError, match="is a folder"):
        check_output(str(tmp_path), force=True)


def test_a_journal_that_cannot_be_read(command: Command, tmp_path: Path) -> None:
    """It does not exist, is a folder, or its disk is broken."""
    for source, message in [
        ("no.jsonl", "There is no file no.jsonl; check the name."),
        (tmp_path, f"{tmp_path} is a folder; name a file with leads in it."),
        (
            "/proc/self/mem",
            "Reading /proc/self/mem failed: Input/output error; check the file, then try again.",
        ),
    ]:
        assert command("convert", source, tmp_path / "out.csv") == (2, b"", f"{message}\n")
        assert names_in(tmp_path) == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("end", "message"),
    [
        (b"{]\n", "Line 3 of leads.jsonl (from byte 22) is not a lead; fix or remove it."),
        (b'{"email":"ada@example.com"}\n', "is not a lead"),
        (b'{"id":"\xff"}\n', "is not a lead"),
        (b'{"id":"c","payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "is not a lead"),
        (
            b'{"id":"c"',
            "Line 3 of leads.jsonl (from byte 22) has no line end, so the run that writes",
        ),
        (b'{"id":"c"}', "has no line end"),
        (
            b" " * 9_999_999 + b"\n",
            "is longer than 9 MiB, which no lead is; name a file with leads.",
        ),
    ],
)
def test_a_bad_line_leaves_nothing(
    convert: Convert, form: str, end: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a temporary file is left, and an existing output is not changed."""
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 9 << 20)  # instead of a line of 129 MiB
    lines = b'{"id":"a"}\n{"id":"b"}\n' + end
    code, err = convert(lines, f"out.{form}")
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert "ada" not in err
    assert not Path(f"out.{form}").exists()
    Path(f"out.{form}").write_text("old")
    assert convert(lines, f"out.{form}", "--force")[0] == 2
    assert Path(f"out.{form}").read_text() == "old"


# --- other processes at the same time -------------------------------------------------------------


def test_a_journal_that_is_being_written(convert: Convert, tmp_path: Path) -> None:
    """A run holds an exclusive lock, so it is refused; other readers do no harm."""
    (tmp_path / "leads.jsonl").touch()
    with (tmp_path / "leads.jsonl").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert convert([], "out.csv") == (
            2,
            "leads.jsonl is being written by another run; let it finish.\n",
        )
        assert names_in(tmp_path) == ["leads.jsonl"]
        fcntl.flock(other, fcntl.LOCK_SH)
        assert convert([], "out.csv") == (0, "")


def test_no_run_writes_a_journal_that_is_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRESS_LEADS", 3)
    journal, output = tmp_path / "leads.jsonl", str(tmp_path / "out.csv")
    journal.write_bytes(LINES)
    refused = []

    def lock_it(leads: int) -> None:
        with journal.open("ab") as other, contextlib.suppress(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        refused.append(leads)

    layout = layout_of(output, OutputOptions())
    module.convert(str(journal), output, layout, on_progress=lock_it)
    assert refused == [3, 6]


def test_an_output_that_is_created_during_the_conversion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRESS_LEADS", 3)
    journal, output = tmp_path / "leads.jsonl", tmp_path / "out.csv"
    journal.write_bytes(LINES)
    layout = layout_of(str(output), OutputOptions())
    with pytest.raises(CommandError, match="someone else meanwhile; choose another name"):
        module.convert(str(journal), str(output), layout, on_progress=lambda _: output.touch())
    assert names_in(tmp_path) == ["leads.jsonl", "out.csv"]
    assert output.read_bytes() == b""


def test_a_leftover_file_is_removed_but_not_one_in_use(tmp_path: Path) -> None:
    """Nor a file that only has a similar name."""
    output = str(tmp_path / "out.csv")
    others = [
        ".out.csv.0123.part",
        ".out.csvx0123456789abcdef.part",
        ".b.csv.0123456789abcdef.part",
    ]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".out.csv.0123456789abcdef.part").touch()
    (tmp_path / ".out.csv.aaaaaaaaaaaaaaaa.part").mkdir()
    with replacement(output) as first:
        first.write(b"first")
        with replacement(output) as second:
            second.write(b"second")
            assert len(names_in(tmp_path)) == len(others) + 3
    assert Path(output).read_bytes() == b"first"  # the last one to finish
    assert names_in(tmp_path) == sorted([*others, ".out.csv.aaaaaaaaaaaaaaaa.part", "out.csv"])


def test_a_new_file_that_another_run_removes_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may remove it as a leftover before it is locked."""
    taken: list[Path] = []
    real = fcntl.flock

    def flock(fd: int, how: int) -> None:
        if not taken:
            (made,) = tmp_path.iterdir()
            taken.append(made)
            made.unlink()
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with replacement(str(tmp_path / "out.csv")) as file:
        file.write(b"whole")
    assert taken
    assert names_in(tmp_path) == ["out.csv"]
    assert (tmp_path / "out.csv").read_bytes() == b"whole"


def test_a_new_file_is_not_removed_in_place_of_a_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two other runs may have opened it as a leftover before it was created again."""
    real = fcntl.flock
    others: list[int] = []

    def flock(fd: int, how: int) -> None:
        if not others:
            (made,) = tmp_path.iterdir()
            others.append(os.open(made, os.O_RDWR))
            made.unlink()
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(files, "_remove_leftovers", lambda _: None)
    with replacement(str(tmp_path / "out.csv")) as file:
        (made,) = tmp_path.iterdir()
        monkeypatch.setattr(os, "open", lambda *_: os.dup(others[0]))
        files._remove_if_unlocked(made)
        monkeypatch.undo()
        file.write(b"whole")
    os.close(others[0])
    assert (tmp_path / "out.csv").read_bytes() == b"whole"


def test_a_folder_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    """Cleaning up must not hide why the file could not be created."""
    (tmp_path / "folder").touch()
    with pytest.raises(CommandError, match="cannot be created: Not a directory"):
        with replacement(str(tmp_path / "folder" / "out.csv")):
            pass


# --- disks and signals -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "missing"),
    [
        ("jsonl", 1),
        ("jsonl.gz", 1),
        ("csv", 20_000),
        ("csv.xz", 20_000),
        ("parquet", 1),
        ("parquet", 20_000),
    ],
)
def test_a_full_disk(convert: Convert, form: str, tmp_path: Path, missing: int) -> None:
    """One sentence and no file left, no matter which byte does not fit."""
    lines = [{**make_lead(each), "email": os.urandom(20_000).hex()} for each in IDS]
    assert convert(lines, f"out.{form}")[0] == 0
    room = Path(f"out.{form}").stat().st_size - missing
    Path(f"out.{form}").write_bytes(b"old")
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room})); "
        "from instantly_async.cli import main; sys.exit(main())"
    )
    line = [sys.executable, "-c", program, "convert", "leads.jsonl", f"out.{form}", "--force"]
    environment = {name: each for name, each in os.environ.items() if "COVERAGE" not in name}
    result = subprocess.run(line, capture_output=True, check=False, env=environment)
    assert result.stderr.decode() == (
        f"Writing to out.{form} failed: File too large; nothing was changed, so fix the cause "
        "and repeat the command.\n"
    )
    assert result.returncode == 5
    assert names_in(tmp_path) == ["leads.jsonl", f"out.{form}"]
    assert Path(f"out.{form}").read_bytes() == b"old"


@contextlib.contextmanager
def fed_by_a_pipe(folder: Path, output: str, lines: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """Convert lines from a pipe that stays open; yield when the process has begun to write."""
    line = [*MODULE, "convert", "-", output, "--force"]
    before = names_in(folder)
    with subprocess.Popen(
        line, cwd=folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        os.write(process.stdin.fileno(), lines)
        wait_until(lambda: process.poll() is not None or names_in(folder) != before)
        yield process


@pytest.mark.parametrize(
    ("number", "code", "form"),
    [
        (signal.SIGKILL, -9, "csv"),
        (signal.SIGKILL, -9, "parquet"),
        (signal.SIGTERM, 143, "parquet"),
        (signal.SIGTERM, 143, "jsonl.gz"),
        (signal.SIGHUP, 129, "csv"),
        (signal.SIGINT, 130, "csv"),
    ],
)
def test_a_killed_process_changes_nothing(
    convert: Convert, tmp_path: Path, number: int, code: int, form: str
) -> None:
    """Only SIGKILL leaves the temporary file; the next conversion removes it."""
    output = tmp_path / f"out.{form}"
    output.write_bytes(b"old")
    with fed_by_a_pipe(tmp_path, output.name, LINES) as process:
        process.send_signal(number)
        assert process.wait() == code
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert len(names_in(tmp_path)) == 1 + (number == signal.SIGKILL)
    assert output.read_bytes() == b"old"
    assert convert(LINES, output.name, "--force") == (0, "")
    assert names_in(tmp_path) == ["leads.jsonl", output.name]
    assert output.stat().st_size > 1000


# --- progress ----------------------------------------------------------------------------


def convert_on_terminal(folder: Path, *options: str, enough: bytes) -> tuple[int, str]:
    """Convert from a pipe, with a terminal as stderr; close the pipe when ``enough`` is shown."""
    ours, theirs = pty.openpty()
    line = [*MODULE, "convert", "-", "out.csv", "--fields", "id", *options]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    screen = b""
    with subprocess.Popen(
        line, cwd=folder, env=environment, stdin=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        assert process.stdin is not None
        process.stdin.write(b'{"id":"x"}\n' * 2000)
        process.stdin.flush()
        while enough not in screen:
            chunk = read_terminal(ours)
            assert chunk, screen
            screen += chunk
        process.stdin.close()
        while chunk := read_terminal(ours):
            screen += chunk
    os.close(ours)
    return process.returncode, screen.decode()


def read_terminal(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # EIO: the process has closed the other side
        return b""


def test_progress_on_a_terminal(tmp_path: Path) -> None:
    """One line, which is erased at the end."""
    code, screen = convert_on_terminal(tmp_path, enough=b"Converting: 2000 leads")
    assert code == 0
    line, _, end = screen.rpartition("\x1b[2K")  # erases the line
    assert "Converting: 2000 leads" in line
    assert end == "Wrote 2,000 leads to out.csv (6.0 kB).\r\n"
    assert names_in(tmp_path) == ["out.csv"]


def test_quiet_on_a_terminal(tmp_path: Path) -> None:
    assert convert_on_terminal(tmp_path, "--quiet", enough=b"") == (0, "")


def test_stdin_is_closed() -> None:
    line = f"exec {sys.executable} -m instantly_async.cli convert - out.csv <&-"
    result = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr == b"stdin is closed; name a file with leads.\n"
