"""``docs/reference/files.md``: its examples run, and its tables are those of the code."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Command
from places import DOCS

from instantly_async.cli.convert.names import SUFFIXES as SUFFIXES_OF_OUTPUTS
from instantly_async.cli.input.formats import SUFFIXES
from instantly_async.cli.input.sought import EMAILS, IDS
from instantly_async.cli.input.understood import DELIMITERS
from instantly_async.cli.system import COMPRESSIONS
from instantly_async.testing import FakeInstantly

PAGE = (DOCS / "reference/files.md").read_text()
EXAMPLES = re.findall(r"(?ms)^```console\n(.*?)^```$", PAGE)


def steps_of(example: str) -> Iterator[tuple[list[str], str]]:
    """Yield each command line of an example, and what is below it."""
    for step in re.split(r"(?m)^\$ ", example)[1:]:
        line, _, shown = step.partition("\n")
        yield shlex.split(line), shown


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.split("\n")[0][6:])
def test_example(
    example: str,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fake_instantly: FakeInstantly,
) -> None:
    """``cat`` shows a file that is there; the command prints exactly what the page shows."""
    monkeypatch.chdir(tmp_path)
    ran = 0
    for (program, *arguments), shown in steps_of(example):
        if program == "cat":
            Path(arguments[0]).write_text(shown)
        else:
            assert program == "instantly-async"
            result = command(*arguments)
            assert result.out.decode() + result.err == shown
            ran += 1
    assert ran


def rows_of(title: str) -> dict[str, list[str]]:
    """Return the cells behind the first one in each row of the table below a heading."""
    table = re.search(rf"(?ms)^## {title}$.*?^\|[- |]+\|$\n(.*?)^$", PAGE)
    assert table is not None
    rows = [line.strip("|").split("|") for line in table[1].replace("\\|", "/").splitlines()]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def test_the_suffixes_of_formats() -> None:
    names = {"CSV": "csv", "TSV": "tsv", "JSON document": "json", "workbook": "excel"}
    told = {name: re.findall(r"`(\..+?)`", cells[0]) for name, cells in rows_of("Formats").items()}
    assert told["JSON Lines"] == told["JSON document"]
    assert {end: names[name] for name, ends in told.items() if name in names for end in ends} == (
        SUFFIXES
    )


def test_the_compressions() -> None:
    told = {name: cells[0] for name, cells in rows_of("Encoding and compression").items()}
    assert told == {each.name: f"`{each.suffix}`" for each in COMPRESSIONS}


def test_the_names_of_outputs() -> None:
    told = [re.findall(r"`(\..+?)`", each) for each in rows_of("What is written")]
    assert [each for row in told[:3] for each in row] == list(SUFFIXES_OF_OUTPUTS)
    assert told[3] == [each.suffix for each in COMPRESSIONS]


def test_the_names() -> None:
    """Of columns and keys; and the delimiters."""
    assert tuple(re.findall(r"(?m)^\d\. `(\w+)`$", PAGE)) == tuple(
        name for (name,) in IDS.names.tiers
    )
    assert len(DELIMITERS) == 4
    assert "a comma, a semicolon, a tab or `|`" in PAGE
    first, *others = IDS.lists
    keys = re.search(rf"be under `{first}` \(.*?\), (.*?)\.", PAGE, re.DOTALL)
    assert keys is not None
    assert re.findall(r"`(\w+)`", keys[1]) == others
    wrappers = re.search(r"in an object under (.*?)\.", PAGE, re.DOTALL)
    assert wrappers is not None
    assert tuple(re.findall(r"`(\w+)`", wrappers[1])) == IDS.wrappers


def test_the_names_of_emails() -> None:
    """Those of one row are equal; JSON has more keys than for ids."""
    told = [re.findall(r"`(\w+)`", row) for row in re.findall(r"(?m)^\| \d \|(.*)\|$", PAGE)]
    assert [tuple(names) for names in told] == list(EMAILS.names.tiers)
    keys = re.search(r"(?s)except `payload`, and also under (.*?)\. A list .*? under (.*?)\.", PAGE)
    assert keys is not None
    wrappers = [each for each in IDS.wrappers if each != "payload"]
    assert [*wrappers, *re.findall(r"`(\w+)`", keys[1])] == list(EMAILS.wrappers)
    assert [*IDS.lists, *re.findall(r"`(\w+)`", keys[2])] == list(EMAILS.lists)
