"""``docs/cli.md`` shows the ``--help`` text of every command."""

import re
import sys

import pytest
from places import DOCS

from instantly_async.cli import main
from instantly_async.cli.app import app

PAGE = DOCS / "cli.md"
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


def test_the_page_shows_no_other_help() -> None:
    assert set(shown()) == {f"instantly-async {command}--help" for command in COMMANDS}


def test_the_version(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["instantly-async", "--version"])
    assert main() == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", capfd.readouterr().out)
