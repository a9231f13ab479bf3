"""``Terminal``: what goes to stderr, and whether a progress line can be drawn there."""

import contextlib
import logging
import os
import re
import shlex
import sys
import unicodedata
from typing import Literal, TextIO

from rich.console import Console
from rich.segment import Segment, Segments

LogLevel = Literal["debug", "info", "warning", "error"]

MAX_CHARS = 10_000
"""Longest line that is printed (*choice*): two file names take 8,192 bytes at most."""

_SIZE = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
_CONTROLS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")  # within words of Persian, and within emoji


class QuietConsole(Console):
    """A console that becomes quiet when it cannot be written; Rich would end the process.

    Its reader may have gone, the disk may be full, or the terminal may have been closed. For
    stdout, the last two are raised.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(
            stderr=stderr,
            soft_wrap=stderr,  # of all that is for people, only the help is fitted to the width
            highlight=False,
            markup=False,
            emoji=False,
            force_jupyter=False,
            _environ=_sensible_environment(),
        )

    def __exit__(self, *exc_info: object) -> None:
        """Write what has been printed."""
        try:
            super().__exit__(*exc_info)
        except (OSError, ValueError) as error:  # the latter if it was closed in this process
            self.on_broken_pipe()
            if not self.stderr and isinstance(error, OSError):
                raise  # what is on stdout was asked for

    def on_broken_pipe(self) -> None:
        """Drop this text and all that follows."""
        self.quiet = True
        with contextlib.suppress(OSError, ValueError, AttributeError):  # it is no real file
            discard(self.file.fileno())


def discard(fd: int) -> None:
    """Redirect what cannot be written to the null device, because Python would flush it at exit."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, fd)
    os.close(nothing)


def visible(text: str) -> str:
    """Return the text with its control characters, also those of Unicode, as escapes.

    They may come from a name or from a server, and could move the cursor or forge a line. All
    else stays as it is, also spaces and emoji of any kind.
    """
    if text.isprintable():
        return text
    return "".join(c if _is_visible(c) else c.encode("unicode_escape").decode() for c in text)


def _is_visible(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in _CONTROLS


def shell_quoted(word: str) -> str:
    """Quote a word for a shell; one with control characters for bash and zsh."""
    if visible(word) == word:
        return shlex.quote(word)
    return "$'" + "".join(map(_ansi_c, word)) + "'"


def _ansi_c(character: str) -> str:
    if visible(character) != character:
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
    return f"\\{character}" if character in "\\'" else character


class Terminal:
    """Stderr. Text is printed as it is: no markup, no wrapping, no highlighting.

    ``is_terminal``: stderr is a terminal. ``is_live``: a progress line can be drawn on it.
    """

    def __init__(self) -> None:
        self.console = QuietConsole(stderr=True)
        self.is_terminal = _is_terminal(sys.stderr)
        self.is_live = self.is_terminal and not self.console.is_dumb_terminal

    def say(self, sentence: str) -> None:
        """Print one line. Control characters, which may come from a file, are made visible.

        The end of a very long text is left out, before anything looks at it.
        """
        if len(sentence) > MAX_CHARS:
            sentence = f"{sentence[:MAX_CHARS]}…"
        # As a segment: some versions of Rich take quadratic time to fit a text with many blanks.
        self.console.print(Segments([Segment(visible(sentence)), Segment.line()]))

    def show(self, text: str) -> None:
        """Print several lines, each as ``say`` does."""
        for line in text.split("\n"):
            self.say(line)

    @property
    def block(self) -> str:
        """The character that bars are drawn with."""
        return "█" if self._can_show("█") else "#"

    @property
    def spinner(self) -> str:
        """The name of the animation, one of Rich's, that shows that something is done."""
        return "dots" if self._can_show("⠋") else "line"

    def _can_show(self, character: str) -> bool:
        try:
            character.encode(self.console.encoding)
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def restore(self) -> None:
        """Show the cursor again, which the progress line hides."""
        if self.is_live:
            self.console.show_cursor()


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it was closed in this process
        return False


def _sensible_environment() -> dict[str, str]:
    """Return the environment without a size of the terminal that is none, such as 0 columns."""
    sizes = {name: os.environ.get(name, "") for name in ("COLUMNS", "LINES")}
    odd = {name for name, value in sizes.items() if not _SIZE.fullmatch(value)}
    return {name: value for name, value in os.environ.items() if name not in odd}


class _TerminalHandler(logging.Handler):
    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._terminal.show(self.format(record))


def log_to(terminal: Terminal, level: LogLevel) -> None:
    """Print this package's log records of that level and above, above the progress line."""
    logger = logging.getLogger("instantly_async")
    logger.handlers[:] = [_TerminalHandler(terminal)]
    logger.setLevel(level.upper())
    logger.propagate = False
