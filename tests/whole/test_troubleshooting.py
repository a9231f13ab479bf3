"""reference/troubleshooting.md covers all errors and exit codes. test_docs.py runs its examples."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import DOCS

import instantly_async
from instantly_async.cli import exits

PAGE = (DOCS / "reference/troubleshooting.md").read_text()
HEADINGS = re.findall(r"^#{2,3} (.+)$", PAGE, re.MULTILINE)
ERRORS = [name for name in instantly_async.__all__ if name.endswith("Error")]
CODES = {value for name, value in vars(exits).items() if name.isupper() and type(value) is int}


def anchor(heading: str) -> str:
    """Return the anchor that Markdown generates for a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def said_by_the_command() -> Iterator[str]:
    """Yield the texts in the command's source, with ``…`` for each inserted value."""
    for file in Path(exits.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant):
                yield str(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = node.values
                yield "".join(str(p.value) if isinstance(p, ast.Constant) else "…" for p in parts)


def test_each_error_has_its_section() -> None:
    assert set(ERRORS) == {heading for heading in HEADINGS if heading.endswith("Error")}


def test_each_exit_code_has_its_section() -> None:
    signals = {exits.SIGNAL_BASE + number for number in (1, 2, 15)}
    told = {int(code) for code in re.findall(r"^### Exit code (\d+)$", PAGE, re.MULTILINE)}
    assert told == CODES - {exits.SIGNAL_BASE} | signals


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(#(.+?)\)", PAGE))))
def test_links_within_the_page(link: str) -> None:
    assert link in map(anchor, HEADINGS)


def test_the_sentences_are_the_command_s() -> None:
    table = PAGE.partition("## Sentences of the command")[2].partition("###")[0]
    sentences = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert len(sentences) > 5
    assert set(sentences) <= set(said_by_the_command())
