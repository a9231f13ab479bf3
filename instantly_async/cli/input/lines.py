"""``LineSplitter``: from chunks of bytes to lines. No I/O."""

from instantly_async.cli.exits import InputError
from instantly_async.cli.records import MAX_LINE_BYTES

from .formats import InputFormat
from .sniff import head_of, kind_of


class LineSplitter:
    """Splits an input into lines, which end with LF, CRLF or CR.

    It looks at the beginning first, and refuses what is not a list of ids. It waits for the first
    line only, so a slow pipe is not held up.

    Raises, from both methods:
        InputError: it is another kind of file, or a line is too long.
    """

    def __init__(self, name: str, form: InputFormat) -> None:
        self._name = name
        self._form = form
        self._head: bytearray | None = bytearray()
        self._rest = bytearray()
        self._ended_with_cr = False
        self._count = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that this chunk completes, without their ends."""
        if self._head is not None:
            self._head += chunk
            if (head := head_of(self._head)) is None:
                return []
            chunk = self._checked(head, self._head)
        return self._split(self._with_lf(chunk))

    def finish(self) -> list[bytes]:
        """Return the lines that are left; the last one need not have an end."""
        rest = b"" if self._head is None else self._checked(bytes(self._head), self._head)
        lines = self._split(self._with_lf(rest))
        if self._rest or self._ended_with_cr:
            lines.append(bytes(self._rest))
            self._rest.clear()
        return lines

    def _checked(self, head: bytes, read: bytearray) -> bytes:
        """Return what has been ``read`` if its head is fine."""
        self._head = None
        kind = kind_of(head, self._form)
        if kind is not None:
            raise InputError(f"{self._name} is {kind.is_}; {kind.remedy}.")
        return bytes(read)

    def _with_lf(self, chunk: bytes) -> bytes:
        """Replace each CRLF and CR; a CR at the end waits for the LF that may follow."""
        if self._ended_with_cr:
            chunk = b"\r" + chunk
        self._ended_with_cr = chunk.endswith(b"\r")
        if b"\r" not in chunk:
            return chunk
        return chunk.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _split(self, chunk: bytes) -> list[bytes]:
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        self._count += len(lines)
        if len(self._rest) > MAX_LINE_BYTES:
            raise InputError(
                f"Line {self._count + 1} of {self._name} is longer than "
                f"{MAX_LINE_BYTES >> 20} MiB; name a file with ids."
            )
        return lines
