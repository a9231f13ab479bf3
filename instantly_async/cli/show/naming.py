"""``Naming``: which ids without a lead are named, so that many of them do not flood the screen."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from instantly_async.cli.amounts import amount
from instantly_async.cli.output import is_temporary
from instantly_async.cli.records import LineId
from instantly_async.outcomes import Failed, NotFound

MOST_NAMED = 10
"""Ids of a kind that are named if a file holds all, or if a person looks on (*choice*)."""


class Kind(NamedTuple):
    """Why an id has no lead. ``is_temporary``: it is not recorded, so that it is tried again."""

    reason: str
    is_temporary: bool = False


NOT_FOUND = Kind("not found")
INVALID = Kind("invalid")


def kind_of(outcome: NotFound | Failed) -> Kind:
    """Return the kind of an outcome: failures differ by the error's class."""
    if isinstance(outcome, NotFound):
        return NOT_FOUND
    if is_invalid(outcome):
        return INVALID
    return Kind(f"failed with {type(outcome.error).__name__}", is_temporary(outcome))


def is_invalid(outcome: NotFound | Failed) -> bool:
    """Whether the id came from a line of the input and is not a UUID."""
    return not outcome.attempts and isinstance(outcome.lead_id, LineId)


class Naming:
    """Counts the ids without a lead by kind, and says which of them to name.

    ``most``: how many of a kind; ``None``: all, because there is no other record; 0: none, and no
    count of the others either.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._seen: Counter[Kind] = Counter()
        self._recorded: Counter[Kind] = Counter()

    @property
    def is_silent(self) -> bool:
        """Whether no id is named, so that one sentence at the end has to do."""
        return self._most == 0

    def takes(self, kind: Kind) -> bool:
        """Count one more id of this kind; return whether to name it."""
        self._seen[kind] += 1
        return self._most is None or self._seen[kind] <= self._most

    def on_recorded(self, kind: Kind) -> None:
        """Count an id that was written to the errors file."""
        self._recorded[kind] += 1

    def rest(self, errors: str | None = None) -> Iterator[str]:
        """Yield a line for each kind of which some were not named.

        ``errors`` is the file that records them; ``None``: there is none.
        """
        if not self._most:
            return
        for kind, count in self._seen.items():
            if count > self._most:
                others = f"… and {amount(count - self._most)} more {kind.reason}"
                yield f"{others}; {self._where(kind, count, errors)}."

    def _where(self, kind: Kind, count: int, errors: str | None) -> str:
        if errors is None:
            return f"{amount(count)} in all, and -o FILE records each"
        if kind.is_temporary:
            return f"--resume tries all {amount(count)} again"
        recorded = self._recorded[kind]
        if recorded < count:
            return f"{amount(recorded)} of all {amount(count)} are in {errors} so far"
        return f"all {amount(count)} are in {errors}"
