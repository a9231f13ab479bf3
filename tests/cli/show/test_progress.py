"""What a terminal shows during a run; with a real pseudo-terminal where needed."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest
from commands import IDS, Command
from terminals import OnTerminal
from virtual_loop import run_virtual

from instantly_async._recorder import Recorder
from instantly_async.cli.input import GivenIds
from instantly_async.cli.show.progress import Display, Progress, progress_line
from instantly_async.cli.terminal import Terminal
from instantly_async.stats import Stats
from instantly_async.testing import FakeInstantly, Fault, lead_ids, lead_json

pytestmark = [
    pytest.mark.fake_instantly(rate_limit=None),
    pytest.mark.usefixtures("environment"),
]


def stats(**changes: object) -> Stats:
    base = Recorder().snapshot(0.0, allowed_rate=95.0)
    return msgspec.structs.replace(base, **changes)


DOWN = stats(breaker_open=True, next_probe_s=3.2, gives_up_s=112.0, retries=25)
PROBING = stats(breaker_open=True, next_probe_s=0.0, gives_up_s=112.0)
PAUSED = stats(paused_s=11.2, throttled=3, retries=3)
WAITING = stats(in_flight=37, waiting=37, retries=400)
BUSY = stats(throttled=12_345, retries=12_345)
FAST = "95.0 leads/s  95.0 requests/s allowed  429s"
BRIEF = "95.0 leads/s  max 95 requests/s  429s"


@pytest.mark.parametrize(
    ("snapshot", "width", "shown"),
    [
        (stats(), 200, f"1200/5000  {FAST} 0  retries 0  ETA 0:40"),
        (stats(), 79, f"1200/5000  {FAST} 0  retries 0  ETA 0:40"),
        (BUSY, 79, f"1200/5000  {BRIEF} 12345  retries 12345  ETA 0:40"),
        (stats(), 39, "1200/5000  95.0 leads/s  ETA 0:40"),
        (stats(), 28, "1200/5000  95/s  ETA 0:40"),
        (stats(), 20, "1200/5000  ETA 0:40"),
        (stats(), 9, "1200/5000"),
        (stats(), 8, ""),
        (PAUSED, 79, "1200/5000  paused by the API, 12 s  429s 3  retries 3"),
        (PAUSED, 39, "1200/5000  paused by the API, 12 s"),
        (PAUSED, 30, "1200/5000  paused 12 s"),
        (PAUSED, 12, "paused 12 s"),
        (WAITING, 79, "1200/5000  37 wait for a retry  429s 0  retries 400"),
        (WAITING, 22, "1200/5000  37 waiting"),
        (stats(in_flight=37, waiting=36), 39, "1200/5000  95.0 leads/s  ETA 0:40"),
        (
            DOWN,
            79,
            "1200/5000  API is down, next try in 4 s, giving up in 1:52  429s 0  retries 25",
        ),
        (DOWN, 75, "1200/5000  API is down, try in 4 s, end in 1:52  429s 0  retries 25"),
        (DOWN, 39, "1200/5000  API down, end in 1:52"),
        (PROBING, 79, "1200/5000  API is down, trying, giving up in 1:52  429s 0  retries 0"),
        (stats(breaker_open=True), 39, "1200/5000  API is down"),
        (
            stats(allowed_rate=None),
            68,
            "1200/5000  95.0 leads/s  no limit  429s 0  retries 0  ETA 0:40",
        ),
    ],
)
def test_the_line_is_worded_by_width(snapshot: Stats, width: int, shown: str) -> None:
    assert progress_line(snapshot, 1200, 5000, 95.0, width) == shown


@pytest.mark.parametrize("width", [39, 79, 199])
@pytest.mark.parametrize("snapshot", [stats(), BUSY, PAUSED, DOWN])
@pytest.mark.parametrize("total", [10, 1_000_000, None])
def test_the_line_fits(snapshot: Stats, width: int, total: int | None) -> None:
    """It fits and shows the count; from 80 columns on it shows everything."""
    done = min(total or 123_456_789, 999_999)
    line = progress_line(snapshot, done, total, 95.0, width)
    assert len(line) <= width
    assert f"{done}/" in line
    if width > 39:
        assert re.search(r"429s \d+  retries \d+", line)
        assert ("ETA" in line) == (snapshot in (stats(), BUSY))


@pytest.mark.parametrize(
    ("done", "total", "rate", "eta"),
    [
        (0, 1_000_000, 95.0, "2:55:26"),
        (0, 10, 0.0, "-"),
        (0, None, 5.0, "-"),
        (12, 10, 1.0, "0:00"),
    ],
)
def test_the_time_left(done: int, total: int | None, rate: float, eta: str) -> None:
    assert progress_line(stats(), done, total, rate, 200).endswith(f"ETA {eta}")


@pytest.mark.parametrize(("columns", "colour"), [(80, True), (80, False), (100, True)])
def test_terminals_of_usual_widths(
    ids_file: Path, fake_instantly: FakeInstantly, columns: int, *, colour: bool
) -> None:
    """The line does not wrap, and has colours unless NO_COLOR; a missing lead is reported.

    If there is room, it ends with a bar.
    """
    fake_instantly.unknown = {IDS[0]}
    environment = {} if colour else {"NO_COLOR": "1"}
    with OnTerminal("fetch", ids_file, columns=columns, environment=environment) as terminal:
        assert terminal.wait() == 3
    assert max(len(line) for line in terminal.lines) < columns
    last = [line for line in terminal.lines if line.startswith("6/6")][-1]
    assert re.search(
        r"6/6  [\d.]+ leads/s  95\.0 requests/s allowed  429s 0  retries 0  ETA [\d:-]+", last
    )
    assert "━" in last or columns == 80
    assert f"not found: {IDS[0]}" in terminal.lines
    assert re.search(r"found +5\r\n", terminal.screen)
    assert bool(re.search(r"\x1b\[[\d;]*3\dm|\x1b\[38;", terminal.screen)) == colour
    assert terminal.screen.rindex("\x1b[?25h") > terminal.screen.rindex("\x1b[?25l")


def test_a_narrow_terminal(ids_file: Path) -> None:
    with OnTerminal("fetch", ids_file, columns=30) as terminal:
        assert terminal.wait() == 0
    drawn = [line for line in terminal.lines if line.startswith("6/6")]
    assert drawn
    assert max(len(line) for line in drawn) < 30


def test_a_pause_is_counted_down(ids_file: Path, fake_instantly: FakeInstantly) -> None:
    fake_instantly.script_all(Fault.throttle(3))
    with OnTerminal("fetch", ids_file, "--concurrency", "1") as terminal:
        seen = terminal.read_until(r"paused by the API, (\d+) s", times=3)
        assert terminal.wait() == 0
    assert [int(each) for each in seen] == sorted(map(int, seen), reverse=True)


def test_an_outage_is_counted_down(tmp_path: Path, fake_instantly: FakeInstantly) -> None:
    """It shows the time until the next try and until the end; then the run continues."""
    path = tmp_path / "ids"
    path.write_text("\n".join(lead_ids(40)))
    fake_instantly.down = True
    with OnTerminal("fetch", path) as terminal:
        seen = terminal.read_until(r"API is down, [\w ]+, giving up in (\d:\d\d)", times=3)
        terminal.read_until(r"next try in \d+ s", times=2)
        fake_instantly.down = False
        assert terminal.wait() == 0
    assert seen == sorted(seen, reverse=True)
    assert any(line.startswith("40/40") for line in terminal.lines)


def test_leads_of_earlier_runs_are_included(ids_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "leads.jsonl"
    output.write_bytes(b"".join(lead_json(each) + b"\n" for each in IDS[:4]))
    with OnTerminal("fetch", ids_file, "-o", output, "--resume") as terminal:
        assert terminal.wait() == 0
    drawn = [line.split()[0] for line in terminal.lines if re.match(r"\d+/", line)]
    assert set(drawn) <= {"4/6", "5/6", "6/6"}
    assert drawn[-1] == "6/6"
    assert any(re.fullmatch(r"found +6 \(2 now\)", line) for line in terminal.lines)


def test_a_dumb_terminal_gets_no_live_line(ids_file: Path) -> None:
    with OnTerminal("fetch", ids_file, environment={"TERM": "dumb"}) as terminal:
        assert terminal.wait() == 0
    assert "leads/s  " not in terminal.screen
    assert "\x1b" not in terminal.screen
    assert re.search(r"(?m)^found +6\r?$", terminal.screen)


@pytest.mark.parametrize("terminal", ["dumb", "none"])
def test_long_runs_print_a_line_a_minute(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: str
) -> None:
    """Plain lines with the time of day and the rate of the last minute, from the first minute on.

    The loop's clock is virtual, so nothing waits.
    """
    monkeypatch.setenv("TERM", "dumb" if terminal == "dumb" else "xterm")
    source = GivenIds(list(lead_ids(6000)))

    def snapshot() -> Stats:
        seconds = asyncio.get_running_loop().time()
        return stats(elapsed_s=seconds, found=int(seconds * (20 if seconds < 70 else 30)))

    async def run(seconds: float) -> None:
        display = Display(Terminal(), snapshot, source, now=lambda: "23:59:59")
        async with display.showing("auto", quiet=False):
            await asyncio.sleep(seconds)

    run_virtual(run(59.0))
    assert capfd.readouterr().err == ""
    run_virtual(run(125.0))
    limit = "95.0 requests/s allowed  429s 0  retries 0"
    assert capfd.readouterr().err.splitlines() == [
        f"23:59:59  1200/6000  20.0 leads/s  {limit}  ETA 4:00",
        f"23:59:59  3600/6000  40.0 leads/s  {limit}  ETA 1:00",
    ]


@pytest.mark.parametrize(
    ("progress", "quiet", "lines"),
    [
        ("auto", False, 1),
        ("auto", True, 0),
        ("on", False, 1),
        ("on", True, 1),
        ("off", False, 0),
        ("off", True, 0),
    ],
)
def test_progress_may_be_chosen(
    capfd: pytest.CaptureFixture[str], progress: Progress, lines: int, *, quiet: bool
) -> None:
    async def run() -> None:
        display = Display(Terminal(), stats, GivenIds(IDS))
        async with display.showing(progress, quiet=quiet):
            await asyncio.sleep(90)

    run_virtual(run())
    assert capfd.readouterr().err.count("\n") == lines


def test_progress_on_a_terminal_may_be_chosen(ids_file: Path) -> None:
    for options, drawn in ((["--progress", "on", "--quiet"], True), (["--progress", "off"], False)):
        with OnTerminal("fetch", ids_file, *options) as terminal:
            assert terminal.wait() == 0
        assert ("6/6" in terminal.screen) == drawn


def test_quiet_is_quiet_on_a_terminal(ids_file: Path) -> None:
    with OnTerminal("fetch", ids_file, "--quiet") as terminal:
        assert terminal.wait() == 0
    assert terminal.screen == ""


def test_without_a_terminal_nothing_is_drawn(command: Command, ids_file: Path) -> None:
    err = command("fetch", ids_file).err
    assert err.startswith("found ")
    assert "\x1b" not in err
    assert "status" not in err
