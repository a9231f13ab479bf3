"""Command lines to type next: as this process was started, and in tables with what they do."""

import os
from collections.abc import Iterable, Iterator

PROGRAM = "instantly-async"

COLUMNS = 80
"""Longest line of a table, unless a command alone is longer."""

_SET_BY_UV_RUN = "UV_RUN_RECURSION_DEPTH"
_GAP = "  "


def program() -> str:
    """Return how the command is typed; it may not be on the path of a shell that has ``uv run``."""
    return f"uv run {PROGRAM}" if os.environ.get(_SET_BY_UV_RUN) else PROGRAM


def table(rows: Iterable[tuple[str, str]], program: str = PROGRAM) -> Iterator[str]:
    """Yield lines with each command on the left, and what it does on the right.

    If a command leaves no room, what it does is in the next line.
    """
    lines = [(f"{_GAP}{program} {command}", purpose) for command, purpose in rows]
    room = COLUMNS - len(_GAP) - max(len(purpose) for _, purpose in lines)
    width = max((len(line) for line, _ in lines if len(line) <= room), default=room)
    for line, purpose in lines:
        if len(line) > width:
            yield line
        yield f"{line if len(line) <= width else '':<{width}}{_GAP}{purpose}"
