"""Runs the guides to testing an app, and to a proxy. test_docs.py runs those to apps."""

from pathlib import Path

from guide_files import run_pytest, write_files


def test_testing(tmp_path: Path, unmeasured: None) -> None:
    """The guide's file of tests passes for a reader, with the entry point of the plugin."""
    assert write_files("testing.md", tmp_path) == ["report.py", "test_report.py"]
    assert run_pytest(tmp_path).startswith("4 passed")
