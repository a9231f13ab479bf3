"""A command on a pseudo-terminal, as a person would see it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from commands import MODULE

DEADLINE_S = 30.0

_SEQUENCE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


class OnTerminal:
    """The command with stderr on a terminal of ``columns``; it is killed at the deadline.

    ``screen`` is all that was drawn so far. stdin and stdout are the null device.
    """

    def __init__(
        self, *arguments: object, columns: int = 80, environment: Mapping[str, str] = {}
    ) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"}
        }
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._process = subprocess.Popen(
            [*MODULE, *map(str, arguments)],
            env=inherited | {"TERM": "xterm-256color", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
        os.close(theirs)
        self._deadline = time.monotonic() + DEADLINE_S
        self._drawn = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._fd)
        if error is not None:
            self._process.kill()
        self._process.wait(DEADLINE_S)

    @property
    def screen(self) -> str:
        return self._drawn.decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """What was drawn, line by line, redrawn ones again; without colours and the like."""
        return re.split(r"[\r\n]+", _SEQUENCE.sub("", self.screen))

    def read_until(self, pattern: str, times: int = 1) -> list[str]:
        """Read until the pattern has matched that many different texts; return them in order."""
        while True:
            found = list(dict.fromkeys(re.findall(pattern, self.screen)))
            if len(found) >= times:
                return found
            assert self._read(), f"ended without {pattern}: {self.screen!r}"

    def interrupt(self) -> None:
        """Send what Ctrl-C sends."""
        self._process.send_signal(signal.SIGINT)

    def wait(self) -> int:
        """Read to the end; return the exit code."""
        while self._read():
            pass
        return self._process.wait(DEADLINE_S)

    def _read(self) -> bool:
        remaining_s = self._deadline - time.monotonic()
        readable, _, _ = select.select([self._fd], [], [], max(0.0, remaining_s))
        if not readable:
            self._process.kill()
            raise AssertionError(f"not within {DEADLINE_S} s: {self.screen!r}")
        try:
            chunk = os.read(self._fd, 65536)
        except OSError:  # EIO: nobody has the other side open any more
            return False
        self._drawn += chunk
        return bool(chunk)


class AtPrompt(OnTerminal):
    """An interactive shell; what is typed is shown. ``screen`` begins with the last line typed."""

    def __init__(self, shell: Sequence[str], folder: Path) -> None:
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        self._process = subprocess.Popen(
            shell,
            cwd=folder,
            env=os.environ | {"TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._deadline = time.monotonic() + DEADLINE_S
        self._drawn = b""

    @property
    def screen(self) -> str:
        return _SEQUENCE.sub("", super().screen)

    def type(self, text: str) -> None:
        """Type something instead of what is in the line."""
        self._drawn = b""
        os.write(self._fd, b"\x15" + text.encode())

    def run(self, line: str) -> None:
        """Run a command, to its end."""
        self.type(f"{line}; echo do''ne\n")
        self.read_until("done")
