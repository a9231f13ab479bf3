"""``Recoding``: from text in UTF-16 or UTF-32 to UTF-8. No I/O."""

import codecs
import re
from collections.abc import Iterator

from instantly_async.cli.exits import InputError

_ADDED_BYTES = 40
"""Length of an id."""

_C = rb"[^\0]"
_SIGNS = (  # UTF-32 before UTF-16, whose mark its own begins with
    (re.compile(rb"\xff\xfe\0\0"), "UTF-32"),
    (re.compile(rb"\0\0\xfe\xff"), "UTF-32"),
    (re.compile(rb"\xff\xfe"), "UTF-16"),
    (re.compile(rb"\xfe\xff"), "UTF-16"),
    # Without a mark: ASCII, of which four characters are enough.
    (re.compile(rb"(?:%b\0\0\0){4}" % _C), "UTF-32-LE"),
    (re.compile(rb"(?:\0\0\0%b){4}" % _C), "UTF-32-BE"),
    (re.compile(rb"(?:%b\0){4}" % _C), "UTF-16-LE"),
    (re.compile(rb"(?:\0%b){4}" % _C), "UTF-16-BE"),
)


def encoding_of(head: bytes) -> str | None:
    """Return the encoding of text that begins so, for ``codecs``; ``None``: it may be UTF-8."""
    return next((name for sign, name in _SIGNS if sign.match(head)), None)


class Recoding:
    """Decodes and encodes again; what cannot be decoded becomes U+FFFD, as ids are ASCII.

    ``added`` finds an id in ASCII, which has zeros between its bytes in these encodings.

    Raises:
        InputError: bytes of another encoding follow, because some program has added lines.
    """

    def __init__(self, name: str, encoding: str, added: re.Pattern[bytes]) -> None:
        self._name = name
        self._added = added
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._end = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        read, begun = self._end + data, len(self._end)
        self._end = read[-_ADDED_BYTES:]
        if added := self._added.search(read):
            yield self._decoder.decode(read[begun : added.start()]).encode()
            raise InputError(
                f"{self._name} begins in {self._encoding} and goes on in another encoding; save it "
                "in one encoding."
            )
        yield self._decoder.decode(data).encode()

    def finish(self) -> Iterator[bytes]:
        yield self._decoder.decode(b"", final=True).encode()
