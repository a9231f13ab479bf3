"""``python -m benchmarks``: its command line, its tables, and where figures come from."""

import json
import platform
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import PAGES

from benchmarks import __main__ as command
from benchmarks import machine, report
from benchmarks.cases import CASES, Case
from benchmarks.tables import Column, Spread, Table, as_markdown, as_text

TABLE = Table(
    "A title",
    [Column("client"), Column("time, s", 1), Column("leads")],
    [
        ["ours", Spread(1.25, 1, 2), 1_000],
        ["other, slow", 3, None],
        ["lost", "45 s", 0],
        ["same", Spread(2, 2, 2), 7],
    ],
    ["A note.", "Another."],
)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    command.main()


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Have only the cases ``tiny`` and ``once``; return the rounds that ``tiny`` was run with."""
    asked: list[int] = []

    def tables(*, rounds: int = 2) -> list[Table]:
        asked.append(rounds)
        return [TABLE]

    tiny, once = ModuleType("tiny", "A tiny case."), ModuleType("once", "Without rounds.")
    vars(tiny)["tables"] = tables
    vars(once)["tables"] = lambda: [TABLE]
    cases = {each.__name__: Case(each.__name__) for each in (tiny, once)}
    for each in (tiny, once):
        monkeypatch.setitem(sys.modules, f"benchmarks.cases.{each.__name__}", each)
    for module in (command, report):
        monkeypatch.setattr(module, "CASES", cases)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    return asked


def test_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each case has a line, which is a sentence."""
    run(monkeypatch, "list")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(CASES)
    assert all(line.endswith(".") for line in lines)


@pytest.mark.usefixtures("rounds")
def test_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch, "run", "tiny", "once")
    text = capsys.readouterr().out
    assert "== tiny: A tiny case.\n" in text
    assert text.count(as_text(TABLE)) == 2


def test_run_as_json(
    rounds: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stdout is one JSON document. Cases without rounds run beside one that has some."""
    run(monkeypatch, "run", "tiny", "once", "--json", "--rounds", "3")
    tiny, once = json.loads(capsys.readouterr().out)
    assert rounds == [3]
    assert tiny["command"].endswith("python -m benchmarks run tiny --rounds 3")
    assert once["command"].endswith("python -m benchmarks run once")
    assert tiny["tables"][0]["rows"][0] == ["ours", {"median": 1.25, "low": 1, "high": 2}, 1000]
    assert tiny["versions"]["aiohttp"]
    assert tiny["machine"]


def test_all_is_saved(rounds: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read back is what was measured."""
    run(monkeypatch, "all", "--save")
    saved = report.saved_reports()
    assert list(saved) == ["tiny", "once"]
    assert saved["tiny"].tables == [TABLE]
    assert rounds == [2]


@pytest.mark.usefixtures("rounds")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "nope"], "invalid choice: 'nope'"),
        (["run"], "required: NAME"),
        (["run", "tiny", "--rounds", "0"], "'0' is not a whole number of 1 or more"),
        (["run", "tiny", "--rounds", "-1"], "'-1' is not a whole number of 1 or more"),
        (["all", "--rounds", "1.5"], "'1.5' is not a whole number of 1 or more"),
        (["run", "once", "--rounds", "2"], "none of these has rounds: once. Leave out --rounds"),
    ],
)
def test_what_makes_no_sense_runs_nothing(
    arguments: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err


def test_versions(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what is not installed."""
    monkeypatch.setattr(machine, "PACKAGES", ("msgspec", "no-such-package"))
    run(monkeypatch, "--versions")
    python, msgspec, missing = capsys.readouterr().out.splitlines()
    assert python == f"Python {'.'.join(map(str, sys.version_info[:3]))}"
    assert re.fullmatch(r"msgspec [\d.]+", msgspec)
    assert missing == "no-such-package not installed"


def test_the_machine_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the system does not tell the processor."""
    assert re.fullmatch(r"\d+ cores, .+, \w+ \w+", machine.machine())
    monkeypatch.setattr(machine, "Path", lambda _: Path("no-such-file"))
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert ", unknown, " in machine.machine()


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_quartiles_are_around_the_median(values: list[float]) -> None:
    """And within the values."""
    spread = Spread.of(values)
    ordered = [min(values), spread.low, spread.median, spread.high, max(values)]
    assert ordered == pytest.approx(sorted(ordered))
    assert Spread.of(values[::-1]) == spread


def test_quartiles() -> None:
    assert Spread.of([5, 1, 4, 2, 3]) == Spread(3, 2, 4)
    assert Spread.of([1, 2]) == Spread(1.5, 1, 2)  # of so few, the range
    assert Spread.of([7]) == Spread(7, 7, 7)


def test_a_table_as_text() -> None:
    """Names are at the left and figures at the right; ``-`` is no figure."""
    assert as_text(TABLE).splitlines() == [
        "-- A title",
        "client                time, s  leads",
        "ours         1.2 (1.0 to 2.0)  1,000",
        "other, slow               3.0      -",
        "lost                     45 s      0",
        "same                      2.0      7",
        "A note.",
        "Another.",
    ]


def test_a_table_as_markdown() -> None:
    assert as_markdown(TABLE).splitlines() == [
        "**A title**",
        "",
        "| client | time, s | leads |",
        "| --- | ---: | ---: |",
        "| ours | 1.2 (1.0 to 2.0) | 1,000 |",
        "| other, slow | 3.0 | - |",
        "| lost | 45 s | 0 |",
        "| same | 2.0 | 7 |",
        "",
        "- A note.",
        "- Another.",
    ]


def test_a_row_has_a_cell_for_each_column() -> None:
    table = Table("A title", [Column("a"), Column("b")], [["both", 1], ["alone"]])
    with pytest.raises(ValueError, match="shorter"):
        table.shown()


find_commands = re.compile(r"python -m benchmarks\b([^`\n]*)|`(run [^`…]+)`")


def test_the_docs_name_commands_that_exist() -> None:
    """Each is read by the parser; without a command, it would only print the help."""
    found = [
        (page.name, (whole or short).split())
        for page in PAGES
        if page.stem != "changelog"
        for whole, short in find_commands.findall(page.read_text(encoding="utf-8"))
    ]
    assert len(found) > len(CASES)
    for page, arguments in found:
        assert command.parsed(arguments).command is not None, page
