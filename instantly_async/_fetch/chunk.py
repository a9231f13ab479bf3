"""``Chunk``: the ids that are fetched by one list request, until each has its outcome."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Generic, Self, TypeVar

from instantly_async._api import LeadItem, deep_copy, wire_id
from instantly_async.errors import LeadError, own_copy
from instantly_async.outcomes import LeadId, Outcome

from .pipeline import Deliver
from .settle import OutcomeMaker

L = TypeVar("L")


class Chunk(Generic[L]):
    """The ids of a chunk, as a context manager.

    ``is_idle`` is set when nobody works on the ids: all that are open wait for their next attempt.
    ``open`` maps each id without an outcome, as it goes over the wire, to its offset in the
    chunk. An id that occurs twice is requested once.
    """

    def __init__(
        self,
        first: int,
        lead_ids: Sequence[LeadId],
        outcomes: OutcomeMaker[L],
        deliver: Deliver[Outcome[L]],
    ) -> None:
        self._first = first
        self._lead_ids = lead_ids
        self._outcomes = outcomes
        self._deliver = deliver
        self._started_at = _now()
        self._duplicates: dict[str, list[int]] = {}
        self._wasted: dict[str, int] = {}
        self._wasted_by_all = 0
        self._in_flight = 0
        self._working = 0
        self.is_idle = asyncio.Event()
        self.open: dict[str, int] = {}
        outcomes.recorder.requested += len(lead_ids)
        self._sort()
        self._count_in_flight()

    def _sort(self) -> None:
        """Reject ids that are not UUIDs; record duplicates, which get a copy of the outcome."""
        for offset, wire in enumerate(map(wire_id, self._lead_ids)):
            if wire is None:
                index = self._first + offset
                self._deliver(index, self._outcomes.reject(index, self._lead_ids[offset]))
            elif self.open.setdefault(wire, offset) != offset:
                self._duplicates.setdefault(wire, []).append(offset)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._outcomes.recorder.in_flight -= self._in_flight

    def charge(self, wires: Sequence[str], attempts: int) -> None:
        """Count requests that did not settle these ids, which are open."""
        if len(wires) == len(self.open):  # the usual case
            self._wasted_by_all += attempts
            return
        for wire in wires:
            self._wasted[wire] = self._wasted.get(wire, 0) + attempts

    def settle(self, results: Mapping[str, LeadItem[L] | LeadError], attempts: int) -> None:
        """Deliver outcomes: ``results`` by id, and the requests that they took."""
        elapsed_s = _now() - self._started_at
        attempts += self._wasted_by_all
        for wire, result in results.items():
            spent = attempts + self._wasted.get(wire, 0)
            self._finish(self.open.pop(wire), result, spent, elapsed_s)
            if wire in self._duplicates:
                for duplicate in self._duplicates.pop(wire):
                    # Each outcome writes its own id into its error, and its consumer into its lead.
                    own = own_copy(result) if isinstance(result, LeadError) else deep_copy(result)
                    self._finish(duplicate, own, spent, elapsed_s)
        self._count_in_flight()

    def _finish(
        self, offset: int, result: LeadItem[L] | LeadError, attempts: int, elapsed_s: float
    ) -> None:
        index, lead_id = self._first + offset, self._lead_ids[offset]
        outcome = self._outcomes.make(index, lead_id, result, attempts, elapsed_s)
        self._deliver(index, outcome)

    def begin_work(self) -> list[str]:
        """Return the open ids; each is worked on until ``end_work``."""
        self._working = len(self.open)
        return list(self.open)

    def end_work(self) -> None:
        """Note that one of them is not worked on any more."""
        self._working -= 1
        if not self._working:
            self.is_idle.set()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """One of them waits for its next attempt."""
        self.end_work()
        try:
            yield
        finally:
            self._working += 1

    def _count_in_flight(self) -> None:
        before = self._in_flight
        self._in_flight = len(self.open) + sum(map(len, self._duplicates.values()))
        self._outcomes.recorder.in_flight += self._in_flight - before


def _now() -> float:
    return asyncio.get_running_loop().time()
