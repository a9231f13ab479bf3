"""``docs/reference/cli.md`` shows the ``--help`` text of every command."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commands import IDS, MODULE
from hypothesis import given
from hypothesis import strategies as st
from places import DOCS

from instantly_async.cli import main
from instantly_async.cli.app import app
from instantly_async.cli.epilogues import CODES, EXAMPLES, epilogue_of
from instantly_async.cli.invocation import table
from instantly_async.testing import FakeInstantly, lead_json

PAGE = DOCS / "reference/cli.md"
COMMANDS = ["", *(f"{name} " for name in app if not name.startswith("-"))]


def shown() -> dict[str, str]:
    """Return the help texts of the page, by command line."""
    blocks = re.findall(
        r"(?ms)^```console\n\$ (instantly-async [^\n]*--help)\n(.*?)^```$", PAGE.read_text()
    )
    return dict(blocks)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_shows_the_help(
    command: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Help is plain text of 80 columns, on stdout only."""
    line = f"instantly-async {command}--help"
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", line.split())
    assert main() == 0
    out, err = capfd.readouterr()
    assert out.rstrip() + "\n" == shown()[line]
    assert err == ""
    assert all(len(each) <= 80 for each in out.splitlines())
    monkeypatch.setenv("COLUMNS", "200")
    assert main() == 0
    assert capfd.readouterr().out == out, "a line is wrapped"


def test_the_page_shows_no_other_help() -> None:
    assert set(shown()) == {f"instantly-async {command}--help" for command in COMMANDS}


EVERY = {line: command for command, rows in EXAMPLES.items() for line, _ in rows}
"""Each example, by its text: the first ones are also those of a command."""


@pytest.fixture
def in_use(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fake_instantly: FakeInstantly,
    environment: None,
) -> None:
    """Enter a folder with the files of the examples, in an environment with a profile."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INSTANTLY_API_KEY_ACME", fake_instantly.api_key)
    Path("ids.txt").write_text("\n".join(IDS))
    Path("export.csv").write_text("Name,Lead ID\n" + "\n".join(f"x,{each}" for each in IDS))


@pytest.mark.fake_instantly(rate_limit=None)
@pytest.mark.parametrize("line", EVERY)
def test_an_example_works(
    line: str, in_use: None, unmeasured: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is, in a shell if it needs one; with an output that exists if it continues one."""
    command = EVERY[line]
    if command == "convert" or "--resume" in line:
        Path("leads.jsonl").write_bytes(lead_json(IDS[0]) + b"\n")
    if "--force" in line:
        Path("leads.csv").write_text("old")
    code = 3 if "--unknown" in line and command == "demo" else 0
    if command == "serve":
        serve_until_it_is_up(line)
    elif "$" in line or ">" in line:
        program = tmp_path / "instantly-async"
        program.write_text(f'#!/bin/sh\nexec {shlex.join(MODULE)} "$@"\n')
        program.chmod(0o700)
        shell = subprocess.run(f"./instantly-async {line}", shell=True, check=False)  # noqa: S602 - ours
        assert shell.returncode == code
    else:
        monkeypatch.setattr(sys, "argv", ["instantly-async", *shlex.split(line)])
        assert main() == code
    for made in re.findall(r"(?:-o|>) (\S+)", line):
        assert Path(made).stat().st_size


def serve_until_it_is_up(line: str) -> None:
    """Run the fake of an example, on a free port, because another one may be in use."""
    port = [] if "--port" in line else ["--port", "0"]
    process = subprocess.Popen([*MODULE, *line.split(), *port], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"export INSTANTLY_BASE_URL=")
        process.terminate()
    assert process.returncode == 0


commands = st.text("abc -", min_size=1, max_size=90)


@given(st.lists(st.tuples(commands, st.text("xyz", min_size=1, max_size=40)), min_size=1))
def test_a_table_has_two_columns(rows: list[tuple[str, str]]) -> None:
    """What a command does begins in the same column each time; no line is longer than it must."""
    lines = list(table(rows))
    columns = set()
    for command, purpose in rows:
        line = lines.pop(0)
        assert line.startswith(f"  instantly-async {command}")
        if len(line) == len(f"  instantly-async {command}"):
            line = lines.pop(0)
            assert not line.removesuffix(purpose).strip()
        assert line.endswith(f"  {purpose}")
        assert len(line) <= 80
        columns.add(len(line) - len(purpose))
    assert not lines
    assert len(columns) == 1


def test_each_help_ends_with_its_examples_and_codes() -> None:
    """Each command has three, and names no code that is not in the list of all codes."""
    names = {command.strip() for command in COMMANDS}
    assert EXAMPLES.keys() == CODES.keys() == names
    assert all(len(rows) == 3 for rows in EXAMPLES.values())
    for name in names:
        text = shown()[f"instantly-async {name} --help".replace("  ", " ")]
        assert text.endswith(epilogue_of(name) + "\n")
        assert {*CODES[name]} <= {*CODES[""]}
    table = (PAGE.read_text().partition("## Exit codes\n")[2]).partition("\n## ")[0]
    documented = re.findall(r"(?m)^\| (\d+)", table)
    assert [int(each) for each in documented] == [*CODES[""][:-1], 130]


def test_the_version(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["instantly-async", "--version"])
    assert main() == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", capfd.readouterr().out)
