"""``KnownIds``: which ids are done already, and which came before in this input."""

import os
from collections import Counter
from enum import Enum

from instantly_async._api import wire_id
from instantly_async.settings import API_KEY_VARIABLE


class Verdict(Enum):
    """What is to happen with an id of the input."""

    NEW = "new"
    DUPLICATE = "duplicate"
    DONE = "done"


def number_of(lead_id: str) -> int | None:
    """Return the UUID as a number, which takes half the memory; ``None`` when it is none."""
    wire = wire_id(lead_id)
    return None if wire is None else int(wire.replace("-", ""), 16)


class KnownIds:
    """What is known about ids. Memory: about 90 bytes per id.

    An input may be gone through more than once; ``begin`` starts over. What is no UUID is
    never a duplicate, so that each such line is reported; when recorded as invalid by an
    earlier run it is done, as often as it was recorded.
    """

    def __init__(self) -> None:
        # The pass in which an id was last seen; negative, or 0, when it is done.
        self._seen_in: dict[int, int] = {}
        self._pass = 0
        self._recorded_invalid: Counter[str] = Counter()
        self._left_invalid: Counter[str] = Counter()

    def begin(self) -> None:
        """Begin with the first line of the input."""
        self._pass += 1
        self._left_invalid = self._recorded_invalid.copy()

    def add_done(self, number: int) -> bool:
        """Note that an id is done; ``False`` when that is no news."""
        if self.is_done(number):
            return False
        self._seen_in[number] = -self._pass
        return True

    def is_done(self, number: int) -> bool:
        """Whether the id is done."""
        return self._seen_in.get(number, 1) <= 0

    def add_invalid(self, text: str) -> None:
        """Note that an earlier run has recorded this text as no id."""
        self._recorded_invalid[text] += 1

    def judge(self, lead_id: str) -> Verdict:
        """Say what is to happen with the next id of the input."""
        wire = wire_id(str(lead_id))
        if wire is None:
            return self._judge_invalid(lead_id)
        number = int(wire.replace("-", ""), 16)
        seen_in = self._seen_in.get(number)
        if seen_in is None or 0 < seen_in < self._pass:
            self._seen_in[number] = self._pass
            return Verdict.NEW
        if abs(seen_in) == self._pass:
            return Verdict.DUPLICATE
        self._seen_in[number] = -self._pass
        return Verdict.DONE

    def _judge_invalid(self, text: str) -> Verdict:
        if not self._recorded_invalid:
            return Verdict.NEW
        key = storable(text)
        if self._left_invalid[key] <= 0:
            return Verdict.NEW
        self._left_invalid[key] -= 1
        return Verdict.DONE


def storable(text: str) -> str:
    """Return the text of an id as a file may hold it.

    Without half a surrogate pair, and not at all if it is an email or holds the API key: the
    record names its line.
    """
    key = os.environ.get(API_KEY_VARIABLE, "").strip()
    if "@" in text or (key and key in text):
        return ""
    return text.encode(errors="replace").decode()
