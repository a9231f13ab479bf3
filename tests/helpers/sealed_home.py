"""A home folder for the programs of docs/guides/pipelines.md, which reach only this machine."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from guide_files import write_files

from instantly_async.testing import DEFAULT_API_KEY, lead_ids

IDS = list(lead_ids(250))

GUARD = """
import os, sys

LOCAL = {"127.0.0.1", "::1", "localhost", "0.0.0.0", "", None, os.uname().nodename}

def refuse_others(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if host not in LOCAL:
        with open(os.environ["CALLED"], "a") as file:
            print(host, file=file)
        raise OSError(f"The tests call only this machine, and not {host}.")

sys.addaudithook(refuse_others)
if sys.orig_argv[-1].startswith("leads_dlt"):
    os.geteuid = lambda: 1  # for root, dlt would keep its state in /var
"""
"""Every Python process of a program runs this at its start."""

QUIET = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    "DO_NOT_TRACK": "1",
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
}
"""No telemetry and no second copies of leads, as the guide says; no examples, no haste."""

NO_TELEMETRY = "telemetry: {enabled: false}\n"
"""The file dagster.yaml."""


class Done(NamedTuple):
    code: int
    text: str
    """What it wrote to stdout and stderr."""


class Home:
    """A home folder with the programs and ``leads/ids.txt``; all that they write is in it."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.leads = path / "leads"
        self._called = path / "called.txt"
        self._environment = {
            "HOME": str(path),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(path / "guard"),
            "CALLED": str(self._called),
            "DAGSTER_HOME": str(path / "dagster"),
            "INSTANTLY_BASE_URL": url,
            "INSTANTLY_API_KEY": DEFAULT_API_KEY,
            **QUIET,
        }
        self.write("leads/ids.txt", "\n".join(IDS) + "\n")
        self.write("guard/sitecustomize.py", GUARD)
        self.write("dagster/dagster.yaml", NO_TELEMETRY)
        write_files("pipelines.md", path)

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def run(self, *arguments: str | Path, **environment: str) -> Done:
        """Run a program, or ``-m MODULE``, with Python. It must call only this machine."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.path,
            env=self._environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=100,
        )
        assert not self._called.exists(), self._called.read_text()
        assert DEFAULT_API_KEY not in done.stdout
        return Done(done.returncode, done.stdout)

    def files_with(self, text: bytes) -> list[str]:
        """Return the files that contain a text, except the leads."""
        files = (file for file in self.path.rglob("*") if file.is_file())
        kept = (file for file in files if self.leads not in file.parents)
        return [file.name for file in kept if text in file.read_bytes()]
