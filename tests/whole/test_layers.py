"""Imports point down: the very table of docs/design.md, enforced on the syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import instantly_async

PACKAGE = Path(instantly_async.__file__).parent

LAYERS = {
    "_version": 0, "errors": 0, "models": 0, "settings": 0, "stats": 0,
    "outcomes": 1, "testing": 1,
    "_api": 2,
    "_pace": 3, "_http": 3,
    "_fetch": 4,
    "streams": 5, "loader": 5,
    "client": 6,
    "cli": 7, "__init__": 7,
}  # fmt: skip

SAME_LAYER = {("settings", "errors"), ("__init__", "client")}
"""What settings raise is an error: the one step sideways."""


def entry_of(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(file: Path) -> Iterator[str]:
    """Entries of the package that a file imports, wherever in the file it does."""
    depth = len(file.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if 0 < node.level < depth:
                continue  # within its own sub-package
            base = "instantly_async." if node.level else ""
            if module in {"", "instantly_async"}:  # of the front: modules
                base = "instantly_async."
                module = ""
            names = [f"{base}{module}"] if module else [f"{base}{a.name}" for a in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "instantly_async":
                yield [*name.split("."), "__init__"][1]


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_down(file: Path) -> None:
    me = entry_of(file)
    for other in imports_of(file):
        allowed = LAYERS[other] < LAYERS[me] or (me, other) in SAME_LAYER
        inside = me == other or (me == "cli" and other == "__init__")
        assert allowed or inside, f"{me} imports {other}"


def test_every_entry_has_its_layer() -> None:
    assert {entry_of(file) for file in FILES} <= set(LAYERS)


def test_the_fake_shares_no_code_with_the_client() -> None:
    for file in (PACKAGE / "testing").glob("*.py"):
        assert set(imports_of(file)) <= {"models", "testing"}


def test_only_the_transport_imports_aiohttps_client() -> None:
    users = {
        entry_of(file)
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(a.name for a in node.names)]
        if name.split(".")[0] == "aiohttp"
    }
    assert users == {"_http", "testing"}


def test_the_core_needs_no_extra() -> None:
    """cyclopts and rich are imported by the command only."""
    for file in FILES:
        if entry_of(file) == "cli":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", None) or node.names[0].name
                assert module.split(".")[0] not in {"cyclopts", "rich", "uvloop", "pyarrow"}


def test_files_stay_small() -> None:
    for file in FILES:
        lines = len(file.read_text().splitlines())
        assert lines <= 350, f"{file.name} has {lines} lines: is there a second reason to exist?"
