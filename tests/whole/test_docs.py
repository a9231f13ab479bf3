"""Runs the Python examples of README, docs and docstrings, and checks the links.

The examples use a fake API. Its address and the key come from the environment, as in real use.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import DOCS, PAGES
from sybil import Document, Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

import instantly_async
from instantly_async.testing import FakeInstantly, lead_ids

ELSEWHERE = {
    "nightly-sync.md", "fastapi.md", "data-frames.md", "testing.md",
    "telemetry.md", "prometheus.md", "logs.md", "several-workers.md", "pipelines.md", "ray.md",
}  # fmt: skip
"""Tested in test_nightly_sync.py and test_frameworks.py, which need the group ``guides``, in
test_app_guides.py, in test_telemetry_guides.py, in test_logs.py, in
test_workers_guide.py, in tests/pipelines and in tests/ray."""
MODULES = sorted(Path(instantly_async.__file__).parent.rglob("*.py"))

markdown = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()])
docstrings = Sybil(parsers=[DocTestParser()], document_types={".py": PythonDocStringDocument})


def evaluate(sybil: Sybil, path: Path) -> int:
    """Run each of a document's examples alone; return their number."""
    document: Document = sybil.parse(path)
    count = 0
    for example in document.examples():
        if path.suffix == ".md":
            document.namespace.clear()
        document.namespace.setdefault("__name__", path.stem)  # every module has one
        example.evaluate()
        count += 1
    return count


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run a test in a folder with ``ids.txt``, with a key and a fake API."""
    with FakeInstantly(rate_limit=None) as fake:
        monkeypatch.setenv("INSTANTLY_API_KEY", fake.api_key)
        monkeypatch.setenv("INSTANTLY_BASE_URL", fake.url)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "ids.txt").write_text("\n".join(lead_ids(25)) + "\n")
        yield


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in ELSEWHERE], ids=lambda page: page.name
)
def test_page(page: Path) -> None:
    count = evaluate(markdown, page)
    assert count == page.read_text().count("```python")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_docstrings(module: Path) -> None:
    count = evaluate(docstrings, module)
    assert bool(count) == (">>> " in module.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_link_targets_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def test_the_docs_show_every_file() -> None:
    """docs/how-it-works/design.md lists every file and folder of the package, and no others."""
    text = (DOCS / "how-it-works" / "design.md").read_text()
    tree = text.partition("```text\ninstantly_async/\n")[2].partition("```")[0]
    drawn: set[str] = set()
    folders: list[str] = []
    for line in filter(None, tree.splitlines()):
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        name = line.split()[0]
        folders[depth:] = [name]
        drawn.add("".join(folders))
    package = Path(instantly_async.__file__).parent
    there = {
        str(path.relative_to(package)) + "/" * path.is_dir()
        for path in package.rglob("*")
        if "__" not in str(path.relative_to(package)) and path.suffix in {"", ".py", ".lua"}
    }
    assert drawn == there
