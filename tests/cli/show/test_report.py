"""The end of a run: the summary, the summary as JSON, and the bar charts."""

import json
import os
import re
import signal
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from commands import IDS, MODULE, Command, wait_until
from hypothesis import given
from hypothesis import strategies as st
from places import DOCS
from terminals import OnTerminal

from instantly_async._recorder import Recorder
from instantly_async.cli.input import GivenIds
from instantly_async.cli.job import FetchJob, end, run_fetch
from instantly_async.cli.options import Connection
from instantly_async.cli.output import Output
from instantly_async.cli.show.chart import SIDE_BY_SIDE, chart, charts
from instantly_async.cli.show.ending import summary
from instantly_async.cli.show.report import Report, RunStats, Tally
from instantly_async.cli.terminal import Terminal
from instantly_async.cli.work import ById
from instantly_async.enums import InterestStatus, LeadStatus
from instantly_async.outcomes import NotFound
from instantly_async.testing import FakeInstantly, Fault, lead_json

pytestmark = [
    pytest.mark.fake_instantly(rate_limit=None),
    pytest.mark.usefixtures("environment", "unmeasured"),
]


# --- the summary -------------------------------------------------------------------------


def test_the_summary_has_every_fact(command: Command, ids_file: Path) -> None:
    err = command("fetch", ids_file).err
    names = "found|not found|failed|duplicates|requests|received|latency|time|rate"
    assert re.findall(rf"(?m)^({names}) ", err) == names.split("|")
    assert re.search(r"^found +6$", err, re.MULTILINE)
    assert re.search(r"^requests +6 \(0 retries, 0 . 429\)$", err, re.MULTILINE)
    each = r"[\d.,]+ ms"
    assert re.search(rf"^latency +p50 {each}, p95 {each}, p99 {each}$", err, re.MULTILINE)
    assert re.search(r"^rate +[\d.,]+ leads/s, first to last answer$", err, re.MULTILINE)
    assert "left" not in err
    assert " now)" not in err


def test_earlier_leads_are_counted(command: Command, ids_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "leads.jsonl"
    output.write_bytes(lead_json(IDS[0]) + b"\n")
    err = command("fetch", ids_file, "-o", output, "--resume").err
    assert re.search(r"^found +6 \(5 now\)$", err, re.MULTILINE)


def test_the_rate_is_from_the_first_to_the_last_answer() -> None:
    """Outcomes without a request do not count."""
    times = iter([10.0, 11.0, 12.0])
    tally = Tally(lambda: next(times))
    answered = NotFound(lead_id=IDS[0], index=0, attempts=1, elapsed_s=0)
    tally.add(msgspec.structs.replace(answered, attempts=0))
    tally.add(answered)
    assert tally.rate is None
    tally.add(answered)
    tally.add(answered)
    assert tally.rate == 1.0


def test_leads_that_were_not_written_are_unfinished() -> None:
    """A stopped run may have more leads in memory than in the output."""
    stats = Recorder().snapshot(0.0, allowed_rate=95.0)
    now = datetime.now(UTC)
    report = Report(
        stats=msgspec.structs.replace(stats, requested=5, found=3),
        tally=Tally(lambda: 0.0),
        duplicates=0,
        already_done=0,
        started_at=now,
        ended_at=now,
        left=None,
    )
    text = summary(report)
    assert text.startswith("found        0\n")
    assert "left         5 ids, and the rest of the input, which was not read" in text


# --- as JSON -----------------------------------------------------------------------------


def read(path: Path) -> RunStats:
    return msgspec.json.decode(path.read_bytes(), type=RunStats)


def test_the_statistics_are_one_object_of_documented_keys(
    command: Command, fake_instantly: FakeInstantly, tmp_path: Path
) -> None:
    """They replace those of an earlier run, and only the owner can read the file."""
    fake_instantly.unknown = {IDS[0]}
    fake_instantly.script(IDS[1], Fault.throttle(), Fault.status(422))
    for lead_id, status, interest in (
        (IDS[2], 1, None),
        (IDS[3], 1, 4711),
        (IDS[4], -1, None),
    ):
        patch = Fault.patch(status=status, lt_interest_status=interest)
        fake_instantly.script(lead_id, patch)
    path, output = tmp_path / "stats.json", tmp_path / "leads.jsonl"
    path.write_text("old")
    path.chmod(0o644)
    output.write_bytes(lead_json(IDS[5]) + b"\n")
    text = "".join(f"{each}\n" for each in [*IDS, IDS[2], "x"]).encode()
    arguments = ["-o", output, "--resume", "--stats-json", path]
    assert command("fetch", *arguments, stdin=text).code == 3
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.glob("*.part")] == []
    keys = set(json.loads(path.read_bytes()))
    page = (DOCS / "reference/cli.md").read_text()
    table = page.partition("### The summary as JSON")[2].partition("\n## ")[0]
    documented = {
        key
        for row in re.findall(r"(?m)^\| (`.*?) \|", table)
        for key in re.findall(r"`(\w+)`", row)
    }
    assert keys == documented
    stats = read(path)
    assert (stats.exit_code, stats.found, stats.not_found) == (3, 3, 1)
    assert stats.failed == {"InvalidLeadIdError": 1, "RequestRejectedError": 1}
    assert (stats.duplicates, stats.already_done, stats.unfinished) == (1, 1, 0)
    assert (stats.requests, stats.retries, stats.throttled) == (6, 1, 1)
    assert stats.bytes_received > 3 * 500
    assert stats.latency_p50_s is not None
    assert stats.leads_per_s is not None
    assert stats.status == {"1": 2, "-1": 1}
    assert stats.lt_interest_status == {"none": 2, "4711": 1}
    assert stats.started_at.tzinfo == UTC
    assert stats.started_at <= stats.ended_at
    assert stats.elapsed_s >= 0


@pytest.mark.parametrize(
    "case", [({"api_key": "another"}, 4), ({"down": True}, 5), ({}, 0)], ids=["401", "503", "ok"]
)
def test_statistics_are_written_at_every_end(
    command: Command,
    fake_instantly: FakeInstantly,
    ids_file: Path,
    tmp_path: Path,
    case: tuple[dict[str, object], int],
) -> None:
    """Also with ``--quiet``."""
    settings, code = case
    for name, value in settings.items():
        setattr(fake_instantly, name, value)
    path = tmp_path / "stats.json"
    options = ["--quiet", "--patience", "0.1", "--log-level", "error", "--stats-json", path]
    assert command("fetch", ids_file, *options).code == code
    stats = read(path)
    assert stats.exit_code == code
    assert stats.found == (0 if code else 6)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_has_its_statistics(tmp_path: Path, number: int, code: int) -> None:
    output, path = tmp_path / "out.jsonl", tmp_path / "stats.json"
    process = subprocess.Popen(
        [*MODULE, "fetch", "-o", output, "--stats-json", path],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stderr is not None
        os.write(process.stdin.fileno(), f"{IDS[0]}\n".encode())
        wait_until(lambda: output.exists() and output.read_bytes().endswith(b"\n"))
        process.send_signal(number)
        process.stderr.read()
    assert process.returncode == code
    stats = read(path)
    assert (stats.exit_code, stats.found, stats.unfinished) == (code, 1, 0)


def test_demo_writes_them_too(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    assert command("demo", "--count", "3", "--latency-ms", "0", "--stats-json", path).code == 0
    assert read(path).found == 3


@pytest.mark.parametrize(
    "case",
    [
        ("-", "--stats-json needs a file name"),
        ("missing/stats.json", "There is no folder for missing/stats.json"),
        (".", "is a folder; name a file in it"),
        ("/dev/null", "is not a regular file"),
        ("x" * 300, "cannot be created"),
        ("a\0b", "cannot be created"),
        ("--quiet", "A value is missing before --quiet."),
        ("ids.txt", "is the input or the output"),
        ("leads.jsonl", "is the input or the output"),
        ("leads.jsonl.errors.jsonl", "is the input or the output"),
    ],
)
def test_a_file_that_statistics_cannot_be_written_to(
    command: Command,
    fake_instantly: FakeInstantly,
    ids_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, str],
) -> None:
    """One sentence before the run, and no file is changed."""
    name, message = case
    monkeypatch.chdir(ids_file.parent)
    result = command("fetch", "ids.txt", "-o", "leads.jsonl", "--stats-json", name)
    assert (result.code, result.out, result.err.count("\n")) == (2, b"", 1)
    assert message in result.err
    assert not fake_instantly.requests
    assert [each.name for each in ids_file.parent.iterdir()] == ["ids.txt"]


def test_statistics_do_not_replace_the_leads_of_stdout(ids_file: Path, tmp_path: Path) -> None:
    """A shell has opened the file, so its name is the only thing that both have in common."""
    leads = tmp_path / "leads.jsonl"
    with leads.open("ab") as stdout:
        run = subprocess.run(
            [*MODULE, "fetch", ids_file, "--stats-json", leads],
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
        )
    message = f"{leads} is the input or the output; choose another --stats-json.\n"
    assert (run.returncode, run.stderr.decode()) == (2, message)
    assert leads.read_bytes() == b""


def test_statistics_do_not_replace_what_a_link_points_to(
    command: Command, ids_file: Path, tmp_path: Path
) -> None:
    target, link = tmp_path / "mine.json", tmp_path / "link.json"
    target.write_text("mine")
    link.symlink_to(target)
    result = command("fetch", ids_file, "-o", tmp_path / "leads.jsonl", "--stats-json", link)
    assert result == (2, b"", f"{link} is not a regular file; choose another name.\n")
    assert target.read_text() == "mine"


@pytest.mark.parametrize(("unknown", "code"), [((), 5), ({IDS[0]}, 3)])
def test_statistics_that_cannot_be_written_are_a_failure(
    fake_instantly: FakeInstantly,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    unknown: set[str],
    code: int,
) -> None:
    """The folder was removed during the run; the exit code of a failed run has precedence."""
    fake_instantly.unknown = unknown
    job = FetchJob(
        client=Connection().client(),
        work=ById(GivenIds(IDS)),
        output=Output(),
        terminal=Terminal(),
        quiet=True,
    )
    stats_json = str(tmp_path / "gone" / "stats.json")
    assert end(job, run_fetch(job), stats_json) == code
    assert "There is no folder for" in capsys.readouterr().err


# --- bar charts --------------------------------------------------------------------------


def test_a_chart_of_labels_and_numbers() -> None:
    """The largest count first; a value without a label is its number; no value is "none"."""
    counts: Counter[int | None] = Counter({1: 10, -1: 20, None: 5, 4711: 1})
    assert chart("status", counts, LeadStatus, 80, "#").splitlines() == [
        "status",
        f"  Bounced 20 {'#' * 40}",
        f"  Active  10 {'#' * 20}",
        f"  none     5 {'#' * 10}",
        f"  4711     1 {'#' * 2}",
    ]


def test_a_chart_has_at_most_six_bars() -> None:
    """Of seven values, two are summed up, because a bar of one value can have its name."""
    six: Counter[int | None] = Counter({value: 200 - value for value in range(100, 106)})
    rows = chart("x", six, InterestStatus, 80, "#").splitlines()[1:]
    assert [row.split()[0] for row in rows] == [*map(str, range(100, 106))]
    rows = chart("x", six + Counter({106: 1}), InterestStatus, 80, "#").splitlines()[1:]
    assert [row.split()[:2] for row in rows][-2:] == [["104", "96"], ["others", "96"]]


def test_the_others_are_all_that_have_no_bar() -> None:
    counts: Counter[int | None] = Counter({value: 200 - value for value in range(100, 120)})
    rows = chart("x", counts, InterestStatus, 80, "#").splitlines()[1:]
    assert [row.split()[0] for row in rows] == [*map(str, range(100, 105)), "others"]
    assert int(rows[-1].split()[1]) == sum(200 - value for value in range(105, 120))


@pytest.mark.parametrize("width", [10, 24, 40, 80, 200])
def test_bars_fit_the_terminal(width: int) -> None:
    """Lines are shorter than the width; every value has a bar if there is room for bars."""
    counts: Counter[int | None] = Counter({3: 1_000_000, 2: 1, None: 500_000})
    rows = chart("x", counts, InterestStatus, width, "█").splitlines()[1:]
    room = width - len("  Meeting Completed 1000000 ")
    for row in rows:
        assert len(row) < width or room <= 1
        assert ("█" in row) == (room > 1)


def test_charts_on_a_terminal(ids_file: Path, fake_instantly: FakeInstantly) -> None:
    """They precede the summary and show only statuses; bars are # if the encoding has no blocks."""
    for lead_id in IDS:
        fake_instantly.script(lead_id, Fault.patch(status=3, lt_interest_status=None))
    environment = {"PYTHONIOENCODING": "ascii", "TERM": "dumb"}
    with OnTerminal("fetch", ids_file, environment=environment) as terminal:
        assert terminal.wait() == 0
    beside = ("status", "lt_interest_status", f"  Completed 6 {'#' * 25}", f"  none 6 {'#' * 30}")
    expected = "{:<40}{}\r\n{:<40}{}\r\n".format(*beside)
    assert terminal.screen.startswith(f"{expected}found ")


def test_blocks_on_a_terminal(ids_file: Path) -> None:
    with OnTerminal("fetch", ids_file, columns=60) as terminal:
        assert terminal.wait() == 0
    after = terminal.lines[terminal.lines.index("status") :]
    assert "lt_interest_status" in after
    assert any("█" in line for line in after)
    bars = after[: next(i for i, line in enumerate(after) if line.startswith("found"))]
    assert max(map(len, bars)) < 60


def test_no_charts_without_leads(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    with OnTerminal("fetch", path, "--allow-empty") as terminal:
        assert terminal.wait() == 0
    assert "status" not in terminal.screen


@given(
    st.dictionaries(st.none() | st.integers(-5, 20), st.integers(1, 10**9), min_size=1),
    st.integers(60, 200),
)
def test_charts_fit_a_terminal(counts: dict[int | None, int], width: int) -> None:
    """One above the other, or side by side; with all values, whatever they are."""
    tally = Tally(lambda: 0.0)
    tally.statuses, tally.interests = Counter(counts), Counter(counts)
    lines = charts(tally, width, "#").splitlines()
    assert max(map(len, lines)) < width
    assert (lines[0] == "status") == (width < SIDE_BY_SIDE)
    assert len(lines) <= (7 if width >= SIDE_BY_SIDE else 14)


def test_both_charts() -> None:
    tally = Tally(lambda: 0.0)
    tally.statuses[1] += 1
    tally.interests[0] += 1
    assert charts(tally, 20, "#").splitlines() == [
        "status",
        "  Active 1 ########",
        "lt_interest_status",
        "  Out of Office 1 #",
    ]
