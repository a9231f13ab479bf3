"""Runs the tests of the large dependency groups in an environment of their own.

Databases, data frames and competitors take 200 MB. Whoever tries the demo need not download them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import is_there
from places import ROOT

GROUPS = ("guides", "bench")


@pytest.mark.timeout(600)
def test_groups(unmeasured: None) -> None:
    missing = [group for group in GROUPS if not is_there(group)]
    if not missing:
        pytest.skip("The groups are installed here, so their tests run in this environment.")
    uv = os.environ.get("UV")  # set by ``uv run``
    if uv is None:
        pytest.skip(f"{' and '.join(missing)} are not installed, nor is this run by ``uv run``.")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    command = [uv, "run", "--isolated", "--python", sys.executable]
    command += [f"--group={group}" for group in missing]
    command += ["pytest", "-q", "-n", "0", "-m", " or ".join(missing), "-p", "no:cacheprovider"]
    command += [str(file) for file in (ROOT / "tests").rglob("test_*.py") if is_marked(file)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout, done.stdout


def is_marked(file: Path) -> bool:
    text = file.read_text()
    return any(f"mark.{group}" in text for group in GROUPS)
