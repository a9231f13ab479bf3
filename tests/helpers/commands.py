"""Fixtures and helpers that run the command in this process, against a fake server."""

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from instantly_async.cli import main
from instantly_async.testing import DEFAULT_API_KEY, FakeInstantly, lead_ids

IDS = list(lead_ids(6))
MODULE = [sys.executable, "-m", "instantly_async.cli"]

_PROGRAM = """
import signal, sys
{uvloop}
from instantly_async.cli import main, process
process.DRAIN_S = {drain_s}
for number in {ignored}:  # here, because coverage replaces an ignored SIGTERM at the start
    signal.signal(number, signal.SIG_IGN)
sys.exit(main())
"""


def program(*, uvloop: bool = True, ignored: Iterable[int] = (), drain_s: float = 5.0) -> list[str]:
    """Return the line that runs the command, with or without uvloop, and these signals ignored."""
    without = "" if uvloop else "sys.modules['uvloop'] = None"
    numbers = [int(number) for number in ignored]
    text = _PROGRAM.format(uvloop=without, ignored=numbers, drain_s=drain_s)
    return [sys.executable, "-c", text]


class Result(NamedTuple):
    code: int
    out: bytes
    err: str

    @property
    def found(self) -> list[str]:
        """The ids on stdout, sorted."""
        return ids_in(self.out)


Command = Callable[..., Result]


def ids_in(lines: bytes) -> list[str]:
    assert not lines or lines.endswith(b"\n")
    return sorted(json.loads(line)["id"] for line in lines.splitlines())


@pytest.fixture(scope="session", autouse=True)
def heeded_signals() -> None:
    """Heed signals that were ignored when pytest started, because commands inherit that."""
    # Windows has no SIGHUP.
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) is signal.SIG_IGN:
            interrupts = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if interrupts else signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def typed_as_installed() -> None:
    """Let the command name itself as it does without ``uv run``, which may have started pytest."""
    os.environ.pop("UV_RUN_RECURSION_DEPTH", None)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what the command sets up for the whole process, or later tests see no log record."""
    yield
    for name in ("instantly_async", "opentelemetry"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "leads.jsonl"


@pytest.fixture
def errors(output: Path) -> Path:
    return output.with_name("leads.jsonl.errors.jsonl")


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes without coverage, which opens files and makes the start take twice as long.

    For tests of whole processes, if others reach the same lines.
    """
    for name in [each for each in os.environ if each.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def environment(fake_instantly: FakeInstantly, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTANTLY_API_KEY", DEFAULT_API_KEY)
    monkeypatch.setenv("INSTANTLY_BASE_URL", fake_instantly.url)


@pytest.fixture
def command(
    environment: None, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Run the command in this process; the real stdin and stdout are files and pipes."""

    def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
        monkeypatch.setattr(sys, "argv", ["instantly-async", *map(str, arguments)])
        if stdin is None:
            code = main()
        else:
            with piped_stdin(stdin):
                code = main()
        out, err = capfdbinary.readouterr()
        assert DEFAULT_API_KEY not in err.decode()
        assert "Traceback" not in err.decode()
        return Result(code, out, err.decode())

    return run


class piped_stdin:  # noqa: N801 - reads as the context manager it is
    """Feed bytes through a pipe to file descriptor 0."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __enter__(self) -> None:
        self._saved = os.dup(0)
        reader, writer = os.pipe()
        os.dup2(reader, 0)
        os.close(reader)
        os.write(writer, self._data)
        os.close(writer)

    def __exit__(self, *exc_info: object) -> None:
        os.dup2(self._saved, 0)
        os.close(self._saved)


@pytest.fixture
def ids_file(tmp_path: Path) -> Path:
    path = tmp_path / "ids.txt"
    path.write_text("\n".join(IDS))
    return path


def wait_until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)
