"""Follows the pages of docs/start as a reader does: in order, in one folder, in a real shell.

What a page shows below a command must be what the command prints, except for its numbers.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import DOCS

from instantly_async.testing import FakeInstantly

pytestmark = pytest.mark.fake_instantly(rate_limit=None)

PAGES = [DOCS / "start" / f"{name}.md" for name in ("install", "stream", "file")]
COMMANDS = Path(sys.executable).parent
INSTALLING = ("python3 -m venv", ". .venv", "pip install")
"""Done for the tests already."""

find_steps = re.compile(
    r"(?ms)Save this as `([\w.]+)`:\n\n```python\n(.*?)^```$"
    r"|^```console\n(.*?)^```$"
)


@pytest.fixture(autouse=True)
def shell(
    fake_instantly: FakeInstantly,
    environment: None,
    unmeasured: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Enter an empty folder, with the command on the path and a fake API in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(COMMANDS), prepend=":")


def test_each_step_works() -> None:
    for page in PAGES:
        text = page.read_text()
        steps = list(find_steps.finditer(text))
        assert len(steps) == len(re.findall(r"```(?:console|python)\n", text))
        for step in steps:
            follow(step)
    assert len(Path("leads.csv").read_text().splitlines()) == 1 + 300


def follow(step: re.Match[str]) -> None:
    """Save the program of a step, or run its commands."""
    name, code, console = step.groups()
    if name:
        Path(name).write_text(code)
        return
    for command, expected in re.findall(r"(?ms)^\$ (.*?)\n(.*?)(?=^\$ |\Z)", console):
        if not command.startswith(INSTALLING):
            done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - ours
            assert done.returncode == 0, done.stderr
            if expected:
                assert without_numbers(expected) in without_numbers(done.stdout + done.stderr)


def without_numbers(text: str) -> str:
    return re.sub(r"[\d.,]+", "0", text)


def test_ids_of_a_workspace() -> None:
    """The other way to a file with ids."""
    (script,) = re.findall(
        r"```sh\n(instantly-async export .*?)```", PAGES[0].read_text(), re.DOTALL
    )
    subprocess.run(script, shell=True, check=True)  # noqa: S602 - ours
    ids = Path("ids.txt").read_bytes().decode().split("\n")[:-1]
    assert len(ids) == 200
    assert all(re.fullmatch(r"[0-9a-f-]{36}", each) for each in ids)
