"""What the fake has seen: one small record per request, and counts by status.

The key is never recorded, even if a client puts it into a path or a header where it does not
belong. Emails are never recorded.
"""

from collections import Counter, deque
from typing import NamedTuple

from .windows import MINUTE_S, SECOND_S, WorstWindows, most_in_window


class RecordedRequest(NamedTuple):
    """One request as the fake saw it.

    ``time`` is ``time.monotonic()`` when it had arrived, ``path`` as it was sent.
    ``status`` is 0 when no header was sent back. ``lead_id`` is the one in the path;
    ``ids`` are those in the body of a list request, ``filters`` the names of its filters in
    alphabetical order, ``limit`` and ``starting_after`` its page, and ``contacts`` is how many
    emails it has: the emails are not recorded. ``fault`` names the fault it got.
    """

    time: float
    method: str
    path: str
    status: int
    authorized: bool
    lead_id: str | None = None
    ids: tuple[str, ...] = ()
    workspace: str | None = None
    user_agent: str | None = None
    fault: str | None = None
    filters: tuple[str, ...] = ()
    limit: int | None = None
    starting_after: str | None = None
    contacts: int = 0


class RequestLog:
    """The last ``size`` requests, and counts of all."""

    def __init__(self, size: int) -> None:
        self._requests: deque[RecordedRequest] = deque(maxlen=size)
        self._counts: Counter[int] = Counter()

    def add(self, request: RecordedRequest) -> None:
        """Add a request, not earlier than those before it."""
        self._requests.append(request)
        self._counts[request.status] += 1

    def clear(self) -> None:
        """Forget everything."""
        self._requests.clear()
        self._counts.clear()

    def requests(self) -> list[RecordedRequest]:
        """Return a copy of the requests, in the order of their arrival."""
        return list(self._requests)

    def counts(self) -> Counter[int]:
        """Return a copy of the counts."""
        return self._counts.copy()

    def worst_windows(self) -> WorstWindows:
        """Return the most requests in any second and any minute, of those still kept."""
        times = [request.time for request in self._requests]
        return WorstWindows(most_in_window(times, SECOND_S), most_in_window(times, MINUTE_S))
