"""The first signal lets requests in flight finish, the second ends the run; the file is valid."""

import asyncio
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import Command, ids_in, program, wait_until

from instantly_async.cli.process import run
from instantly_async.cli.terminal import Terminal
from instantly_async.testing import FakeInstantly, Fault, lead_ids

IDS = list(lead_ids(60))

pytestmark = [
    pytest.mark.fake_instantly(rate_limit=None),
    pytest.mark.usefixtures("environment"),
]


@pytest.fixture
def ids_file(tmp_path: Path) -> Path:
    path = tmp_path / "ids.txt"
    path.write_text("\n".join(IDS))
    return path


@contextmanager
def fetching(
    ids_file: Path, output: Path, *, drain_s: float, uvloop: bool = True
) -> Iterator["subprocess.Popen[str]"]:
    """Run ``fetch`` in another process; kill it at the end of the block."""
    command = [*program(drain_s=drain_s, uvloop=uvloop), "fetch", str(ids_file), "-o", str(output)]
    command += ["--concurrency", "4"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        with process:
            yield process
    finally:
        process.kill()


def until_asked(fake: FakeInstantly, count: int, process: "subprocess.Popen[str]") -> None:
    """Wait, but leave the core to the process."""
    wait_until(lambda: len(fake.requests) >= count or process.poll() is not None)
    assert process.poll() is None


def whole_leads(output: Path) -> list[str]:
    return ids_in(output.read_bytes())


@pytest.mark.parametrize("uvloop", [True, False])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_row_30_the_first_signal_lets_requests_in_flight_finish(  # noqa: PLR0917 - fixtures
    command: Command,
    ids_file: Path,
    tmp_path: Path,
    fake_instantly: FakeInstantly,
    number: signal.Signals,
    code: int,
    *,
    uvloop: bool,
) -> None:
    """The lead of each sent request is written; the printed command fetches the others."""
    fake_instantly.latency_s = 0.2
    output = tmp_path / "leads.jsonl"
    with fetching(ids_file, output, drain_s=60, uvloop=uvloop) as process:
        until_asked(fake_instantly, 3, process)
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == code
    written = whole_leads(output)
    assert 3 <= len(written) < len(IDS)
    assert written == sorted(str(request.lead_id) for request in fake_instantly.requests)
    assert "Stopping: requests in flight get 60 s; a second signal ends the run at once.\n" in err
    assert f"found        {len(written)}\n" in err
    command_line = err.rpartition("Resume with: ")[2]
    program, *arguments = shlex.split(command_line)
    assert program == "instantly-async"
    fake_instantly.latency_s = 0
    fake_instantly.reset()
    assert command(*arguments).code == 0
    assert whole_leads(output) == IDS
    assert len(fake_instantly.requests) == len(IDS) - len(written)


def test_row_30_a_request_that_takes_too_long_is_cancelled(
    ids_file: Path, tmp_path: Path, fake_instantly: FakeInstantly
) -> None:
    fake_instantly.script(IDS[0], Fault.stall(60))
    output = tmp_path / "leads.jsonl"
    with fetching(ids_file, output, drain_s=0.3) as process:
        until_asked(fake_instantly, 2, process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
    assert process.returncode == 143
    written = whole_leads(output)
    assert IDS[0] not in written
    assert f"found        {len(written)}\n" in err
    assert f"left         {len(IDS) - len(written)} id" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("uvloop", [True, False])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_row_30_the_second_signal_ends_at_once(
    ids_file: Path,
    tmp_path: Path,
    fake_instantly: FakeInstantly,
    second: signal.Signals,
    *,
    uvloop: bool,
) -> None:
    """Without the second signal, this run would take ten minutes."""
    fake_instantly.script(IDS[0], Fault.stall(600))
    output = tmp_path / "leads.jsonl"
    with fetching(ids_file, output, drain_s=600, uvloop=uvloop) as process:
        until_asked(fake_instantly, 2, process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Stopping")
        process.send_signal(second)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + second
    assert err == ""
    assert IDS[0] not in whole_leads(output)


@pytest.mark.parametrize("uvloop", [True, False])
def test_row_30_the_second_signal_ends_at_once_with_a_pipe_too(
    ids_file: Path, fake_instantly: FakeInstantly, *, uvloop: bool
) -> None:
    fake_instantly.script(IDS[0], Fault.stall(600))
    process = subprocess.Popen(
        [*program(drain_s=600, uvloop=uvloop), "fetch", str(ids_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        until_asked(fake_instantly, 2, process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Stopping")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (143, "")


def test_row_30_a_second_hang_up_does_not_end_the_run(
    ids_file: Path, tmp_path: Path, fake_instantly: FakeInstantly
) -> None:
    """When a terminal is closed, the kernel and the shell may send one SIGHUP each."""
    fake_instantly.latency_s = 0.2
    output = tmp_path / "leads.jsonl"
    with fetching(ids_file, output, drain_s=60) as process:
        until_asked(fake_instantly, 3, process)
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Stopping")
        process.send_signal(signal.SIGHUP)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 129
    assert "Stopping" not in err
    written = whole_leads(output)
    assert written == sorted(str(request.lead_id) for request in fake_instantly.requests)


def test_row_30_two_hang_ups_in_one_iteration_of_the_loop_stop_once() -> None:
    stopped = asyncio.Event()
    stops = []

    async def hang_up_twice() -> int:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
        await stopped.wait()
        await asyncio.sleep(0)
        return 0

    def stop() -> None:
        stops.append(True)
        stopped.set()

    assert run(hang_up_twice(), Terminal(), stop=stop) == 129
    assert stops == [True]


def test_row_30_a_half_written_line_is_removed(
    ids_file: Path, tmp_path: Path, fake_instantly: FakeInstantly
) -> None:
    """A short write splits a line in two parts; the second signal comes between them."""
    patch = """
import os, signal
real_write = os.write
def write(fd, data):
    if fd > 2 and len(data) > 1000:
        written = real_write(fd, data[:500])
        os.kill(os.getpid(), signal.SIGINT)  # the event loop handles the first one
        if signal.getsignal(signal.SIGINT).__name__ == "leave_now":
            os.kill(os.getpid(), signal.SIGINT)
        return written
    return real_write(fd, data)
os.write = write
"""
    output = tmp_path / "leads.jsonl"
    python, option, start = program(drain_s=600)
    command = [python, option, patch + start, "fetch", str(ids_file), "-o", str(output)]
    result = subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert result.returncode == 130
    assert len(whole_leads(output)) < len(IDS)
