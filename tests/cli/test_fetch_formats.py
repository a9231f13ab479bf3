"""``fetch`` to CSV and Parquet: from a journal, completely or not at all."""

import csv
import gzip
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commands import IDS, Command, ids_in

from instantly_async.cli import target
from instantly_async.cli.exits import CommandError
from instantly_async.cli.records import Selection
from instantly_async.testing import FakeInstantly, Fault, lead_json

pytestmark = pytest.mark.fake_instantly(rate_limit=None)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "leads.parquet"


@pytest.fixture
def journal(output: Path) -> Path:
    return output.with_name("leads.parquet.jsonl")


def ids_of(path: Path) -> list[str]:
    return sorted(pq.read_table(path, columns=["id"])["id"].to_pylist())


def test_parquet_opens_in_arrow(
    command: Command, ids_file: Path, output: Path, journal: Path, fake_instantly: FakeInstantly
) -> None:
    fake_instantly.unknown = {IDS[0]}
    result = command("fetch", ids_file, "-o", output)
    assert (result.code, result.out) == (3, b"")
    assert ids_of(output) == ids_in(journal.read_bytes()) == IDS[1:]
    assert output.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in output.parent.iterdir()) == [
        "ids.txt",
        "leads.parquet",
        "leads.parquet.errors.jsonl",
        "leads.parquet.jsonl",
    ]


def test_csv_with_fields_and_labels(command: Command, ids_file: Path, tmp_path: Path) -> None:
    """The journal keeps whole leads, so a conversion to other fields needs no request."""
    output = tmp_path / "leads"
    options = ["--format", "csv", "--fields", "email,status,payload.firstName", "--labels"]
    assert command("fetch", ids_file, "-o", output, *options).code == 0
    with output.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["email", "status", "payload.firstName"]
    assert len(rows) == len(IDS)
    journal = tmp_path / "leads.jsonl"
    assert sorted(journal.read_bytes().splitlines()) == sorted(map(lead_json, IDS))
    assert command("convert", journal, tmp_path / "all.csv").code == 0


def test_json_lines_with_fields(command: Command, ids_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "leads.jsonl"
    fields = ["--fields", "email,payload.firstName"]
    expected = [
        {"id": lead["id"], "email": lead["email"], "payload.firstName": payload.get("firstName")}
        for lead in map(json.loads, map(lead_json, IDS))
        for payload in [lead["payload"] or {}]
    ]
    result = command("fetch", ids_file, *fields, "--quiet")
    assert sorted(map(json.loads, result.out.splitlines()), key=lambda lead: lead["id"]) == expected
    assert command("fetch", ids_file, "-o", output, *fields).code == 0
    lines = output.read_bytes().splitlines()
    output.write_bytes(lines[0] + b"\n")
    refused = command("fetch", ids_file, "-o", output, "--resume", "--fields", "email")
    assert (refused.code, "holds only some fields; resume it with" in refused.err) == (2, True)
    assert command("fetch", ids_file, "-o", output, "--resume", *fields).code == 0
    assert sorted(output.read_bytes().splitlines()) == sorted(lines)


def test_a_large_lead_is_cut_down_in_a_thread(
    command: Command,
    ids_file: Path,
    fake_instantly: FakeInstantly,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It could hold up the event loop."""
    threads: dict[bool, set[int]] = {False: set(), True: set()}
    cut = Selection.cut

    def watched(selection: Selection, line: bytes) -> bytes:
        threads[len(line) > 10_000].add(threading.get_ident())
        return cut(selection, line)

    monkeypatch.setattr(Selection, "cut", watched)
    large = b'{"id":"%s","email":"a@b.example","x":[%s1]}' % (IDS[0].encode(), b"1," * 50_000)
    fake_instantly.script(IDS[0], Fault.body(large))
    result = command("fetch", ids_file, "--fields", "email")
    assert result.found == IDS
    assert b'{"id":"%s","email":"a@b.example"}' % IDS[0].encode() in result.out
    here = threading.get_ident()
    assert threads[False] == {here}
    assert here not in threads[True]


def test_resume_converts_again_and_fetches_missing_leads(
    command: Command, ids_file: Path, output: Path, journal: Path, fake_instantly: FakeInstantly
) -> None:
    journal.write_bytes(b"".join(lead_json(each) + b"\n" for each in IDS[:4]) + b'{"id')
    output.write_bytes(b"old")
    result = command("fetch", ids_file, "-o", output)
    assert (result.code, f"{output} exists already; add --resume" in result.err) == (2, True)
    assert command("fetch", ids_file, "-o", output, "--resume").code == 0
    assert len(fake_instantly.requests) == 2
    assert ids_of(output) == IDS
    output.unlink()
    assert command("fetch", ids_file, "-o", output, "--resume").code == 0
    assert len(fake_instantly.requests) == 2
    assert ids_of(output) == IDS


def test_compressed_json_lines(
    command: Command, ids_file: Path, tmp_path: Path, fake_instantly: FakeInstantly
) -> None:
    """The journal beside it keeps whole leads, so the next run may have other ``--fields``."""
    output = tmp_path / "leads.jsonl.gz"
    journal, errors = (tmp_path / f"leads.jsonl.gz{end}" for end in (".jsonl", ".errors.jsonl"))
    fake_instantly.unknown = {IDS[0]}
    fake_instantly.script(IDS[5], *[Fault.status(401)] * 2)
    fetch = ("fetch", ids_file, "-o", output, "--concurrency", "1")
    assert command(*fetch, "--fields", "email").code == 4
    assert not output.exists()
    resumed = command(*fetch, "--fields", "status", "--resume")
    assert (resumed.code, f"Wrote 5 leads to {output} (" in resumed.err) == (3, True)
    assert sorted(journal.read_bytes().splitlines()) == sorted(map(lead_json, IDS[1:]))
    short = gzip.decompress(output.read_bytes())
    assert ids_in(short) == IDS[1:] == ids_in(journal.read_bytes())
    assert {tuple(json.loads(line)) for line in short.splitlines()} == {("id", "status")}
    assert output.stat().st_mode & 0o777 == 0o600
    assert {*tmp_path.iterdir()} == {ids_file, output, journal, errors}
    assert command(*fetch, "--resume", "--quiet").code == 3
    assert gzip.decompress(output.read_bytes()) == journal.read_bytes()


def test_the_files_of_a_compressed_output_are_not_its_input(
    command: Command, ids_file: Path, tmp_path: Path, fake_instantly: FakeInstantly
) -> None:
    output = tmp_path / "leads.jsonl.gz"
    assert command("fetch", ids_file, "-o", output).code == 0
    requests = len(fake_instantly.requests)
    for source in (output, f"{output}.jsonl"):
        for option in ("--resume", "--force"):
            result = command("fetch", source, "-o", output, option)
            assert result == (2, b"", f"{output} is the input; choose another output.\n")
    Path(f"{output}.jsonl").unlink()
    result = command("fetch", ids_file, "-o", output, "--resume")
    assert result.err.startswith(f"{output} exists without {output}.jsonl, from which")
    assert len(fake_instantly.requests) == requests


def test_a_file_without_its_journal_is_not_replaced(
    command: Command, ids_file: Path, output: Path, journal: Path, fake_instantly: FakeInstantly
) -> None:
    output.write_bytes(b"mine")
    result = command("fetch", ids_file, "-o", output, "--resume")
    assert result.code == 2
    assert f"{output} exists without {journal}" in result.err
    assert output.read_bytes() == b"mine"
    output.unlink()
    journal.touch()
    result = command("fetch", ids_file, "-o", output)
    assert (result.code, f"{journal} exists already; add --resume" in result.err) == (2, True)
    assert command("fetch", output, "-o", output, "--resume").code == 2
    assert not fake_instantly.requests


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["-o", "x.csv", "--fields", "id,emial"],
            'There is no field "emial"; the nearest is "email"',
        ),
        (["-o", "x.jsonl", "--labels"], "--labels is for CSV and Parquet"),
        (["-o", "x.parquet", "--csv-raw"], "--csv-raw is for CSV"),
        (["--format", "csv"], "Only JSON Lines can be written to stdout"),
        (["-o", "none/x.parquet"], "There is no folder for"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_any_request(  # noqa: PLR0917 - fixtures
    command: Command,
    ids_file: Path,
    options: list[str],
    words: str,
    fake_instantly: FakeInstantly,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ids_file.parent)
    result = command("fetch", ids_file, *options)
    assert (result.code, result.out, result.err.count("\n")) == (2, b"", 1)
    assert words in result.err
    assert not fake_instantly.requests
    assert list(ids_file.parent.iterdir()) == [ids_file]


def test_a_run_that_gave_up_creates_no_file(
    command: Command, ids_file: Path, output: Path, journal: Path, fake_instantly: FakeInstantly
) -> None:
    """The fetched leads are in the journal; the next run creates the file."""
    fake_instantly.script(IDS[3], *[Fault.status(401)] * 2)
    result = command("fetch", ids_file, "-o", output, "--concurrency", "1")
    assert result.code == 4
    assert not output.exists()
    assert ids_in(journal.read_bytes()) == IDS[:3]
    assert f"Resume with: instantly-async fetch --resume {ids_file} -o {output}" in result.err
    assert command("fetch", "--resume", ids_file, "-o", output).code == 0
    assert ids_of(output) == IDS


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_during_the_conversion(  # noqa: PLR0917 - fixtures
    command: Command, ids_file: Path, output: Path, number: int, code: int, environment: None
) -> None:
    """No partial file is left, the leads are kept, and the statistics have the exit code."""
    start = """
import os, sys
from instantly_async.cli import main
from instantly_async.cli.convert import conversion
read = conversion.read_leads
def read_and_signal(*arguments):
    for number, item in read(*arguments):
        os.kill(os.getpid(), {number})
        yield number, item
conversion.read_leads = read_and_signal
sys.exit(main())
"""
    stats = output.with_name("stats.json")
    arguments = ["fetch", str(ids_file), "-o", str(output), "--stats-json", str(stats)]
    process = subprocess.run(
        [sys.executable, "-c", start.format(number=int(number)), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == code
    assert "Traceback" not in process.stderr
    assert f"Resume with: instantly-async fetch --resume {ids_file}" in process.stderr
    assert not output.exists()
    assert not [path for path in output.parent.iterdir() if path.suffix == ".part"]
    assert json.loads(stats.read_bytes())["exit_code"] == code
    assert command("fetch", ids_file, "-o", output, "--resume", "--quiet") == (0, b"", "")
    assert ids_of(output) == IDS


def test_a_conversion_that_fails(
    command: Command, ids_file: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise CommandError("It does not work; do something else.")

    monkeypatch.setattr(target, "convert", fail)
    result = command("fetch", ids_file, "-o", output)
    assert result.code == 2
    assert result.err.splitlines()[-2] == "It does not work; do something else."


def test_without_zstd_no_request_is_sent(
    command: Command,
    ids_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    fake_instantly: FakeInstantly,
) -> None:
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    result = command("fetch", ids_file, "-o", ids_file.with_name("leads.jsonl.zst"))
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "pip install 'instantly-async[zstd]'" in result.err
    assert not fake_instantly.requests
    assert list(ids_file.parent.iterdir()) == [ids_file]


def test_without_pyarrow_one_sentence(
    command: Command, ids_file: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = command("fetch", ids_file, "-o", output)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "pip install 'instantly-async[parquet]'" in result.err
