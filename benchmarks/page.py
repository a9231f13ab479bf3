"""Writes the figures of ``results/`` into docs/benchmarks.md, and draws its charts.

The page has a pair of comments for each case, and one for the machine and the versions. What
stands between them is replaced.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from benchmarks.report import Report, saved_reports
from benchmarks.tables import Table, as_markdown

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"
CHARTS = DOCS / "charts"

find_place = re.compile(r"(<!-- figures of (\w+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def with_figures(page: str, reports: dict[str, Report]) -> str:
    """Return the page with the figures of each case that it has a place for."""

    def fill(place: re.Match[str]) -> str:
        name = place[2]
        text = sources(reports.values()) if name == "machine" else figures(reports[name])
        return f"{place[1]}{text}{place[3]}"

    return find_place.sub(fill, page)


def figures(report: Report) -> str:
    """Return the tables and charts of a case, and the command that repeats it."""
    parts = [
        block for table in report.tables for block in (*images(report, table), as_markdown(table))
    ]
    source = f"`{report.command}` ({report.seconds:.0f} s, {report.date})"
    return "\n".join(f"\n{part}\n" for part in [*parts, source]) + "\n"


def sources(reports: Iterable[Report]) -> str:
    """Return each machine and the versions there; usually all reports have the same."""
    lines = {
        f"- {report.machine}; "
        + ", ".join(f"{name} {version}" for name, version in report.versions.items())
        + "."
        for report in reports
    }
    return "\n" + "\n".join(sorted(lines)) + "\n\n"


def chart_file(report: Report, table: Table, number: int) -> str:
    """Return the name of a chart's file."""
    return f"{report.case}-{report.tables.index(table) + 1}-{number + 1}.svg"


def images(report: Report, table: Table) -> list[str]:
    """Return the charts of a table as Markdown."""
    return [
        f"![{table.title}: {chart.column}](charts/{chart_file(report, table, number)})"
        for number, chart in enumerate(table.charts)
    ]


def write_page() -> None:
    """Write the page, and draw every chart anew."""
    from benchmarks.charts import draw  # noqa: PLC0415 - matplotlib is not everywhere

    reports = saved_reports()
    CHARTS.mkdir(exist_ok=True)
    for old in CHARTS.glob("*.svg"):
        old.unlink()
    for report in reports.values():
        for table in report.tables:
            for number, chart in enumerate(table.charts):
                draw(table, chart, CHARTS / chart_file(report, table, number))
    PAGE.write_text(with_figures(PAGE.read_text(encoding="utf-8"), reports), encoding="utf-8")
