"""Runs the tests that need the dependency group ``guides`` in an environment of their own.

The group holds 130 MB of databases and data frames. Whoever tries the demo need not download them.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import GUIDES
from places import ROOT


@pytest.mark.timeout(600)
def test_guides(unmeasured: None) -> None:
    if all(map(find_spec, GUIDES)):
        pytest.skip("The group is installed here, so its tests run in this environment.")
    uv = os.environ.get("UV")  # set by ``uv run``
    if uv is None:
        pytest.skip("The group guides is not installed, nor do these tests run in ``uv run``.")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    command = [uv, "run", "--isolated", "--group", "guides", "--python", sys.executable]
    command += ["pytest", "-q", "-n", "0", "-m", "guides", "-p", "no:cacheprovider"]
    command += [str(file) for file in (ROOT / "tests").rglob("*.py") if is_marked(file)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout, done.stdout


def is_marked(file: Path) -> bool:
    return "mark.guides" in file.read_text() and file.name != "test_guides.py"
