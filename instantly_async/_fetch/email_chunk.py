"""``EmailChunk``: the emails that are searched by one request, until each has its outcome."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Generic, Self, TypeVar

from instantly_async._api import LeadItem, deep_copy, email_key, wire_email
from instantly_async.errors import InvalidEmailError, LeadError, own_copy
from instantly_async.outcomes import EmailMatch

from .pipeline import Deliver
from .settle import OutcomeMaker

L = TypeVar("L")

Leads = dict[str, LeadItem[L]]
"""The leads of one email, by their ids."""


class EmailChunk(Generic[L]):
    """The emails of a chunk, as a context manager.

    Emails that differ in case only are one *key*, and searched once: as they are spelled, and in
    lower case, because it is unknown whether the API compares without case.
    """

    def __init__(
        self,
        first: int,
        emails: Sequence[str],
        outcomes: OutcomeMaker[L],
        deliver: Deliver[EmailMatch[L]],
    ) -> None:
        self._first = first
        self._emails = emails
        self._outcomes = outcomes
        self._deliver = deliver
        self._started_at = _now()
        self._offsets: dict[str, list[int]] = {}
        self._spellings: dict[str, set[str]] = {}
        self._open = 0
        outcomes.recorder.requested += len(emails)
        self._sort()

    def _sort(self) -> None:
        for offset, email in enumerate(self._emails):
            address = wire_email(email)
            if address is None:
                error = InvalidEmailError("The text is not an email address; no request was sent")
                self._finish(offset, error, 0)
                continue
            key = email_key(address)
            self._offsets.setdefault(key, []).append(offset)
            self._spellings.setdefault(key, {key}).add(address)
            self._open += 1
        self._outcomes.recorder.in_flight += self._open

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._outcomes.recorder.in_flight -= self._open

    def __len__(self) -> int:
        return self._open

    def spellings(self, keys: Iterable[str]) -> list[str]:
        """Return the addresses to search for."""
        return [each for key in keys for each in sorted(self._spellings[key])]

    def pieces(self, most: int) -> deque[list[str]]:
        """Return the keys in pieces of at most so many spellings, or of one key."""
        pieces: deque[list[str]] = deque()
        room = 0
        for key, spellings in self._spellings.items():
            if len(spellings) > room:
                pieces.append([])
                room = most
            pieces[-1].append(key)
            room -= len(spellings)
        return pieces

    def settle(self, key: str, result: Leads[L] | LeadError, attempts: int) -> None:
        """Deliver the outcomes of a key."""
        offsets = self._offsets.pop(key)
        self._open -= len(offsets)
        self._outcomes.recorder.in_flight -= len(offsets)
        self._finish(offsets[0], result, attempts)
        for duplicate in offsets[1:]:
            # Each outcome writes into its own error, and its consumer into its leads.
            own = own_copy(result) if isinstance(result, LeadError) else deep_copy(result)
            self._finish(duplicate, own, attempts)

    def fail(self, error: LeadError) -> None:
        """Deliver an error as the outcome of all keys."""
        for key in list(self._offsets):
            self.settle(key, own_copy(error), error.attempts)

    def _finish(self, offset: int, result: Leads[L] | LeadError, attempts: int) -> None:
        index, elapsed_s = self._first + offset, _now() - self._started_at
        match = self._outcomes.match(index, self._emails[offset], result, attempts, elapsed_s)
        self._deliver(index, match)


def _now() -> float:
    return asyncio.get_running_loop().time()
