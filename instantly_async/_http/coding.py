"""``Unpacker``: undoes the content codings of a body (RFC 9110, 8.4), in pieces.

The parser of aiohttp could do this, but where it cannot read a coding, the status is lost. Its
decompressors are used: they bound their output, and know gzip data in several parts.
"""

import contextlib
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import Protocol

from aiohttp import compression_utils as compression

from instantly_async.errors import ProtocolError

_PIECE_BYTES = 256 * 1024  # unpacked at once (*choice*; about 1 ms)
_GZIP_BITS = 16 + zlib.MAX_WBITS
_MAX_CODINGS = 3  # each may multiply the size by a thousand
_SHOWN = re.compile(r"[a-z0-9-]{1,20}", re.ASCII)

_ALIASES = {"x-gzip": "gzip", "x-deflate": "deflate"}  # the former by RFC 9110, 8.4.1.3
_LIBRARIES = {"br": "'Brotli>=1.2'", "zstd": "backports.zstd"}
_UNREADABLE = frozenset(
    {*_LIBRARIES, "compress", "x-compress", "dcb", "dcz", "exi", "pack200-gzip", "aes128gcm"}
)
"""Registered codings that change the bytes:
https://www.iana.org/assignments/http-parameters/http-parameters.xhtml#content-coding"""


def unpack_at_once(headers: Sequence[str], data: bytes) -> bytes | None:
    """Return a whole body, if it is in no coding or in gzip, as usual; ``None``: use ``Unpacker``.

    ``None`` also if it is large, or if anything is odd about it.
    """
    if not headers:
        return data
    if headers != ["gzip"]:
        return None
    unpacker = zlib.decompressobj(_GZIP_BITS)
    try:
        body = unpacker.decompress(data, _PIECE_BYTES)
    except zlib.error:
        return None
    return body if unpacker.eof and not unpacker.unused_data else None


class _Decompressor(Protocol):
    @property
    def data_available(self) -> bool: ...

    def decompress_sync(self, data: bytes, max_length: int) -> bytes: ...


class Unpacker:
    """Undoes the codings of one body: ``headers`` are the values of all Content-Encoding headers.

    ``status`` is that of the answer.

    Raises:
        ProtocolError: a coding cannot be read. The error has the status.
    """

    def __init__(self, headers: Sequence[str], status: int) -> None:
        self._status = status
        self._unknown: str | None = None
        names = _names_of(headers)
        if len(names) > _MAX_CODINGS:
            raise ProtocolError("the answer has too many content encodings", status=status)
        # The last one was applied last.
        self._layers = [layer for name in reversed(names) if (layer := self._layer(name))]

    def _layer(self, name: str) -> "_Layer | None":
        if (name == "br" and compression.HAS_BROTLI) or (name == "zstd" and compression.HAS_ZSTD):
            return _Layer(name)
        if name in {"gzip", "deflate"}:
            return _Layer(name)
        if name in _UNREADABLE:
            raise _unreadable(name, self._status)
        self._unknown = name
        return None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the next pieces of the body.

        Raises:
            ProtocolError: the data is damaged, or is not in its coding.
        """
        start: Iterable[bytes] = (data,)
        return iter(reduce(lambda pieces, layer: layer.unpack(pieces), self._layers, start))

    def check(self, body: bytes) -> None:
        """Check the whole body, if a coding is unknown.

        Servers also send names that are no codings, such as utf-8, with JSON as it is.

        Raises:
            ProtocolError: it is not JSON.
        """
        if self._unknown is not None and not body.lstrip().startswith(b"{"):
            raise _unreadable(self._unknown, self._status)


def _names_of(headers: Sequence[str]) -> Sequence[str]:
    names = (name.strip(" \t").lower() for name in ",".join(headers).split(","))
    return [_ALIASES.get(name, name) for name in names if name not in {"", "identity"}]


class _Layer:
    """One coding."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._decompressor: _Decompressor | None = None

    def unpack(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in filter(None, pieces):
            self._decompressor = self._decompressor or _decompressor(self._name, piece[0])
            yield self._undo(piece, self._decompressor)
            while self._decompressor.data_available:
                yield self._undo(b"", self._decompressor)

    def _undo(self, data: bytes, decompressor: _Decompressor) -> bytes:
        with contextlib.suppress(Exception):  # each library has its own
            return decompressor.decompress_sync(data, _PIECE_BYTES)
        raise ProtocolError(f"the answer is not valid {self._name}")


def _decompressor(name: str, first: int) -> _Decompressor:
    """Return what reads a coding; ``first`` is the first byte of the data."""
    if name == "br":
        return compression.BrotliDecompressor()
    if name == "zstd":
        return compression.ZSTDDecompressor()
    # Some servers leave out the header of zlib, which begins with such a byte.
    return compression.ZLibDecompressor(name, suppress_deflate_header=first & 0xF != 8)


def _unreadable(name: str, status: int) -> ProtocolError:
    """Return the error for a coding that this installation does not read."""
    shown = f'the content encoding "{name}"' if _SHOWN.fullmatch(name) else "a content encoding"
    remedy = f"; pip install {_LIBRARIES[name]}" if name in _LIBRARIES else ""
    return ProtocolError(
        f"HTTP {status} has {shown}, which was not asked for and cannot be read{remedy}",
        status=status,
    )
