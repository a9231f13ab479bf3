"""``PieceReader``: reads JSON with the standard library's scanner, but never much of it at once.

A value that ends soon is scanned at once. A longer array or object is read part by part, and a
longer string piece by piece. Knows neither leads nor pages.
"""

import json
import re
from collections.abc import Generator
from typing import Any, Literal, NoReturn, Protocol

Found = tuple[Any, int]
"""A value, and where it ends."""

Failure = Literal["truncated", "malformed"]

PIECE = 16 * 1024
"""Characters that are scanned at once (*choice*): 2 ms, or 5 ms if values are also cleaned."""

_MAX_RUN = 1024 * 1024  # of digits, or of white space: 3 ms
STEP = 4 * 1024  # characters between two steps: 1 ms, if all values are tiny

_MAX_DEPTH = 100  # of arrays and objects that are longer than a piece; each takes 10 ms
_MAX_REST = 64 * 1024  # what ends so long after its last whole part is not merely cut off

# What the scanner stops at if the text ends within a string, an escape, a number or a word.
_CUT_TOKEN = re.compile(
    r'[ \t\n\r]*(?:"(?:[^"\\]|\\.)*+\\?|\\?u[0-9a-fA-F]{0,4}|-|\.|[eE][+-]?|tr?u?|fa?l?s?|nu?l?)?',
    re.DOTALL,
)
_CUT_ESCAPE = re.compile(r"(?:\\(?:u[0-9a-fA-F]{0,3})?)?")
_ESCAPE = r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_IN_STRING = {
    True: re.compile(rf'(?:[^"\\\x00-\x1f]|{_ESCAPE})*+'),  # strict
    False: re.compile(rf'(?:[^"\\]|{_ESCAPE})*+'),
}
_NUMBER = re.compile(r"[-+.0-9eE]*")
_COMMA_AFTER = {"[": "],", "{": "},"}  # in an array of arrays, or of objects
_SPACE = re.compile(r"[ \t\n\r]*")

# Not strict, so a control character in a string spoils only its element. Values are not kept, and
# CPython refuses to parse long integers (CVE-2020-10735).
LOOSE = json.JSONDecoder(parse_int=float, strict=False)


class Cleaner(Protocol):
    """Converts values that JSON must not contain."""

    def is_odd(self, text: str) -> bool:
        """Whether values in this text may have to be converted."""

    def clean(self, value: Any) -> Any:
        """Return the value, converted."""


class PieceReader:
    """Reads a text; positions are indexes into it. What takes long is a generator of steps.

    ``cleaner`` converts what a piece may hold. After an error, ``failure`` says what is wrong with
    the text. All methods that read raise ``ValueError``, ``IndexError`` or ``RecursionError`` if
    there is nothing valid to read.
    """

    def __init__(
        self,
        text: str,
        decoder: json.JSONDecoder = LOOSE,
        cleaner: Cleaner | None = None,
        piece: int = PIECE,
    ) -> None:
        self.text = text
        self._scan = decoder.raw_decode
        self._in_string = _IN_STRING[decoder.strict]
        self._cleaner = cleaner
        self._length = piece
        self._piece, self._start = "", 0
        self._is_odd = False  # the piece
        # A scanner that has read ``_stub`` is in the same state as one that has read the text
        # before ``_at``. So whether the text is cut off can be seen without scanning it again.
        self._stub, self._at = "", 0
        self._is_cut = False
        self._is_malformed = False  # whatever follows

    @property
    def failure(self) -> Failure:
        """After an error: whether the text is the beginning of a valid one."""
        if self._is_cut and not self._is_malformed:
            return "truncated"
        if self._is_malformed or len(self.text) - self._at > _MAX_REST:
            return "malformed"
        return "truncated" if is_cut_off(self._stub + self.text[self._at :]) else "malformed"

    def begin(self, opening: str, at: int = 0) -> int:
        """Return where the first part of the array or object begins, or its closing bracket."""
        self._stub, self._at = "", at
        at = expect(self.text, opening, at)
        self._stub, self._at = opening, at
        return at

    def key(self, at: int) -> Generator[None, None, Found]:
        """Return the key of a member, and where its value begins."""
        self._is_malformed |= self.text[at] in "[{"
        key, end = yield from self.value(at, keep=not self._is_malformed)
        self._is_malformed |= not isinstance(key, str)  # accepted by this reader only
        return key, expect(self.text, ":", end)

    def next_part(self, end: int, closing: str) -> int:
        """Return where the part after this one begins, or the closing bracket."""
        text = self.text
        self._stub, self._at = '{"":""' if closing == "}" else '[""', end
        at = skip_space(text, end)
        if text[at] != closing:
            at = expect(text, ",", at)
            # A comma at the end is accepted by this reader only.
            self._is_malformed |= text[at : at + 1] == closing
        self._stub, self._at = "{" if closing == "}" else "[", at
        return at

    def end(self, at: int) -> None:
        """Require that nothing follows.

        Raises:
            ValueError: something does.
        """
        if skip_space(self.text, at) != len(self.text):
            self.refuse()

    def refuse(self) -> NoReturn:
        """Raise ``ValueError``, because the text is malformed, whatever follows."""
        self._is_malformed = True
        raise ValueError

    def value(self, at: int, *, keep: bool = True) -> Generator[None, None, Found]:
        """Return the value that begins here, and where it ends.

        Without ``keep``, the parts of a long value are not kept.
        """
        return self.at_once(at) or (yield from self.in_parts(at, keep=keep))

    def at_once(self, at: int) -> Found | None:
        """Return the same; ``None``: the value is longer than a piece, or not valid."""
        while True:
            stop = self._start + len(self._piece)
            is_last = stop == len(self.text)
            if self._start <= at < stop:
                try:
                    value, end = self._scan(self._piece, at - self._start)
                except ValueError:
                    if is_last:
                        raise
                else:
                    end += self._start
                    if end + 2 < stop or is_last:  # otherwise a number may go on: 1|e+5
                        return self._cleaned(value) if self._is_odd else value, end
                if at == self._start:
                    return None
            elif at >= len(self.text):
                raise IndexError
            self._start, self._piece = at, self._piece_at(at)

    def _piece_at(self, at: int) -> str:
        piece = self.text[at : at + self._length]
        self._is_odd = self._cleaner is not None and self._cleaner.is_odd(piece)
        return piece

    def _cleaned(self, value: Any) -> Any:
        return value if self._cleaner is None else self._cleaner.clean(value)

    def in_parts(self, at: int, *, keep: bool) -> Generator[None, None, Found]:
        """Return the same, of a value that cannot be read at once."""
        parents: list[_Parent] = []  # which are being read, the innermost one last
        found: Found | None = None
        rested = at
        while True:
            found = found or self.at_once(at)
            if found is None and self.text[at] in "[{":
                parents.append(self._enter(at, len(parents), keep=keep))
                at = self.begin(parents[-1].opening, at)
                yield
            else:
                value, end = found or (yield from self._long_scalar(at, keep=keep))
                if not parents:
                    return value, end
                parents[-1].add(value)
                at = self.next_part(end, parents[-1].closing)
            while parents[-1].has_small_parts and self.text[at] != parents[-1].closing:
                at = self._small_parts(at, parents[-1])
                yield
            found = (parents.pop().value, at + 1) if self.text[at] == parents[-1].closing else None
            if found is None and parents[-1].opening == "{":
                parents[-1].key, at = yield from self.key(at)
            if at - rested >= STEP:
                rested = at
                yield

    def _enter(self, at: int, depth: int, *, keep: bool) -> "_Parent":
        if depth == _MAX_DEPTH:
            self._is_malformed = True
            raise RecursionError
        return _Parent(self.text[at], keep=keep)

    def _small_parts(self, at: int, parent: "_Parent") -> int:
        """Read as many parts as fit into a piece, and return where the next one begins.

        The piece is cut at a comma. If that was within a part, there is nothing valid.
        """
        self._start, self._piece = at, self._piece_at(at)
        piece = self._piece
        comma = len(piece)
        for _ in range(3):
            comma = piece.rfind(_COMMA_AFTER.get(piece[0], ","), 0, comma)
            if comma <= 0:
                break
            comma = piece.index(",", comma)
            try:
                value, end = self._scan(f"{parent.opening}{piece[:comma]}{parent.closing}", 0)
            except ValueError:
                continue
            parent.extend(self._cleaned(value) if self._is_odd else value)
            # That is before the comma, or the parent ends before it.
            return self.next_part(at + end - len("[]"), parent.closing)
        parent.has_small_parts = False
        return at

    def _long_scalar(self, at: int, *, keep: bool) -> Generator[None, None, Found]:
        if self.text[at] != '"':
            return self._long_number(at)
        end = yield from self._end_of_string(at + 1)
        value = ""
        if keep:
            whole, _ = self._scan(self.text, at)
            for start in range(0, len(whole), self._length):
                yield
                value += self._cleaned(whole[start : start + self._length])
        return value, end

    def _end_of_string(self, at: int) -> Generator[None, None, int]:
        text = self.text
        while True:
            match = self._in_string.match(text, at, at + self._length)
            assert match  # it matches nothing, too
            end = match.end()
            if text[end : end + 1] == '"':
                return end + 1
            if end == at:
                self._is_cut = _CUT_ESCAPE.fullmatch(text, at) is not None
                self._is_malformed |= not self._is_cut
                raise ValueError
            at = end
            yield

    def _long_number(self, at: int) -> Found:
        match = _NUMBER.match(self.text, at, at + _MAX_RUN)
        assert match  # it matches nothing, too
        self._is_malformed = True
        value, end = self._scan(self.text[at : match.end()], 0)  # fails if it is another word
        self._is_malformed = False
        return value, at + end


class _Parent:
    """An array or object that is read part by part."""

    __slots__ = ("_keeps", "closing", "has_small_parts", "key", "opening", "value")

    def __init__(self, opening: str, *, keep: bool) -> None:
        self.opening = opening
        self.closing = "]" if opening == "[" else "}"
        self.has_small_parts = True  # as far as is known
        self.value: Any = [] if opening == "[" else {}
        self.key = ""
        self._keeps = keep

    def add(self, part: Any) -> None:
        self.extend([part] if self.opening == "[" else {self.key: part})

    def extend(self, parts: Any) -> None:
        if self._keeps and self.opening == "[":
            self.value += parts
        elif self._keeps:
            self.value |= parts


def is_cut_off(text: str) -> bool:
    """Whether this is the beginning of a JSON text that ends too early, or empty."""
    try:
        LOOSE.raw_decode(text, skip_space(text, 0))
    except json.JSONDecodeError as error:
        return _CUT_TOKEN.fullmatch(text, error.pos) is not None
    except RecursionError:
        pass
    return False


def expect(text: str, character: str, at: int) -> int:
    """Skip the character and the white space around it; return the position after that."""
    at = skip_space(text, at)
    if text[at] != character:
        raise ValueError(character)
    return skip_space(text, at + 1)


def skip_space(text: str, at: int) -> int:
    """Return the position of the first character that is not white space."""
    if text[at : at + 1] > " ":  # the usual case
        return at
    match = _SPACE.match(text, at, at + _MAX_RUN)
    return match.end() if match else at
