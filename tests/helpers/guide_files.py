"""The files that a guide shows, each with its name in the first line, and their tests."""

import os
import re
import subprocess
import sys
from pathlib import Path

from places import DOCS


def write_files(guide: str, folder: Path) -> list[str]:
    """Write the files of a guide; return their names."""
    text = (DOCS / "guides" / guide).read_text()
    files = re.findall(r"```python\n(# (\w+\.py)\n.*?)```", text, re.DOTALL)
    for content, name in files:
        (folder / name).write_text(content)
    return [name for _, name in files]


def run_pytest(folder: Path) -> str:
    """Run the tests of a folder as a reader does, with warnings as errors; return the last line.

    In their order: if an async test came first, pytest-asyncio would leave an event loop open.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "--strict-markers"]
    command += ["-p", "no:cacheprovider", "-p", "no:randomly"]
    command += ["-o", "asyncio_default_fixture_loop_scope=function"]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]
