"""``Terminal``: what goes to stderr, and whether a progress line can be drawn there."""

import logging
import os
import sys
from typing import Literal

from rich.console import Console
from rich.segment import Segment, Segments

LogLevel = Literal["debug", "info", "warning", "error"]

MAX_CHARS = 10_000
"""Longest text that is printed (*choice*): two file names take 8,192 bytes at most."""


class QuietConsole(Console):
    """A console that becomes quiet when it cannot be written; Rich would end the process.

    Its reader may have gone, the disk may be full, or the terminal may have been closed.
    """

    def __exit__(self, *exc_info: object) -> None:
        """Write what has been printed."""
        try:
            super().__exit__(*exc_info)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        """Drop this text and all that follows."""
        self.quiet = True
        discard(self.file.fileno())


def discard(fd: int) -> None:
    """Redirect what cannot be written to the null device, because Python would flush it at exit."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, fd)
    os.close(nothing)


class Terminal:
    """Stderr. Text is printed as it is: no markup, no wrapping, no highlighting.

    ``is_terminal``: stderr is a terminal. ``is_live``: a progress line can be drawn on it.
    """

    def __init__(self) -> None:
        self.console = QuietConsole(stderr=True, highlight=False, soft_wrap=True, markup=False)
        self.is_terminal = sys.stderr.isatty()
        self.is_live = self.is_terminal and not self.console.is_dumb_terminal

    def say(self, text: str) -> None:
        """Print one line. Control characters, which may come from a file, are masked.

        The end of a very long text is left out, before anything looks at it.
        """
        if len(text) > MAX_CHARS:
            text = f"{text[:MAX_CHARS]}…"
        shown = "".join(c if c.isprintable() or c == "\n" else "�" for c in text)
        # As a segment: some versions of Rich take quadratic time to fit a text with many blanks.
        self.console.print(Segments([Segment(shown), Segment.line()]))

    @property
    def block(self) -> str:
        """The character that bars are drawn with."""
        try:
            "█".encode(self.console.encoding)
        except (UnicodeEncodeError, LookupError):
            return "#"
        return "█"

    def restore(self) -> None:
        """Show the cursor again, which the progress line hides."""
        if self.is_live:
            self.console.show_cursor()


class _TerminalHandler(logging.Handler):
    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._terminal.say(self.format(record))


def log_to(terminal: Terminal, level: LogLevel) -> None:
    """Print this package's log records of that level and above, above the progress line."""
    logger = logging.getLogger("instantly_async")
    logger.handlers[:] = [_TerminalHandler(terminal)]
    logger.setLevel(level.upper())
    logger.propagate = False
