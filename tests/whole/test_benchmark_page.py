"""docs/benchmarks.md shows exactly the figures that are kept in ``benchmarks/results/``."""

import re

import pytest

from benchmarks.cases import CASES, ON_THE_PAGE
from benchmarks.page import CHARTS, PAGE, chart_file, with_figures
from benchmarks.report import Report, saved_reports
from benchmarks.tables import Spread


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    return saved_reports()


def test_the_page_has_these_figures(reports: dict[str, Report]) -> None:
    """To mend it: ``uv run --group bench python -m benchmarks page``."""
    page = PAGE.read_text()
    assert with_figures(page, reports) == page


def test_each_case_is_on_the_page(reports: dict[str, Report]) -> None:
    page = PAGE.read_text()
    places = re.findall(r"<!-- figures of (\w+) -->", page)
    assert places == ["machine", *ON_THE_PAGE]
    assert list(reports) == list(ON_THE_PAGE)
    for name in CASES.keys() - set(ON_THE_PAGE):
        assert f"`run {name}`" in page


def test_each_chart_shows_the_figures_of_its_table(reports: dict[str, Report]) -> None:
    """And there is no other one in the folder."""
    expected = set()
    for report in reports.values():
        for table in report.tables:
            for number, chart in enumerate(table.charts):
                name = chart_file(report, table, number)
                expected.add(name)
                text = (CHARTS / name).read_text()
                column = next(each for each in table.columns if each.title == chart.column)
                for cell in table.column(chart.column):
                    shown = cell.median if isinstance(cell, Spread) else cell
                    if isinstance(shown, int | float):
                        assert f">{column.show(shown)}<" in text, name
    assert {file.name for file in CHARTS.iterdir()} == expected


def test_the_results_name_no_path(reports: dict[str, Report]) -> None:
    """They come from a machine of ours, of which only the processor and the system matter."""
    for report in reports.values():
        assert "/" not in report.machine.replace("GHz/", "")
        assert report.command.startswith("uv run --group bench python -m benchmarks run ")
