"""``docs/guides/notebook.ipynb`` runs, and its stored outputs are what it prints.

``--refresh-notebook`` stores the outputs of this run.
"""

from pathlib import Path
from typing import Any

import pytest
from places import DOCS

pytestmark = pytest.mark.guides

PATH = DOCS / "guides" / "notebook.ipynb"
MOST_BYTES = 60_000

Cell = dict[str, Any]


@pytest.fixture
def executed(tmp_path: Path, unmeasured: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run each cell of the notebook, and return it; the error of a cell is raised."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    for name in ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")  # or it warns
    book = nbformat.read(PATH, as_version=4)
    nbclient.NotebookClient(
        book,
        timeout=100,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,  # of a progress bar, only the last state
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    return book


def test_notebook(executed: Any, request: pytest.FixtureRequest) -> None:
    """A cell with the tag ``varies`` prints times, or what depends on versions of libraries."""
    nbformat = pytest.importorskip("nbformat")
    if request.config.option.refresh_notebook:
        executed.metadata.language_info = {"name": "python"}  # not its version
        nbformat.write(executed, PATH)
    stored = nbformat.read(PATH, as_version=4)
    for before, after in zip(code_cells(stored), code_cells(executed), strict=True):
        assert kinds(before) == kinds(after), before["source"]
        if "varies" not in before["metadata"].get("tags", ()):
            assert before["outputs"] == after["outputs"]


def code_cells(book: Any) -> list[Cell]:
    return [cell for cell in book["cells"] if cell["cell_type"] == "code"]


def kinds(cell: Cell) -> list[tuple[str, list[str]]]:
    """Return what each output is: a stream, or a value with its MIME types."""
    return [
        (output["output_type"], sorted(output.get("data", [output.get("name")])))
        for output in cell["outputs"]
    ]


def test_the_file() -> None:
    """It is small, and has no paths, versions or times of the machine that made it."""
    nbformat = pytest.importorskip("nbformat")
    text = PATH.read_text()
    assert len(text.encode()) < MOST_BYTES
    assert "/home/" not in text
    assert "/tmp/" not in text  # noqa: S108 - searched, not used
    book = nbformat.read(PATH, as_version=4)
    assert book["metadata"]["language_info"] == {"name": "python"}
    assert {name for cell in book["cells"] for name in cell["metadata"]} <= {"tags"}
    assert all(cell["outputs"] for cell in code_cells(book)[1:-1])
