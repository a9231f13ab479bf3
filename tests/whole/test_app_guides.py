"""Runs the guides to tests of an app, to proxies, and to where ids come from.

test_docs.py runs the Python of the last two, and that of the other guides.
"""

import re
import shlex
from pathlib import Path

import pytest
from commands import Command, ids_in
from guide_files import run_pytest, write_files
from places import DOCS
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from instantly_async.testing import FakeInstantly, Fault, lead_ids


def test_testing(tmp_path: Path, unmeasured: None) -> None:
    """The guide's file of tests passes for a reader, with the entry point of the plugin."""
    assert write_files("testing.md", tmp_path) == ["report.py", "test_report.py"]
    assert run_pytest(tmp_path).startswith("4 passed")


def test_a_proxy(
    fake_instantly: FakeInstantly, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guide's program sends its request to the proxy: nothing else answers here."""
    monkeypatch.setenv("INSTANTLY_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("INSTANTLY_PROXY", fake_instantly.url)
    fake_instantly.script_all(Fault.body(b'{"items": []}'))  # it does not know a proxy's paths
    document = Sybil(parsers=[PythonCodeBlockParser()]).parse(DOCS / "guides" / "proxy.md")
    next(iter(document.examples())).evaluate()
    (request,) = fake_instantly.requests
    assert request.path == "http://127.0.0.1:9/api/v2/leads/list"


def test_ids(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's commands run one after the other; instead of psql, its output is given."""
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"(?m)^\$ (.+)$", (DOCS / "guides" / "ids.md").read_text())
    piped, again, dry = (shlex.split(line.rpartition("instantly-async ")[2]) for line in lines)
    ids = list(lead_ids(3))
    assert command(*piped, stdin="\n".join(ids).encode()).code == 0
    assert command(*again).code == 0
    assert ids_in(Path("today.jsonl").read_bytes()) == ids
    Path("downloaded.csv").write_text("Email,First Name\nada@example.com,Ada\n")
    refused = command(*dry)
    assert refused.code == 2
    assert "--by email" in refused.err
    Path("downloaded.csv").write_text(f"Email,Lead ID\nada@example.com,{ids[0]}\n")
    shown = command(*dry)
    assert (shown.code, ids[0] in shown.out.decode() + shown.err) == (0, True)
