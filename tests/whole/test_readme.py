"""The README names calls and commands that exist, and figures that docs/benchmarks.md has."""

import re

import pytest
from places import DOCS, ROOT

from instantly_async import InstantlyClient
from instantly_async.cli.app import app

TEXT = (ROOT / "README.md").read_text()
PAGE = (DOCS / "benchmarks.md").read_text()

SECONDS, MEMORY, CPU = "1,000 ids at the limits", "Memory with 100,000 ids", "CPU per lead"

FIGURES: dict[str, list[tuple[str, str, str]]] = {
    SECONDS: [
        ("1,000 ids behind strict windows", client, column)
        for client in (
            "ours, by get",
            "instantlyai, 5,700/min, 10 retries",
            "aiohttp, aiolimiter, no bursts",
        )
        for column in ("time, s", "lost")
    ],
    MEMORY: [
        ("Peak memory, MiB", client, "100,000 ids")
        for client in (
            "ours, by get",
            "ours, by list",
            "instantlyai, pages",
            "aiohttp, workers",
            "aiohttp, gather",
        )
    ],
    CPU: [
        ("CPU per lead, no limits", client, "CPU a lead, µs")
        for client in (
            "ours, by get",
            "ours, by list",
            "instantlyai, semaphore, 8 in flight",
            "instantlyai, pages",
            "aiohttp, semaphore",
            "httpx, workers, 8 in flight",
            "aiohttp, pages",
        )
    ],
}
"""Rows of the README, and where their figures are: the table, the client and the column."""


def cells_of(line: str) -> list[str]:
    return [each.strip() for each in line.strip("|\n").split("|")]


def figure(table: str, client: str, column: str) -> str:
    """Return a cell of the benchmarks, without its quartiles."""
    _, _, rest = PAGE.partition(f"\n**{table}**\n\n")
    header, _, *rows = rest.partition("\n\n")[0].splitlines()
    (row,) = (cells for cells in map(cells_of, rows) if cells[0] == client)
    return row[cells_of(header).index(column)].partition(" ")[0]


@pytest.mark.parametrize("label", FIGURES)
def test_figures_are_those_of_the_benchmarks(label: str) -> None:
    """In the order of the row, and no others."""
    (row,) = (line for line in TEXT.splitlines() if line.startswith(f"| {label}"))
    numbers = re.findall(r"\d[\d.,]*\d|\d", "|".join(cells_of(row)[1:]))
    assert numbers == [figure(*each) for each in FIGURES[label]]


def test_calls_and_commands_exist() -> None:
    calls = re.findall(r"client\.(\w+)\(", TEXT)
    assert {"stream_leads", "get_lead", "loader"} <= {*calls}
    assert all(hasattr(InstantlyClient, each) for each in calls)
    table = TEXT.partition("| You have |")[2].partition("\n\n")[0]
    commands = re.findall(r"`(\w+) [^`]*` \|$", table, re.MULTILINE)
    assert len(commands) == 6
    assert {*commands} <= {*app}


def test_a_reader_knows_soon_whether_it_is_for_them() -> None:
    """The commands come first, the rest is short."""
    lines = TEXT.splitlines()
    assert lines.index("pip install uv && uv run instantly-async demo") < 15
    assert len(lines) <= 130
