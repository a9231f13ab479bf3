"""``JsonParser``: ids of a JSON document of any size, such as one array. No I/O."""

import codecs
from collections.abc import Callable, Generator, Iterator
from typing import Any

import ijson

from instantly_async.cli.exits import InputError
from instantly_async.cli.records import ElementId

from .cells import tidy
from .json_ids import LIST_KEYS, IdKey
from .understood import Understood

_LONG_DIGITS = 2_000
"""Digits of which no number has twice as many: Python refuses to convert 4,300, and then ijson
crashes."""

_LONGEST_PATH = 10_000
"""Characters. ijson stores the path of each level, which takes quadratic memory."""

_SCALARS = frozenset({"string", "number", "boolean"})


class JsonParser:
    """A stage for one array, one page (an object with an array), or objects over several lines.

    Elements are objects with an id, or strings. Memory: that of one element's short members.
    """

    def __init__(self, name: str, column: str | None, understood: Understood) -> None:
        self._name = name
        self.key = IdKey(name, column, understood)
        self._found: list[ElementId] = []
        self._count = 0
        elements = _elements(self._take, self.key)
        next(elements)
        self._json = ijson.parse_coro(elements, multiple_values=True)
        self._digits = ""
        # Names may be in another encoding, and a mark may be where files were joined.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def _take(self, element: str | dict[str, str]) -> None:
        self._count += 1
        text = tidy(element) if isinstance(element, str) else self.key.id_of(element)
        self._found.append(ElementId(text, self._count))

    def feed(self, data: bytes) -> Iterator[ElementId]:
        yield from self._parse(self._decoder.decode(data))

    def finish(self) -> Iterator[ElementId]:
        yield from self._parse(self._decoder.decode(b"", final=True), is_end=True)

    def _parse(self, text: str, *, is_end: bool = False) -> Iterator[ElementId]:
        is_broken = self._has_long_number(text)
        try:
            if text and not is_broken:  # nothing means the end
                self._json.send(text.replace("\ufeff", " ").encode())
            if is_end and not is_broken:
                self._json.close()
        except (ijson.JSONError, ArithmeticError):  # its text quotes the input
            is_broken = True
        found, self._found = self._found, []
        yield from found
        if is_broken:
            how = "ends too early" if is_end else "is not JSON"
            where = f"behind element {self._count}" if self._count else "at its beginning"
            raise InputError(f"{self._name} {how} {where}; fix it, or copy it again.")

    def _has_long_number(self, text: str) -> bool:
        """Whether there is one; it may have begun in an earlier text."""
        text = self._digits + text
        self._digits = text[len(text.rstrip("0123456789")) :]
        starts = range(0, len(text) - _LONG_DIGITS + 1, _LONG_DIGITS)
        return any(text[start : start + _LONG_DIGITS].isdigit() for start in starts)


def _elements(
    take: Callable[[str | dict[str, str]], None], key: IdKey
) -> Generator[None, tuple[str, str, Any], None]:
    """Receive the events of ``ijson.parse``; pass on each element's text, or its members."""
    while True:
        _, event, value = yield
        if event == "start_array":
            yield from _array("item", take, key)
        elif event == "start_map":
            yield from _object(take, key)
        elif event in _SCALARS:
            take(str(value))


def _array(
    element: str, take: Callable[[str | dict[str, str]], None], key: IdKey
) -> Generator[None, tuple[str, str, Any], None]:
    """Pass on the elements of an array; ``element`` is their prefix in ijson."""
    start, end = f"{element}.", element.removesuffix("item").removesuffix(".")
    members: dict[str, str] = {}
    while True:
        prefix, event, value = yield
        if prefix == element:
            if event in _SCALARS or event == "null":
                take("" if value is None else str(value))
            elif event == "start_map":
                members = {}
            elif event in {"end_map", "end_array"}:
                take(members)
                members = {}
        elif event == "end_array" and prefix == end:
            return
        elif event in _SCALARS:
            _add(members, prefix.removeprefix(start), value, key.depth)
        elif len(prefix) > _LONGEST_PATH:
            raise ijson.JSONError


def _object(
    take: Callable[[str | dict[str, str]], None], key: IdKey
) -> Generator[None, tuple[str, str, Any], None]:
    """Pass on the elements of the array in an object; without one, the object itself."""
    members: dict[str, str] = {}
    has_list = False
    while True:
        prefix, event, value = yield
        if event == "end_map" and not prefix:
            break
        if event == "start_array" and prefix in LIST_KEYS and not key.is_in(members):
            has_list = True
            yield from _array(f"{prefix}.item", take, key)
        elif event in _SCALARS:
            _add(members, prefix, value, key.depth)
        elif len(prefix) > _LONGEST_PATH:
            raise ijson.JSONError
    if not has_list:
        take(members)


def _add(members: dict[str, str], path: str, value: Any, depth: int) -> None:
    if path.count(".") < depth:
        members[path] = str(value)
