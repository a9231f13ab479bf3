"""Compressed files: packs what is written, unpacks what is read. Must not know what is in them."""

import contextlib
import io
import itertools
from collections.abc import Iterator
from typing import Any, BinaryIO

from instantly_async.cli.system import Compression, Unpacking, compression_of, compression_of_name

_HEAD_BYTES = 16
"""Enough for every magic number; leads are longer, so a pipe need not wait for its end."""

_CHUNK_BYTES = 64 * 1024
_BUFFER_BYTES = 1024 * 1024


def packed(
    file: BinaryIO, compression: Compression | None
) -> contextlib.AbstractContextManager[BinaryIO]:
    """Yield a file that compresses into this one, and is complete at the end of the block.

    ``None``: the file itself.
    """
    if compression is None:
        return contextlib.nullcontext(file)
    return compression.load().wrap_to_write(file)


class Source:
    """A file to read, unpacked if its first bytes show a compression.

    ``name`` is that of the file, ``content`` that of what ``open`` returns, for messages with
    a place in it.

    Raises:
        OSError: it cannot be read.
    """

    def __init__(self, file: io.BufferedIOBase, name: str) -> None:
        self._file = file
        self._start = file.tell() if file.seekable() else None
        self._head = file.read(_HEAD_BYTES)
        # An empty file with the name of a compressed one was cut off.
        self._compression = compression_of(self._head) if self._head else compression_of_name(name)
        self.name = name
        self.content = name if self._compression is None else f"the unpacked {name}"

    @property
    def can_be_read_twice(self) -> bool:
        """Whether ``open`` may be called again, which a pipe does not allow."""
        return self._start is not None

    def open(self) -> BinaryIO:
        """Return the content from its beginning.

        Reading it can raise ``DamageError``, or ``CommandError`` if a package is missing.
        """
        chunks = iter(lambda: self._file.read1(_CHUNK_BYTES), b"")
        if self._start is None:
            chunks = itertools.chain([self._head], chunks)
        else:
            self._file.seek(self._start)
        if self._compression is not None:
            chunks = _unpacked(chunks, self._compression)
        return io.BufferedReader(_Pieces(chunks), _BUFFER_BYTES)


def _unpacked(chunks: Iterator[bytes], compression: Compression) -> Iterator[bytes]:
    unpacking = Unpacking(compression)
    for chunk in chunks:
        yield from unpacking.feed(chunk)
    yield from unpacking.finish()


class _Pieces(io.RawIOBase):
    """A file of pieces; an empty one is its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._piece or next(self._pieces, b"")
        size = min(len(piece), len(buffer))
        buffer[:size] = piece[:size]
        self._piece = piece[size:]
        return size
