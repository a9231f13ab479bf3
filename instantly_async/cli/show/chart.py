"""Bar charts of the leads by their statuses: plain text of the terminal's width."""

from collections import Counter
from itertools import zip_longest

from instantly_async.enums import InterestStatus, LeadStatus, OpenIntEnum

from .report import Tally

MOST_ROWS = 6
"""Bars of a chart: with charts of eight, the end of a run would not fit a screen of 24 lines."""

MOST_COLUMNS = 40
"""Length of the longest bar (*choice*)."""

SIDE_BY_SIDE = 76
"""Columns of the narrowest terminal that has room for two charts in a line (*choice*)."""


def charts(tally: Tally, width: int, block: str) -> str:
    """Return both charts, in lines shorter than ``width``. There must be at least one lead."""
    are_beside = width >= SIDE_BY_SIDE
    each = width // 2 if are_beside else width
    left = chart("status", tally.statuses, LeadStatus, each, block)
    right = chart("lt_interest_status", tally.interests, InterestStatus, each, block)
    if not are_beside:
        return f"{left}\n{right}"
    lines = zip_longest(left.splitlines(), right.splitlines(), fillvalue="")
    return "\n".join(f"{one:<{each}}{other}".rstrip() for one, other in lines)


def chart(
    title: str, counts: Counter[int | None], kind: type[OpenIntEnum], width: int, block: str
) -> str:
    """Return a title and a bar for each value, the largest first.

    The others have no bar: it would be the longest, and mean nothing.
    """
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0] is None, item[0] or 0))
    named = MOST_ROWS if len(ranked) <= MOST_ROWS else MOST_ROWS - 1
    rows = [(_label(value, kind), count, block) for value, count in ranked[:named]]
    if others := sum(count for _, count in ranked[named:]):
        rows.append(("others", others, ""))
    names = max(len(label) for label, _, _ in rows)
    digits = max(len(str(count)) for _, count, _ in rows)
    # Two spaces before the label, one on each side of the count, one free at the end.
    columns = min(MOST_COLUMNS, width - names - digits - 5)
    most = rows[0][1]
    lines = [
        f"  {label:<{names}} {count:>{digits}} {mark * _length(count, most, columns)}".rstrip()
        for label, count, mark in rows
    ]
    return "\n".join([title, *lines])


def _length(count: int, most: int, columns: int) -> int:
    return max(1, round(count / most * columns)) if columns > 0 else 0


def _label(value: int | None, kind: type[OpenIntEnum]) -> str:
    if value is None:
        return "none"
    member = kind(int(value))
    return str(int(value)) if member.name.startswith("UNKNOWN_") else member.label
