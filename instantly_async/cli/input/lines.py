"""``Lines``: from UTF-8 text to lines, and to ids by a parser of lines. No I/O."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from instantly_async.cli.exits import InputError
from instantly_async.cli.records import BOM, MAX_LINE_BYTES, LineId

from .understood import Understood


class LineParser(Protocol):
    """Parses ids from lines, one line at a time.

    A line without a usable id still yields one, which is not a UUID, so that none is lost
    silently; only comments, blank lines and headers yield nothing.
    """

    def feed(self, line: str, number: int) -> Sequence[LineId]:
        """Return the ids that this line completes."""

    def finish(self) -> None:
        """Raise ``InputError`` if the input ended too early."""


class Lines:
    """A stage that splits text into lines, which end with LF, CRLF or CR, and parses each.

    A byte order mark that begins a line is skipped: each of joined files may begin with one.
    """

    def __init__(self, name: str, parser: LineParser, understood: Understood) -> None:
        self._name = name
        self._parser = parser
        self._understood = understood
        self._rest = bytearray()
        self._ended_with_cr = False
        self._count = 0
        self._offset = 0

    def feed(self, data: bytes) -> Iterator[LineId]:
        nul = data.find(b"\0")
        yield from self._feed_text(data if nul < 0 else data[:nul])
        if nul >= 0:
            raise InputError(
                f"Line {self._count + self._ended_with_cr + 1} of {self._name} has a NUL byte (at "
                f"offset {self._offset + nul:,}), so it is not text; save the file as text in "
                "UTF-8, or name another one."
            )
        self._offset += len(data)

    def _feed_text(self, text: bytes) -> Iterator[LineId]:
        *lines, rest = self._with_lf(text).split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        for line in lines:
            yield from self._parse(line)
        self._rest += rest
        if len(self._rest) > MAX_LINE_BYTES:
            raise InputError(
                f"Line {self._count + 1} of {self._name} is longer than "
                f"{MAX_LINE_BYTES >> 20} MiB; name another file."
            )

    def _with_lf(self, text: bytes) -> bytes:
        """Replace each CRLF and CR; a CR at the end waits for the LF that may follow."""
        if self._ended_with_cr and text:
            text = b"\r" + text
        elif not text:
            return b""
        self._ended_with_cr = text.endswith(b"\r")
        if b"\r" not in text:
            return text
        return text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _parse(self, line: bytes) -> Sequence[LineId]:
        self._count += 1
        return self._parser.feed(self._decode(line.removeprefix(BOM)), self._count)

    def _decode(self, line: bytes) -> str:
        """Decode a line. Ids are ASCII, so names in another encoding need not stop a run."""
        try:
            return line.decode()
        except UnicodeDecodeError:
            self._understood.odd_lines += 1
            return line.decode("cp1252", "replace")

    def finish(self) -> Iterator[LineId]:
        if self._rest or self._ended_with_cr:
            yield from self._parse(bytes(self._rest))
            self._rest.clear()
        self._parser.finish()
