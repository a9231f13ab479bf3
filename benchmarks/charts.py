"""Draws charts of tables, as SVG that can be read on a light and on a dark page."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.tables import Chart, Spread, Table

INK, OURS, OTHERS = "#010203", "#2f81f7", "#8b949e"
STYLE = """<style>
 svg { color: #1f2328 } @media (prefers-color-scheme: dark) { svg { color: #e6edf3 } }
</style>"""
"""The colour of text and axes. Bars have colours that both pages can have."""

mpl.rcParams["svg.fonttype"] = "none"  # text stays text
mpl.rcParams["svg.hashsalt"] = "benchmarks"  # the same figures make the same file
mpl.rcParams["font.family"] = ["sans-serif"]


def draw(table: Table, chart: Chart, file: Path) -> None:
    """Draw one column as bars, in the order of the rows; rows without a figure have no bar."""
    column = next(each for each in table.columns if each.title == chart.column)
    drawn = [
        (str(row[0]), cell.median if isinstance(cell, Spread) else float(cell), cell)
        for row, cell in zip(table.rows, table.column(chart.column), strict=True)
        if isinstance(cell, Spread | int | float)
    ]
    names, values, cells = zip(*drawn, strict=True)
    figure = Figure(figsize=(8, 0.9 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    colours = [OURS if name.startswith("ours") else OTHERS for name in names]
    bars = axes.barh(names, values, color=colours, height=0.7)
    medians = [cell.median if isinstance(cell, Spread) else cell for cell in cells]
    axes.bar_label(bars, [column.show(each) for each in medians], padding=4, color=INK)
    axes.set_title(f"{table.title}: {chart.column}", color=INK, fontsize=11, loc="left")
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.tick_params(colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(INK)
    figure.savefig(file, transparent=True, metadata={"Date": None, "Creator": None})
    text = file.read_text(encoding="utf-8").replace(INK, "currentColor")
    head, defs, rest = text.partition("<defs>")
    file.write_text(f"{head}{STYLE}\n {defs}{rest}", encoding="utf-8")
