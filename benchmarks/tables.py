"""What a benchmark returns: tables of figures, as text, as Markdown and as JSON."""

import statistics
from collections.abc import Iterable, Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """The median of measurements, and their quartiles; of less than five, least and greatest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of at least one value."""
        if len(values) < 5:
            return cls(statistics.median(values), min(values), max(values))
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


def spread_of(rounds: int) -> str:
    """Return the note that says what ``Spread`` shows of so many rounds."""
    if rounds == 1:
        return "One round"
    return f"Medians of {rounds} rounds, with " + ("quartiles" if rounds >= 5 else "their range")


Cell = Spread | float | int | str | None


class Column(msgspec.Struct, frozen=True):
    """What a column holds, with its unit, and how many decimals are worth printing."""

    title: str
    decimals: int = 0

    def show(self, cell: Cell) -> str:
        """Return a cell as text."""
        match cell:
            case None:
                return "-"
            case str():
                return cell
            case Spread(median, low, high):
                if low == high:
                    return self.show(median)
                return f"{self.show(median)} ({self.show(low)} to {self.show(high)})"
            case _:
                return f"{cell:,.{self.decimals}f}"


class Chart(msgspec.Struct, frozen=True):
    """Which column to draw, one bar for each row that has a figure."""

    column: str


class Table(msgspec.Struct, frozen=True):
    """Rows of figures. The first cell of a row is its name. The notes stand below the table."""

    title: str
    columns: list[Column]
    rows: list[list[Cell]]
    notes: list[str] = []
    charts: list[Chart] = []

    def shown(self) -> list[list[str]]:
        """Return all cells as text, headings first."""
        cells = [
            [column.show(cell) for column, cell in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]
        return [[column.title for column in self.columns], *cells]

    def column(self, title: str) -> list[Cell]:
        """Return the cells of the column with this title."""
        index = [column.title for column in self.columns].index(title)
        return [row[index] for row in self.rows]


def as_text(table: Table) -> str:
    """Return a table for a terminal."""
    rows = table.shown()
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    return "\n".join([f"-- {table.title}", *lines, *table.notes])


def as_markdown(table: Table) -> str:
    """Return a table for a page."""
    heading, *rows = table.shown()
    rule = ["---", *["---:"] * (len(heading) - 1)]
    lines = [f"| {' | '.join(row)} |" for row in (heading, rule, *rows)]
    notes = [f"- {note}" for note in table.notes]
    return "\n\n".join(filter(None, (f"**{table.title}**", "\n".join(lines), "\n".join(notes))))


def _aligned(row: Iterable[str], widths: Iterable[int]) -> list[str]:
    """Return names at the left, and figures at the right."""
    first, *others = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
