"""Ids in JSON: by the name of a key; and ``JsonLinesParser``, for one value per line. No I/O."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from instantly_async.cli.exits import InputError
from instantly_async.cli.records import LineId, Noun, value_of_object

from .cells import holds_id
from .names import listed, plain
from .sought import SOUGHT, Sought, looks_like_data
from .understood import Understood


class IdKey:
    """Finds the key with the id in the first object that has one, and keeps to it.

    An object is looked at as its ``members`` by path, such as ``lead.id``. ``column`` names a path;
    ``None``: a name of what is ``sought``, at the top or one level down.
    """

    def __init__(
        self, name: str, column: str | None, sought: Sought, understood: Understood
    ) -> None:
        self._name = name
        self.sought = sought
        self._column = column
        self._understood = understood
        self.path: str | None = None
        self._may_be_of_others = False
        self._own_lists = [(key, name_of_list(key)) for key in sought.certain_lists]
        self.depth = depth_of(column)

    def id_of(self, members: Mapping[str, str]) -> str:
        """Return the id of an object, tidied; empty if it has none."""
        self._require_no_list(members)
        if self.path is None:
            found = self._find(members)
            if found is None:
                self._note_missing(list(members))
                return ""
            if not self.sought.holds(members[found]):
                return self.sought.tidy(members[found])
            self.path = self._understood.column = found
            self._understood.missing = None
            self._may_be_of_others = self._column is None and not self._is_specific(found)
        elif self._may_be_of_others:
            self._require_none_of_a_lead(members, self.path)
        return self.sought.tidy(members.get(self.path, ""))

    def _require_no_list(self, members: Mapping[str, str]) -> None:
        """Check that an object is not one that has leads, such as a campaign."""
        if self._column is not None:
            return
        key = next((key for key, name in self._own_lists if name in members), None)
        if key is None:
            return
        raise InputError(
            f'An object of {self._name} has a list "{key}" of its own, so it is not clear which '
            f"{self.sought.nouns} are meant; write one {self.sought.noun} per line, for example "
            "with jq."
        )

    def _require_none_of_a_lead(self, members: Mapping[str, str], path: str) -> None:
        """Check that the first object has not shown a key that is the id of something else."""
        for other in filter(self._is_specific, members):
            if self.sought.holds(members[other]):
                raise InputError(
                    f'An object of {self._name} has its {self.sought.noun} under "{other}", and '
                    f'others before it under "{path}"; use --column to name one of the two.'
                )

    def is_in(self, members: Mapping[str, str], *, of_lead: bool = False) -> bool:
        """Whether an object has an id itself, so that an array in it is not a list of leads.

        ``of_lead``: it must be under a name that can only be that of a lead.
        """
        paths = self._paths(members)
        return any(
            self.sought.holds(members[each])
            for each in paths
            if not of_lead or self._is_specific(each)
        )

    def _find(self, members: Mapping[str, str]) -> str | None:
        """Return the best path with an id, but none that is worse than an empty one.

        An event may have an id of its own, and an empty one of its lead: a name of the latter
        comes first whatever its value.
        """
        found = self._paths(members)
        found = list(filter(self._is_specific, found)) or found
        fitting = (path for path in found if not members[path] or self.sought.holds(members[path]))
        best = next(fitting, next(iter(found), None))
        self._require_no_other(members, [path for path in found if path != best], best)
        return best

    def _require_no_other(
        self, members: Mapping[str, str], others: Iterable[str], best: str | None
    ) -> None:
        """Check that no other path fits as well as the best one, and leads to another id."""
        if best is None or self._column is not None:
            return
        values = {self.sought.tidy(members[best])}
        for other in others:
            value = members[other]
            is_equal = self._rank(other) == self._rank(best) and self.sought.holds(value)
            if is_equal and self.sought.tidy(value) not in values:
                raise InputError(
                    f'An object of {self._name} has {self.sought.nouns} under "{best}" and '
                    f'"{other}"; use --column to name one of the two.'
                )

    def _note_missing(self, paths: list[str]) -> None:
        """Note the keys of the first object, in case that no other one has an id."""
        if self._understood.missing is None and paths:
            keys = "ids or emails" if looks_like_data(paths) else listed(paths)
            wanted = self.sought.wanted(self._column, "key")
            self._understood.missing = (
                f"The first object of {self._name} has no {wanted}; its keys are {keys}; "
                f"{self._remedy(paths)}."
            )

    def _remedy(self, paths: Sequence[str]) -> str:
        """Return how to name the ids: by one of the paths, or if there may be a list elsewhere."""
        single = [path for path in paths if not path.endswith(_NOT_TEXT) and not _is_numbered(path)]
        single = [] if looks_like_data(paths) else single
        by_column = [self.sought.nearest(single, self._column)] if single else []
        is_deeper = len(single) < len(paths)
        by_jq = f"write one {self.sought.noun} per line, for example with jq"
        return ", or ".join(by_column + [by_jq] * is_deeper)

    def _paths(self, members: Iterable[str]) -> list[str]:
        """Return the paths that may lead to the id, the best first."""
        paths = list(members)
        if self._column is not None:
            return [paths[index] for index in self.sought.matches(paths, self._column)]
        return sorted(filter(self._rank, paths), key=self._rank)

    def _rank(self, path: str) -> int:
        return _rank(path, self.sought.noun)

    def _is_specific(self, path: str) -> bool:
        """Whether a path names the id of a lead, and not of anything, such as in a payload."""
        return 0 < self._rank(path) < 20


def _is_numbered(path: str) -> bool:
    """Whether a part of a path tells objects of one kind apart, so it leads to one of several."""
    return any(part.isdecimal() or "@" in part or holds_id(part) for part in path.split("."))


def name_of_list(path: str) -> str:
    """Return what stands for an array among the members of an object."""
    return f"{path}[]"


def name_of_object(path: str) -> str:
    """Return what stands for an object that is too deep to be looked at."""
    return f"{path}.…"


_NOT_TEXT = (name_of_list(""), name_of_object(""))


def depth_of(column: str | None) -> int:
    """Return how many levels down the ids may be, 1 for the top."""
    return 2 if column is None else column.count(".") + 1


@lru_cache(1000)  # the same keys in each object
def _rank(path: str, noun: Noun) -> int:
    """Return how well a path fits, 1 for the best; 0: not at all."""
    sought = SOUGHT[noun]
    rank_of, bare = sought.names.rank_of, sought.names.bare
    if path.startswith("."):  # the key is empty, and names are compared without points
        return 0
    if (rank := rank_of(path)) is not None:
        return 1 + rank if rank < bare else 20 + rank
    parent, _, key = path.rpartition(".")
    rank = rank_of(key)
    if not parent or rank is None or _is_numbered(parent):
        return 0
    if plain(parent) != "payload" and (rank < bare or plain(parent) == "lead"):
        return 10 + rank
    return 30 + rank if rank < bare or plain(parent) in sought.wrappers else 0


def members_of(value: Mapping[str, Any], depth: int, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of an object as text with their paths, at most so many levels down.

    Of arrays, and of objects that are deeper, there is only the name.
    """
    for key, member in value.items():
        if isinstance(member, dict) and depth > 1:
            yield from members_of(member, depth - 1, f"{prefix}{key}.")
        elif isinstance(member, dict):
            yield name_of_object(f"{prefix}{key}"), ""
        elif isinstance(member, list):
            if member:
                yield name_of_list(f"{prefix}{key}"), ""
        else:
            yield f"{prefix}{key}", "" if member is None else str(member)


_OTHERS = re.compile(r'"(?:[Ll]ead|LEAD|[Ii]nstantly|ids")')
"""Keys of other ids, or of lists, may follow: then the whole object is looked at."""


class JsonLinesParser:
    """One value a line: an object with its id under a key, as ``fetch`` writes, or a string."""

    def __init__(
        self, name: str, column: str | None, sought: Sought, understood: Understood
    ) -> None:
        self._name = name
        self._sought = sought
        self.key = IdKey(name, column, sought, understood)

    def feed(self, line: str, number: int) -> Sequence[LineId]:
        """Return the id of the line's value, an empty one if it has none."""
        text = line.strip()
        if not text or text.startswith("#"):
            return ()
        try:
            return (self._sought.entry(self._id_of(text), number),)
        except ValueError:
            pass
        raise InputError(
            f"Line {number} of {self._name} is not a JSON object or string; fix it, or use "
            "--input-format to name the file's format."
        )

    def _id_of(self, text: str) -> str:
        if self.key.path == self._sought.noun and text.startswith("{") and not _OTHERS.search(text):
            # The usual case, which need not decode the whole lead.
            value = value_of_object(text, self._sought.noun)
            return self._sought.tidy(value) if isinstance(value, str) else ""
        value = decode(text)
        if isinstance(value, str):
            return self._sought.tidy(value)
        if not isinstance(value, dict):
            raise ValueError("not an object")  # noqa: TRY004 - like json.loads
        return self.key.id_of(dict(members_of(value, self.key.depth)))

    def finish(self) -> None:
        """Do nothing: each line is complete."""


def decode(text: str) -> Any:
    """Return the value of one JSON text; ``None`` if it is nested too deeply.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        # It accepts half a surrogate pair; as texts, integers may have any number of digits.
        return json.loads(text, parse_int=str)
    except RecursionError:
        return None
