"""Leads as a table of HTML, for notebooks. It has no colours, so it fits dark ones, too.

The table scrolls if it is wider than its page, because broken ids cannot be compared.
"""

from collections.abc import Iterable, Sequence
from html import escape

from ._reprs import cut_text

COLUMNS = ("id", "email", "status", "campaign")


def lead_table(title: str, rows: Sequence[Sequence[str]], *, more: int) -> str:
    """Return a title, a table of these rows, and how many ``more`` there are."""
    table = f"<table><thead>{_row('th', COLUMNS)}</thead><tbody>{_body(rows)}</tbody></table>"
    rest = f"<p>… and {more:,} more</p>" if more else ""
    scroll = f'<div style="overflow-x: auto; white-space: nowrap">{table}</div>' if rows else ""
    return f"<div><p>{escape(title)}</p>{scroll}{rest}</div>"


def _body(rows: Iterable[Iterable[str]]) -> str:
    return "".join(_row("td", map(cut_text, row)) for row in rows)


def _row(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
