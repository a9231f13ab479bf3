"""Row 38: started by a script or with ``nohup``, and without a terminal: the run ends as usual.

What was ignored when the command started stays ignored; other signals stop the run as in row 30.
"""

import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM

import pytest
from commands import MODULE, ids_in, program, wait_until

from instantly_async.testing import FakeInstantly, lead_ids

IDS = list(lead_ids(60))

pytestmark = [
    pytest.mark.fake_instantly(rate_limit=None, latency_s=0.2),
    pytest.mark.usefixtures("environment", "unmeasured"),
]

IN_BACKGROUND = ["sh", "-c", '"$@" & echo $!; wait $!', "sh"]
"""Run a command as a script does; the first line is its process id, the exit code is its own."""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    ids_file = tmp_path / "ids.txt"
    ids_file.write_text("\n".join(IDS))
    return ["fetch", str(ids_file), "-o", str(tmp_path / "leads.jsonl"), "--concurrency", "4"]


@contextmanager
def started(*line: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a command; kill it at the end of the block."""
    process = subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def until_asked(fake: FakeInstantly) -> None:
    wait_until(lambda: len(fake.requests) >= 3)


def require_all(fake: FakeInstantly, output: Path) -> None:
    """Check that each lead is in the output, and was requested once."""
    assert ids_in(output.read_bytes()) == IDS
    assert len(fake.requests) == len(IDS)


@pytest.mark.parametrize("uvloop", [True, False])
@pytest.mark.parametrize("number", [SIGINT, SIGTERM, SIGHUP])
def test_row_38_a_signal_that_is_ignored_stays_ignored(
    arguments: list[str],
    output: Path,
    fake_instantly: FakeInstantly,
    number: signal.Signals,
    *,
    uvloop: bool,
) -> None:
    with started(*program(uvloop=uvloop, ignored=[number]), *arguments) as process:
        until_asked(fake_instantly)
        for _ in range(2):
            process.send_signal(number)
        fake_instantly.latency_s = 0
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "found        60\n" in err
    assert "Stopping" not in err
    require_all(fake_instantly, output)


def test_row_38_in_a_script(
    arguments: list[str], output: Path, fake_instantly: FakeInstantly
) -> None:
    """A shell ignores SIGINT for a command that a script starts with ``&``."""
    with started(*IN_BACKGROUND, *MODULE, *arguments) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        until_asked(fake_instantly)
        os.kill(number, SIGINT)
        fake_instantly.latency_s = 0
        process.communicate(timeout=60)
    assert process.returncode == 0
    require_all(fake_instantly, output)


@pytest.mark.skipif(shutil.which("nohup") is None, reason="nohup is not installed")
def test_row_38_with_nohup(
    arguments: list[str], output: Path, fake_instantly: FakeInstantly
) -> None:
    with started("nohup", *MODULE, *arguments) as process:
        until_asked(fake_instantly)
        process.send_signal(SIGHUP)
        fake_instantly.latency_s = 0
        process.communicate(timeout=60)
    assert process.returncode == 0
    require_all(fake_instantly, output)


def test_row_38_other_signals_stop_the_run(
    arguments: list[str], output: Path, fake_instantly: FakeInstantly
) -> None:
    """What is ignored does not end the stopped run at once, either."""
    with started(*program(ignored=[SIGINT], drain_s=60), *arguments) as process:
        until_asked(fake_instantly)
        process.send_signal(SIGTERM)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Stopping")
        process.send_signal(SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 143
    written = ids_in(output.read_bytes())
    assert 3 <= len(written) == len(fake_instantly.requests) < len(IDS)


@pytest.mark.parametrize("redirected", ["</dev/null >/dev/null 2>&1", "<&- >&- 2>&-"])
def test_row_38_without_a_terminal(
    arguments: list[str], output: Path, fake_instantly: FakeInstantly, redirected: str
) -> None:
    """As from cron or a service manager, in a session of its own."""
    fake_instantly.latency_s = 0
    line = ["sh", "-c", f'exec "$@" {redirected}', "sh", *MODULE, *arguments]
    done = subprocess.run(line, check=False, start_new_session=True, timeout=60)
    assert done.returncode == 0
    require_all(fake_instantly, output)


@pytest.mark.parametrize(("trap", "code"), [("", 129), ("trap '' HUP; ", 0)])
def test_row_38_the_terminal_is_closed(
    arguments: list[str], output: Path, fake_instantly: FakeInstantly, trap: str, code: int
) -> None:
    """The kernel sends SIGHUP then, and stderr, with its progress line, cannot be written."""
    ours, theirs = pty.openpty()
    # A new session has no terminal; the first that it opens becomes its own.
    line = ["sh", "-c", f'{trap}exec "$@" 2<>"$0"', os.ttyname(theirs), *MODULE, *arguments]
    environment = os.environ | {"TERM": "xterm"}
    process = subprocess.Popen(
        line, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    try:
        until_asked(fake_instantly)
        os.close(theirs)
        os.close(ours)
        if code == 0:
            fake_instantly.latency_s = 0
        assert process.wait(60) == code
    finally:
        process.kill()
    written = ids_in(output.read_bytes())
    assert len(written) == len(fake_instantly.requests)
    assert (written == IDS) == (code == 0)
