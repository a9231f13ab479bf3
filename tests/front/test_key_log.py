"""``SSLKEYLOGFILE``: the keys of TLS connections go into a file, or the variable is ignored."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os
{first}
import instantly_async.testing
from instantly_async import InstantlyClient
InstantlyClient("k")
print(os.environ["SSLKEYLOGFILE"])
"""


def run(path: Path, first: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", CODE.format(first=first)],
        env=os.environ | {"SSLKEYLOGFILE": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_key_log_that_cannot_be_written_is_ignored(tmp_path: Path) -> None:
    """aiohttp could not be imported; other programs ignore it, and the variable stays theirs."""
    path = tmp_path / "missing" / "keys"
    done = run(path)
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    assert done.stderr == (
        f"SSLKEYLOGFILE is ignored, because {path} cannot be written: No such file or directory\n"
    )


@pytest.mark.parametrize("first", ["", "import aiohttp"])
def test_a_key_log_that_can_be_written(tmp_path: Path, first: str) -> None:
    path = tmp_path / "keys"
    done = run(path, first)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}\n", "")
    assert path.exists()
