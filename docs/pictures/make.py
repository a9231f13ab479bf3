"""Draws run.svg, the picture of the README, from a real run: the command on a terminal of its own.

    uv run python docs/pictures/make.py

The screen is taken twice: when half of the leads are there, and at the end.
"""

import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from fcntl import ioctl
from html import escape
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pyte

PICTURE = Path(__file__).with_name("run.svg")
COLUMNS, ROWS = 88, 40
LINE = "demo --count 1000 --unknown 0.003 --faults 0.02 -o leads.jsonl"

CELL_X, CELL_Y, MARGIN = 8.4, 19, 20
BACKGROUND, FOREGROUND, ACCENT, DIM = "#16181d", "#e3e6eb", "#7ee0a3", "#8b93a1"
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
NAMED = {"default": FOREGROUND, "green": ACCENT, "magenta": "#f92672"}
"""Colours of pyte that are no hexadecimal numbers."""

_PROGRESS = re.compile(r"(\d+)/(\d+) ")
_RUN = re.compile(r"\S+(?: \S+)*")


class Piece(NamedTuple):
    """Text of one colour that begins in a column, with no two spaces in it."""

    column: int
    text: str
    colour: str


Line = list[Piece]


def chunks_of(line: str) -> Iterator[bytes]:
    """Run the command on a terminal, in an empty folder; yield what it writes."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    unwanted = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "UV_RUN_RECURSION_DEPTH"}
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "instantly_async.cli", *line.split()],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        with process:
            yield from iter(lambda: _read(ours), b"")
    os.close(ours)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 4096)
    except OSError:  # the other side was closed
        return b""


def take(line: str) -> tuple[Line, list[Line]]:
    """Return the progress line in the middle of a run, and the lines of the screen at its end."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    middle: Line = []
    for chunk in chunks_of(line):
        stream.feed(chunk)
        for row, text in enumerate(screen.display):
            found = _PROGRESS.match(text)
            if found and not middle and 2 * int(found[1]) >= int(found[2]):
                middle = line_of(screen, row)
    lines = [line_of(screen, row) for row in range(ROWS)]
    while not lines[-1]:
        lines.pop()
    return middle, lines


def line_of(screen: pyte.Screen, row: int) -> Line:
    """Return the pieces of a row."""
    cells = [screen.buffer[row][column] for column in range(COLUMNS)]
    pieces, start = [], 0
    for colour, group in groupby(cells, lambda cell: NAMED.get(cell.fg, f"#{cell.fg}")):
        text = "".join(cell.data for cell in group)
        found = _RUN.finditer(text)
        pieces += [Piece(start + each.start(), each[0], colour) for each in found]
        start += len(text)
    return pieces


def draw(line: str, middle: Line, end: list[Line]) -> str:
    """Return the picture: the command, the progress half-way, and the end of the run."""
    prompt = [Piece(0, "$", ACCENT), Piece(2, f"instantly-async {line}", FOREGROUND)]
    above = [prompt, middle, [Piece(0, "⋮", DIM)]]
    lines = [*above, *end]
    width, height = COLUMNS * CELL_X + 2 * MARGIN, len(lines) * CELL_Y + 2 * MARGIN
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    texts = [_text(piece, row) for row, line in enumerate(lines) for piece in line]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            "<title>A run of instantly-async on a terminal</title>",
            f"<desc>{escape(described(lines))}</desc>",
            f'<rect width="100%" height="100%" rx="10" fill="{BACKGROUND}"/>',
            f'<g font-family="{FONTS}" font-size="14" fill="{FOREGROUND}">',
            *texts,
            "</g>",
            "</svg>\n",
        )
    )


def described(lines: list[Line]) -> str:
    """Return the picture in words, for people who do not see it."""
    return "\n".join("  ".join(piece.text for piece in line) for line in lines)


def _text(piece: Piece, row: int) -> str:
    # The length is given, so that columns are below each other in any font.
    x, y = MARGIN + piece.column * CELL_X, MARGIN + (row + 0.75) * CELL_Y
    length = len(piece.text) * CELL_X
    colour = "" if piece.colour == FOREGROUND else f' fill="{piece.colour}"'
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" textLength="{length:.1f}" '
        f'lengthAdjust="spacingAndGlyphs"{colour}>{escape(piece.text)}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(LINE, *take(LINE)))
