"""Runs what is measured alone, in a Python of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping


def run_python(*arguments: str, variables: Mapping[str, str] | None = None) -> list[float]:
    """Run a new Python with these arguments and variables; return the figures that it printed.

    Raises:
        CalledProcessError: It failed; its stderr says why.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **(variables or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [float(figure) for figure in done.stdout.split()]
