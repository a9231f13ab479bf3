"""What reaches stderr, whatever it is: each sentence as it is, or nothing; the run goes on."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import pytest
from commands import IDS, MODULE, Command, ids_in

from instantly_async.cli.show import counting
from instantly_async.cli.target import Target
from instantly_async.cli.terminal import Terminal, visible

pytestmark = pytest.mark.fake_instantly(rate_limit=None)

PLAIN = (
    "run:1234:.jsonl [red]x[/] :smile: http://x \xa0\u202f\u3000e\u0301 \U0001f468\u200d\U0001f469"
)
ESCAPED = {
    "a\x1b[31mb": r"a\x1b[31mb",
    "a\nb\r\tc": r"a\nb\r\tc",
    "\x7f\x9b\u200b\u2028\u202e": r"\x7f\x9b\u200b\u2028\u202e",
    "\udcff": r"\udcff",
}


def test_a_sentence_is_one_line_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A long one, too: what is to be pasted must not be wrapped."""
    terminal = Terminal()
    for text in (PLAIN, "x " * 500, *ESCAPED):
        terminal.say(text)
    shown = capsys.readouterr().err.split("\n")
    assert shown == [PLAIN, "x " * 500, *ESCAPED.values(), ""]


@pytest.mark.parametrize("name", [PLAIN, *ESCAPED, "it's", "a\\b\n'c"])
def test_the_command_to_resume_can_be_pasted(name: str) -> None:
    arguments = ["fetch", f"{name}.txt", "-o", name]
    hint = Target(name).how_to_resume(arguments, from_stdin=False)
    assert hint is not None
    assert visible(hint) == hint
    words = hint.partition("with: instantly-async ")[2]
    printed = subprocess.run(
        ["/bin/bash", "-c", f"printf '%s\\0' {words}"], capture_output=True, check=True
    )
    assert os.fsdecode(printed.stdout).split("\0") == ["fetch", "--resume", *arguments[1:], ""]


@pytest.mark.parametrize("value", ["0", "abc", "-1", "²", "9" * 12, ""])
def test_a_width_that_is_none_is_ignored(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.delenv("COLUMNS", raising=False)
    usual = Terminal().console.width
    monkeypatch.setenv("COLUMNS", value)
    monkeypatch.setenv("LINES", value)
    assert Terminal().console.width == usual > 1
    monkeypatch.setenv("COLUMNS", "100")
    assert Terminal().console.width == 100


class Broken(io.StringIO):
    """A stream without a descriptor that fails when it is written."""

    def write(self, _: str) -> int:
        raise OSError(5, "Input/output error")


def closed() -> TextIO:
    stream = io.StringIO()
    stream.close()
    return stream


def strict_ascii() -> TextIO:
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii")


@pytest.mark.parametrize("make", [lambda: None, closed, Broken, strict_ascii])
def test_without_a_stderr_that_works(
    command: Command, monkeypatch: pytest.MonkeyPatch, make: object
) -> None:
    """As in a windowed application: only what would be shown is lost."""
    assert callable(make)
    monkeypatch.setattr(sys, "stderr", make())
    terminal = Terminal()
    terminal.say("ü")
    assert not terminal.is_terminal
    assert command("get", IDS[0]).found == [IDS[0]]
    assert command("get", "ü").code == 2
    if sys.stderr is not None:
        sys.stderr.close()  # the null device, which is otherwise kept until the process ends


@pytest.mark.parametrize(
    ("encoding", "block", "spinner"), [("utf-8", "█", "dots"), ("cp1252", "#", "line")]
)
def test_what_the_encoding_cannot_show_is_not_drawn(
    monkeypatch: pytest.MonkeyPatch, encoding: str, block: str, spinner: str
) -> None:
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    terminal = Terminal()
    assert (terminal.block, terminal.spinner) == (block, spinner)
    terminal.is_live = True
    with counting(terminal, quiet=False) as on_progress:
        on_progress(1)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", ">&- 2>/dev/full"])
def test_closed_streams_get_no_file(ids_file: Path, tmp_path: Path, streams: str) -> None:
    """A socket in their place would get messages, and uvloop would end the process."""
    output, stats = tmp_path / "leads.csv", tmp_path / "stats.json"
    shell = ["/bin/sh", "-c", f'exec "$@" {streams}', "sh"]
    arguments = ["fetch", str(ids_file), "-o", str(output), "--stats-json", str(stats)]
    done = subprocess.run([*shell, *MODULE, *arguments], check=False, timeout=60)
    assert done.returncode == 0
    assert ids_in(Path(f"{output}.jsonl").read_bytes()) == IDS
    assert output.exists()
    assert stats.exists()


def test_a_full_stdout_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        line = [*MODULE, "ids"]
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 5
    assert done.stderr == (
        b"The system failed: No space left on device; fix the cause, then repeat the command.\n"
    )
