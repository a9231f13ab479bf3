"""``JsonParser``: ids of a JSON document of any size, such as one array. No I/O."""

import codecs
import contextlib
import re
from collections.abc import Iterator

import ijson

from instantly_async.cli.exits import InputError
from instantly_async.cli.records import MAX_LINE_BYTES, LineId

from .json_elements import Elements
from .json_ids import IdKey
from .sought import Sought
from .understood import Understood

_MOST_DIGITS = 600
"""Digits in a row that ijson gets: it crashes on an integer that Python refuses to convert. Python
can be told to refuse integers of 641 digits; usually it refuses those of 4,301."""

_TOO_MANY_DIGITS = re.compile(rf"([0-9]{{{_MOST_DIGITS}}})[0-9]+")

_LONG_ELEMENT = 1 << 16
"""Characters of an element after which ijson gets no further piece of a string (*choice*)."""


class JsonParser:
    """A stage for one array, one page (an object with an array), or objects over several lines.

    Elements are objects with an id, or strings. Memory: one element; of it usually its short
    members, but a long string waits as a whole for its end.
    """

    def __init__(
        self, name: str, column: str | None, sought: Sought, understood: Understood
    ) -> None:
        self._name = name
        self._elements = Elements(name, IdKey(name, column, sought, understood))
        events = self._elements.receive()
        next(events)
        self._json = ijson.basic_parse_coro(events, multiple_values=True)
        self._digits = ""
        self._escape = ""
        self._is_in_string = False
        self._waiting: list[str] = []
        self._length = 0
        # Names may be in another encoding, and a mark may be where files were joined.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> Iterator[LineId]:
        yield from self._parse(self._with_few_digits(self._decoder.decode(data)))

    def finish(self) -> Iterator[LineId]:
        yield from self._parse(self._decoder.decode(b"", final=True), is_end=True)

    def _parse(self, text: str, *, is_end: bool = False) -> Iterator[LineId]:
        """Yield the ids of the elements that this text completes, also if it is refused then."""
        refusal = None
        try:
            self._send(text, is_end=is_end)
        except (ijson.JSONError, ArithmeticError):  # its text quotes the input
            refusal = self._not_json(is_end=is_end)
        except InputError as error:
            refusal = error
        found, self._elements.found = self._elements.found, []
        yield from found
        if refusal is not None:
            raise refusal

    def _send(self, text: str, *, is_end: bool) -> None:
        self._waiting.append(text)
        self._length += len(text)
        is_in_one_string = self._is_in_one_string(text)
        if is_end or not is_in_one_string or self._length < _LONG_ELEMENT:
            # Otherwise wait: ijson reads a string again from its beginning with each piece of it.
            text = "".join(self._waiting)
            self._waiting.clear()
            count = self._elements.count
            if text:  # nothing means the end
                self._json.send(text.replace("\ufeff", " ").encode())
            if is_end:
                self._json.close()
            if self._elements.is_behind or self._elements.count > count:
                self._length = 0
        if self._length > MAX_LINE_BYTES:
            raise InputError(
                f"Element {self._elements.count + 1} of {self._name} is longer than "
                f"{MAX_LINE_BYTES >> 20} MiB; name another file."
            )

    def _is_in_one_string(self, text: str) -> bool:
        """Whether the text belongs to a string that neither begins nor ends in it."""
        text = (self._escape + text).replace(r"\\", "").replace(r"\"", "")
        self._escape = "\\" if text.endswith("\\") else ""
        quotes = text.count('"')
        self._is_in_string ^= quotes % 2 == 1
        return self._is_in_string and not quotes

    def _not_json(self, *, is_end: bool) -> InputError:
        how = "ends too early" if is_end else "is not JSON"
        count = self._elements.count
        where = f"behind element {count}" if count else "at its beginning"
        return InputError(f"{self._name} {how} {where}; fix it, or copy it again.")

    def _with_few_digits(self, text: str) -> str:
        """Leave out digits of what is too long for an id; it may have begun in an earlier text."""
        begun = len(self._digits)
        text = self._digits + text
        size = _MOST_DIGITS // 2
        # Much faster than the pattern: a number of so many digits has one of these parts.
        starts = range(0, len(text) - size + 1, size)
        if any(text[start : start + size].isdigit() for start in starts):
            text = _TOO_MANY_DIGITS.sub(r"\1", text)
        self._digits = text[len(text.rstrip("0123456789")) :]
        return text[begun:]


def first_elements(line: str, column: str | None, sought: Sought) -> Elements:
    """Return the elements of a first value of JSON, which may be cut off."""
    elements = Elements("", IdKey("", column, sought, Understood()))
    events = elements.receive()
    next(events)
    with contextlib.suppress(ijson.JSONError, ArithmeticError, InputError):
        ijson.basic_parse_coro(events).send(_TOO_MANY_DIGITS.sub(r"\1", line).encode())
    return elements
