"""``KnownIds``: which ids are done, and which ones occurred before in this input."""

import os
from collections import Counter
from enum import Enum

from instantly_async._api import wire_id
from instantly_async.settings import API_KEY_VARIABLE


class Verdict(Enum):
    """What to do with an id of the input."""

    NEW = "new"
    DUPLICATE = "duplicate"
    DONE = "done"


def number_of(lead_id: str) -> int | None:
    """Return the UUID as a number, which takes half the memory; ``None``: it is not a UUID."""
    wire = wire_id(lead_id)
    return None if wire is None else int(wire.replace("-", ""), 16)


class KnownIds:
    """Remembers which ids are done, and which ones occurred before in this input.

    An input may be read more than once; ``begin`` starts over. An id that is not a UUID is never
    a duplicate, so that each such line is reported; if an earlier run recorded it as invalid it
    is done, as often as it was recorded. Memory: about 80 bytes per id that is done, and per id
    of the input.
    """

    def __init__(self) -> None:
        self._done: set[int] = set()
        self._seen: set[int] = set()  # in this pass over the input
        self._recorded_invalid: Counter[str] = Counter()
        self._left_invalid: Counter[str] = Counter()

    def begin(self) -> None:
        """Start at the first line of the input."""
        self._seen.clear()
        self._left_invalid = self._recorded_invalid.copy()

    def add_done(self, number: int) -> bool:
        """Note that an id is done; return ``False`` if it was already."""
        is_new = number not in self._done
        self._done.add(number)
        return is_new

    def is_done(self, number: int) -> bool:
        """Whether the id is done."""
        return number in self._done

    def add_invalid(self, text: str) -> None:
        """Note that an earlier run recorded this text as an invalid id."""
        self._recorded_invalid[text] += 1

    def judge(self, lead_id: str) -> Verdict:
        """Return what to do with the next id of the input."""
        number = number_of(str(lead_id))
        if number is None:
            return self._judge_invalid(lead_id)
        if number in self._seen:
            return Verdict.DUPLICATE
        self._seen.add(number)
        return Verdict.DONE if number in self._done else Verdict.NEW

    def _judge_invalid(self, text: str) -> Verdict:
        if not self._recorded_invalid:
            return Verdict.NEW
        key = storable(text)
        if self._left_invalid[key] <= 0:
            return Verdict.NEW
        self._left_invalid[key] -= 1
        return Verdict.DONE


def storable(text: str) -> str:
    """Return the text of an id in a form that may be stored.

    Half a surrogate pair is replaced. A text with an email or the API key is not stored at all;
    its record names the line.
    """
    key = os.environ.get(API_KEY_VARIABLE, "").strip()
    if "@" in text or (key and key in text):
        return ""
    return text.encode(errors="replace").decode()
