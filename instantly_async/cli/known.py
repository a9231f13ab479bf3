"""``KnownIds``: which ids are done, and which ones occurred before in this input."""

from collections import Counter
from enum import Enum

from .keys import holds_key
from .records import LineId, number_of

MAX_STORED_CHARS = 200
"""Longest text of an id that is stored (*choice*; a UUID has 36 characters)."""


class Verdict(Enum):
    """What to do with an id of the input."""

    NEW = "new"
    DUPLICATE = "duplicate"
    DONE = "done"


NEW, DUPLICATE, DONE = Verdict  # looked up a million times; an enum's attributes are slow


class _State(Enum):
    SEEN = "seen in this pass"
    DONE = "done"
    DONE_AND_SEEN = "done, and seen in this pass"


_SEEN, _DONE, _DONE_AND_SEEN = _State


class KnownIds:
    """Remembers which ids are done, and which ones occurred before in this input.

    An input may be read more than once, in passes; ``begin`` starts one. An id that is not a UUID
    is never a duplicate, so that each such line is reported. If earlier runs recorded the same
    text n times, its first n occurrences count as done. Memory: about 90 bytes per id.
    """

    def __init__(self) -> None:
        self._states: dict[int, _State] = {}
        self._recorded_invalid: Counter[str] = Counter()
        self._left_invalid: Counter[str] = Counter()

    def begin(self) -> None:
        """Start at the first line of the input."""
        self._left_invalid = self._recorded_invalid.copy()
        # In place, because a second dictionary of a million ids takes 40 MB.
        for number in [number for number, state in self._states.items() if state is _SEEN]:
            del self._states[number]
        for number, state in self._states.items():
            if state is _DONE_AND_SEEN:
                self._states[number] = _DONE

    def add_done(self, number: int) -> bool:
        """Note that an id is done; return ``False`` if it was already."""
        state = self._states.get(number)
        if state is None:
            self._states[number] = _DONE
        elif state is _SEEN:
            self._states[number] = _DONE_AND_SEEN
        return state is None or state is _SEEN

    def is_done(self, number: int) -> bool:
        return self._states.get(number) not in (None, _SEEN)

    def add_invalid(self, text: str) -> None:
        """Note that an earlier run recorded this text as an invalid id."""
        self._recorded_invalid[text] += 1

    def judge(self, lead_id: str) -> Verdict:
        """Return what to do with the next id of the input."""
        number = lead_id.number if isinstance(lead_id, LineId) else number_of(lead_id)
        if number is None:
            return self._judge_invalid(lead_id)
        state = self._states.get(number)
        if state is None:
            self._states[number] = _SEEN
            return NEW
        if state is _DONE:
            self._states[number] = _DONE_AND_SEEN
            return DONE
        return DUPLICATE

    def _judge_invalid(self, text: str) -> Verdict:
        if not self._recorded_invalid:
            return NEW
        key = storable(text)
        if self._left_invalid[key] <= 0:
            return NEW
        self._left_invalid[key] -= 1
        return DONE


def storable(text: str) -> str:
    """Return the text of an id in a form that may be stored.

    Half a surrogate pair is replaced. A text with an email or an API key, or a very long one, is
    not stored at all; its record names the line.
    """
    if len(text) > MAX_STORED_CHARS:
        return ""
    if "@" in text or holds_key(text):
        return ""
    return text.encode(errors="replace").decode()
