"""``Elements``: the leads of JSON documents, from the events of ``ijson.basic_parse``. No I/O."""

from collections.abc import Generator
from typing import Any

from instantly_async.cli.exits import InputError
from instantly_async.cli.records import LineId

from .json_ids import IdKey, name_of_list, name_of_object

Events = Generator[None, tuple[str, Any], None]

_SCALARS = frozenset({"string", "number", "boolean", "null"})
_STARTS = frozenset({"start_map", "start_array"})
_ENDS = frozenset({"end_map", "end_array"})


class Elements:
    """Collects the ids of elements: of objects, or strings.

    An element is in an array, in the list of an object at the top, or at the top itself. ``found``
    are the ids of those that are complete, ``count`` is their number. ``is_page``: the last object
    at the top has a list. ``is_behind``: that list has ended, so that no element is being read.
    """

    def __init__(self, name: str, key: IdKey) -> None:
        self._name = name
        self._key = key
        self._sought = key.sought
        self.found: list[LineId] = []
        self.count = 0
        self.is_page = self.is_behind = False

    def _take(self, text: str) -> None:
        self.count += 1
        self.found.append(self._sought.entry(text, self.count, "element"))

    def receive(self) -> Events:
        """Receive the events of documents.

        Raises:
            InputError: it is not clear which ids are meant.
        """
        while True:
            event, value = yield
            if event == "start_array":
                yield from self._array()
            elif event == "start_map":
                yield from self._top_object()
            elif event in _SCALARS:
                self._take(self._sought.tidy(_text(value)))

    def _array(self) -> Events:
        while True:
            event, value = yield
            if event == "end_array":
                return
            if event == "start_array":
                raise InputError(
                    f"Element {self.count + 1} of {self._name} is an array, not an object or a "
                    f"string; write one {self._sought.noun} per line, for example with jq."
                )
            if event == "start_map":
                members: dict[str, str] = {}
                yield from _object(members, self._key.depth)
                self._take(self._key.id_of(members))
            else:
                self._take(self._sought.tidy(_text(value)))

    def _top_object(self) -> Events:
        """Take the elements of the list in an object; without one, the object itself."""
        members: dict[str, str] = {}
        key, filled = "", list[str]()
        self.is_page = False
        while True:
            event, value = yield
            if event == "end_map":
                break
            if event == "map_key":
                key = value
            elif event in _SCALARS:
                members[key] = _text(value)
            elif event == "start_array" and self._is_list(key, members):
                has_elements = yield from self._list()
                filled += [key] * has_elements
            elif event in _STARTS:
                yield from _nested(members, key, event, self._key.depth)
        self.is_behind = False
        self._take_object(members, filled)

    def _is_list(self, key: str, members: dict[str, str]) -> bool:
        if key in self._sought.certain_lists:
            return True
        return key in self._sought.lists and not self._key.is_in(members)

    def _list(self) -> Generator[None, tuple[str, Any], bool]:
        """Take the elements of a list; return whether there are any."""
        before = self.count
        self.is_page, self.is_behind = True, False
        yield from self._array()
        self.is_behind = True
        return self.count > before

    def _take_object(self, members: dict[str, str], filled: list[str]) -> None:
        """Take an object itself, unless it is a page; ``filled``: keys of lists with elements."""
        is_certain = any(key in self._sought.certain_lists for key in filled)
        is_lead = self._key.is_in(members, of_lead=is_certain)
        if is_lead and filled:
            noun = self._sought.noun
            raise InputError(
                f'An object of {self._name} has an {noun} beside its list "{filled[0]}", so it is '
                f"not clear which of them is meant; write one {noun} per line, for example with jq."
            )
        if is_lead or not self.is_page:
            self.is_page = False
            self._take(self._key.id_of(members))


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _object(members: dict[str, str], depth: int, prefix: str = "") -> Events:
    """Add the texts and numbers of an object with their paths, at most so many levels down."""
    path = ""
    while True:
        event, value = yield
        if event == "map_key":
            path = prefix + value
        elif event in _SCALARS:
            members[path] = _text(value)
        elif event in _STARTS:
            yield from _nested(members, path, event, depth)
        elif event == "end_map":
            return


def _nested(members: dict[str, str], path: str, event: str, depth: int) -> Events:
    """Add the members of an object in an object; of others, and of arrays, only the name."""
    if event == "start_map" and depth > 1:
        yield from _object(members, depth - 1, f"{path}.")
        return
    name = name_of_object(path) if event == "start_map" else name_of_list(path)
    level = 1
    while level:
        event, _ = yield
        if event != "end_array":  # it is not empty
            members.setdefault(name, "")
        level += (event in _STARTS) - (event in _ENDS)
