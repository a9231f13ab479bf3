"""``Compression``: which ones there are, and how each is read and written.

A compression is known by the end of a name, or by its magic number. zstd needs Python 3.14 or the
extra of that name.
"""

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from instantly_async.cli.exits import CommandError


class Decompressor(Protocol):
    """Decompresses one stream, in pieces. The interface is that of ``bz2``."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was reached."""

    @property
    def needs_input(self) -> bool:
        """Whether more input is needed for more output."""

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the stream."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Return the next bytes, at most ``max_length``; what is left of ``data`` is kept."""


class Codec(NamedTuple):
    """Reads and writes one compression. The wrapped files leave the inner file open.

    ``errors`` are raised for damaged data, ``EOFError`` for data that ends too early.
    """

    decompressor: Callable[[], Decompressor]
    wrap_to_write: Callable[[BinaryIO], BinaryIO]
    errors: tuple[type[Exception], ...]


class Compression(NamedTuple):
    """A compression, by the ``name`` of its program.

    ``load`` returns its codec, or raises ``CommandError`` if a package is missing.
    """

    name: str
    suffix: str
    magic: re.Pattern[bytes]
    load: Callable[[], Codec]


class _GzipDecompressor:
    """``zlib`` with the interface of ``bz2``."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        piece = self._zlib.decompress(self._zlib.unconsumed_tail + data, max(0, max_length))
        is_full = len(piece) == max_length  # more may be waiting inside
        self.needs_input = not (self._zlib.unconsumed_tail or is_full or self.eof)
        return piece


def _gzip() -> Codec:
    return Codec(
        _GzipDecompressor,
        # Without name and time, so that equal content gives equal bytes. Level 9 takes twice the
        # time for 5 % less.
        lambda file: cast("BinaryIO", gzip.GzipFile("", "wb", 6, file, mtime=0)),
        (zlib.error, gzip.BadGzipFile),
    )


def _bzip2() -> Codec:
    return Codec(
        bz2.BZ2Decompressor,
        lambda file: cast("BinaryIO", bz2.BZ2File(file, "wb")),
        (OSError,),
    )


def _xz() -> Codec:
    return Codec(
        lzma.LZMADecompressor,
        lambda file: cast("BinaryIO", lzma.LZMAFile(file, "wb")),
        (lzma.LZMAError,),
    )


def _zstd() -> Codec:
    zstd = _import_zstd()
    # The others always have a checksum.
    checked = {zstd.CompressionParameter.checksum_flag: 1}
    return Codec(
        zstd.ZstdDecompressor,
        lambda file: cast("BinaryIO", zstd.ZstdFile(file, "wb", options=checked)),
        (zstd.ZstdError,),
    )


def _import_zstd() -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    raise CommandError(
        "zstd needs Python 3.14 or the extra \"zstd\": pip install 'instantly-async[zstd]'."
    )


COMPRESSIONS = (
    Compression("gzip", ".gz", re.compile(rb"\x1f\x8b"), _gzip),
    Compression("bzip2", ".bz2", re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), _bzip2),
    Compression("xz", ".xz", re.compile(rb"\xfd7zXZ\x00"), _xz),
    Compression("zstd", ".zst", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _zstd),
)


def compression_of_name(path: str) -> Compression | None:
    """Return the compression that the end of a name shows; ``None``: none."""
    lower = path.lower()
    return next((each for each in COMPRESSIONS if lower.endswith(each.suffix)), None)


def compression_of(head: bytes) -> Compression | None:
    """Return the compression of data that begins so; ``None``: none of these."""
    return next((each for each in COMPRESSIONS if each.magic.match(head)), None)
