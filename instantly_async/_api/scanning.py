"""Where the parts of a JSON text begin and end, and whether the text was cut off.

Uses the standard library's scanner, which accepts more than msgspec. A text is read as Latin-1,
so that each byte is one character: the syntax of JSON is ASCII, and the bytes need not be UTF-8.
"""

import json
import re
from collections.abc import Generator, Iterator
from typing import Literal

# What the scanner stops at if the text ends within a string, an escape, a number or a word.
_CUT_TOKEN = re.compile(
    r'[ \t\n\r]*(?:"(?:[^"\\]|\\.)*+\\?|\\?u[0-9a-fA-F]{0,4}|-|\.|[eE][+-]?|tr?u?|fa?l?s?|nu?l?)?',
    re.DOTALL,
)
_SPACE = re.compile(r"[ \t\n\r]*")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Not strict, so a control character in a string spoils only its element. Values are not kept, and
# CPython refuses to parse long integers (CVE-2020-10735).
_scan_value = json.JSONDecoder(parse_int=float, strict=False).raw_decode


class PageScan:
    """Finds the elements of the array ``items``, one at each step.

    Iterate over it, once. A step yields the bytes of an element, nothing (``b""``) after another
    member of the page, or ``None`` where the array begins: what came before it does not count,
    because of two equal keys the last one counts.

    Then ``failure`` says why the body is not an object with such an array; ``None``: it is one.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._text = body.decode("latin-1")
        # A scanner that has read ``_stub`` is in the same state as one that has read the text
        # before ``_at``. So whether the text is cut off can be seen without scanning it again.
        self._stub = ""
        self._at = len(_BYTE_ORDER_MARK) if body.startswith(_BYTE_ORDER_MARK) else 0
        self._is_malformed = False  # whatever follows
        self.failure: Literal["truncated", "malformed"] | None = None

    def __iter__(self) -> Iterator[bytes | None]:
        try:
            yield from self._scan_members(_expect(self._text, "{", self._at))
        except (ValueError, IndexError, RecursionError):
            rest = self._stub + self._text[self._at :]
            is_truncated = not self._is_malformed and _is_cut_off(rest)
            self.failure = "truncated" if is_truncated else "malformed"

    def _scan_members(self, at: int) -> Iterator[bytes | None]:
        """Read an object from after its brace to the end of the text."""
        text = self._text
        is_page = False
        self._mark("{", at)
        while text[at] != "}":
            key, at = _scan_value(text, at)
            self._is_malformed |= not isinstance(key, str)  # accepted by this scan only
            at = _expect(text, ":", at)
            if key == "items":
                is_page = text[at] == "["
            if key == "items" and is_page:
                yield None
                at = yield from self._scan_elements(_expect(text, "[", at))
                self._mark('{"":0', at)
            else:
                _, at = _scan_value(text, at)
                yield b""
            at = self._next_part(at, "}")
            self._mark("{", at)
        if not is_page or _skip_space(text, at + 1) != len(text):
            self._is_malformed = True
            raise ValueError

    def _scan_elements(self, at: int) -> Generator[bytes, None, int]:
        while self._text[at] != "]":
            self._mark("[", at)
            _, end = _scan_value(self._text, at)
            yield self._body[at:end]
            at = self._next_part(end, "]")
        return at + 1

    def _next_part(self, end: int, closing: str) -> int:
        at = _next_member(self._text, end, closing)
        # A comma at the end is accepted by this scan only.
        self._is_malformed |= self._text[at : at + 1] == closing and "," in self._text[end:at]
        return at

    def _mark(self, stub: str, at: int) -> None:
        self._stub, self._at = stub, at


def split_members(body: bytes) -> dict[str, bytes] | None:
    """Return the bytes of each value of an object; ``None``: it is not an object.

    The bytes are unchanged, whatever their strings hold.
    """
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")  # for the keys
    members = {}
    try:
        at = _expect(text, "{", 0)
        while text[at] != "}":
            key, at = _scan_value(text, at)
            at = _expect(text, ":", at)
            _, end = _scan_value(text, at)
            members[key] = text[at:end].encode("utf-8", "surrogateescape")
            at = _next_member(text, end, "}")
    except (ValueError, IndexError, RecursionError):
        return None
    return members if _skip_space(text, at + 1) == len(text) else None


def is_cut_off(body: bytes) -> bool:
    """Whether a body is the beginning of a JSON text that ends too early, or empty."""
    return _is_cut_off(body.removeprefix(_BYTE_ORDER_MARK).decode("latin-1"))


def _is_cut_off(text: str) -> bool:
    try:
        _scan_value(text, _skip_space(text, 0))
    except json.JSONDecodeError as error:
        return _CUT_TOKEN.fullmatch(text, error.pos) is not None
    except RecursionError:
        pass
    return False


def _next_member(text: str, at: int, closing: str) -> int:
    at = _skip_space(text, at)
    return at if text[at] == closing else _expect(text, ",", at)


def _expect(text: str, character: str, at: int) -> int:
    """Skip the character and the white space around it; return the position after that."""
    at = _skip_space(text, at)
    if text[at] != character:
        raise ValueError(character)
    return _skip_space(text, at + 1)


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
