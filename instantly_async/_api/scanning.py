"""Where the parts of a page, of a lead, and of a line begin and end.

A page is read as Latin-1, so that each byte is one character: the syntax of JSON is ASCII, and the
bytes need not be UTF-8.
"""

import json
from collections.abc import Generator, Iterator

from .pieces import PIECE, STEP, Failure, Found, PieceReader
from .steps import Steps

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class PageScan:
    """Finds the elements of the array ``items``, at most one at each step.

    Iterate over it, once. A step yields the bytes of an element, ``None`` where the array begins,
    or nothing (``b""``). What came before ``None`` does not count, because of two equal keys the
    last one counts.

    Then ``failure`` says why the body is not an object with such an array; ``None``: it is one.
    """

    def __init__(self, body: bytes, piece: int = PIECE) -> None:
        self._body = body
        self._reader = PieceReader(body.decode("latin-1"), piece=piece)
        self.failure: Failure | None = None

    def __iter__(self) -> Iterator[bytes | None]:
        start = len(_BYTE_ORDER_MARK) if self._body.startswith(_BYTE_ORDER_MARK) else 0
        try:
            yield from self._scan_members(self._reader.begin("{", start))
        except (ValueError, IndexError, RecursionError):
            self.failure = self._reader.failure

    def _scan_members(self, at: int) -> Iterator[bytes | None]:
        """Read an object from after its brace to the end of the text."""
        reader, text = self._reader, self._reader.text
        is_page = False
        while text[at] != "}":
            key, at = yield from _quietly(reader.key(at))
            if key == "items":
                is_page = text[at] == "["
            if key == "items" and is_page:
                yield None
                at = yield from self._scan_elements(reader.begin("[", at))
            else:
                _, at = yield from _quietly(reader.value(at, keep=False))
                yield b""
            at = reader.next_part(at, "}")
        reader.end(at + 1)
        if not is_page:
            reader.refuse()

    def _scan_elements(self, at: int) -> Generator[bytes, None, int]:
        reader, text = self._reader, self._reader.text
        while text[at] != "]":
            found = reader.at_once(at) or (yield from _quietly(reader.in_parts(at, keep=False)))
            yield self._body[at : found[1]]
            at = reader.next_part(found[1], "]")
        return at + 1


def _quietly(steps: Generator[None, None, Found]) -> Generator[bytes, None, Found]:
    """Do the same, and yield ``b""`` at each step."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # typeshed does not know its type
        yield b""


def find_members(reader: PieceReader) -> Generator[None, None, dict[str, slice]]:
    """Return where each value of an object is. Of two equal keys the last one counts.

    Raises:
        ValueError, IndexError, RecursionError: the text is not an object.
    """
    members = {}
    text = reader.text
    at = rested = reader.begin("{")
    while text[at] != "}":
        if at - rested >= STEP:
            rested = at
            yield
        key, at = yield from reader.key(at)
        found = reader.at_once(at) or (yield from reader.in_parts(at, keep=False))
        members[key] = slice(at, found[1])
        at = reader.next_part(found[1], "}")
    reader.end(at + 1)
    return members


def is_cut_off_object(body: bytes) -> bool:
    """Whether this is the beginning of an object in UTF-8 that ends too early.

    The last character may be cut, too.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return False
        text = body[: error.start].decode()
    reader = PieceReader(text, json.JSONDecoder(parse_int=float))
    try:
        Steps(find_members(reader)).at_once()
    except (ValueError, IndexError, RecursionError):
        return reader.failure == "truncated"
    return False


def split_members(body: bytes) -> dict[str, bytes] | None:
    """Return the bytes of each value of an object; ``None``: it is not an object.

    The bytes are unchanged, whatever their strings hold.
    """
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")  # for the keys
    try:
        members = Steps(find_members(PieceReader(text))).at_once()
    except (ValueError, IndexError, RecursionError):
        return None
    return {key: text[part].encode("utf-8", "surrogateescape") for key, part in members.items()}
