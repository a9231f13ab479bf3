"""``Unpacking``: from compressed bytes to bytes, in pieces of limited size. No I/O."""

from collections.abc import Iterator

from instantly_async.cli.exits import InputError

from .compression import Compression, Decompressor

PIECE_BYTES = 256 * 1024
"""Bytes of a piece (*choice*): 64 KiB of a hostile file can unpack to 64 MB."""


class DamageError(InputError):
    """The data cannot be unpacked from here on; the message is a part of a sentence."""


class Unpacking:
    """Unpacks one stream or several, as ``cat`` joins them; zeros behind a stream are padding.

    Raises:
        CommandError: a package is missing.
    """

    def __init__(self, compression: Compression) -> None:
        self._name = compression.name
        self._codec = compression.load()
        self._stream: Decompressor | None = self._codec.decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the pieces that this data completes; raise ``DamageError`` if it is not valid."""
        while data or (self._stream is not None and not self._stream.needs_input):
            if self._stream is None:
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._stream = self._codec.decompressor()
            if piece := self._next(self._stream, data):
                yield piece
            data = b""
            if self._stream.eof:
                data, self._stream = self._stream.unused_data, None

    def _next(self, stream: Decompressor, data: bytes) -> bytes:
        try:
            return stream.decompress(data, PIECE_BYTES)
        except self._codec.errors:
            pass  # outside, so that the error has no context
        raise DamageError(f"is damaged: its {self._name} data is not valid")

    def finish(self) -> Iterator[bytes]:
        """Raise ``DamageError`` if the data ends within a stream, or before the first one."""
        if self._stream is not None:
            raise DamageError(f"is cut off: its {self._name} data ends too early")
        yield from ()
