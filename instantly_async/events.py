"""What a client tells its observers: frozen records of what it does, and ``Observers``.

Pass an observer as ``InstantlyClient(observer=…)``, or add it with ``client.observe(…)``. It is
called in the event loop, in the middle of the work, so it must return soon, and must not block.

No record holds an id, an email, a key, a URL with an id, or a body. Times are in seconds.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from ._reprs import safe_repr
from ._telling import Guarded, check_observer, tell
from .settings import Strategy
from .stats import Stats

__all__ = [
    "Attempt",
    "BreakerChanged",
    "Closed",
    "Event",
    "Observer",
    "Observers",
    "Opened",
    "Operation",
    "Paused",
    "RateChanged",
    "RunEnded",
    "RunStarted",
    "Settled",
]

Operation = Literal["stream_leads", "list_leads", "find_leads"]
"""The method that made a stream; ``get_leads`` reads a ``stream_leads``."""


class Record(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all records. In JSON, ``type`` is the name of the record."""


class Opened(Record, frozen=True, kw_only=True):
    """A client is observed from now on; the first record about it.

    Each workspace has a client of its own, also if ``for_workspace`` has made it.
    """

    client: int
    """A number that no other client of this process has."""
    server_address: str
    """Host of the API, such as ``api.instantly.ai``, as in the client's ``base_url``."""
    server_port: int
    """Port of the API."""
    limiter: int
    """A number that no other limiter of this process has; clients can share one."""
    limit: float | None
    """Requests per second that the limiter allows at most; ``None`` stands for no limit."""
    read: Callable[[], Stats]
    """Returns the client's counters. Any thread may call it, at any time, also after the end.

    If the client was forgotten instead of closed, they are those of the last call.
    """
    is_alive: Callable[[], bool]
    """Returns whether the client has not been forgotten by the program. Any thread may call it."""


class Attempt(Record, frozen=True, kw_only=True, gc=False):
    """One request was answered, or failed. A request that is sent again is another attempt."""

    run: int | None
    """The stream that it was for, as in ``RunStarted``; ``None`` outside of streams."""
    method: str
    """``"GET"`` or ``"POST"``."""
    route: str
    """Path of the endpoint with ``{id}`` in place of an id, such as ``/api/v2/leads/{id}``."""
    server_address: str
    """As in ``Opened``."""
    server_port: int
    """As in ``Opened``."""
    status: int | None
    """Status of the answer; ``None`` if none came, or none that could be read."""
    error: str | None
    """Class name of what went wrong, such as ``"RateLimitedError"``; ``None`` if nothing did.

    A missing lead is a ``"NotFoundError"`` here. ``"CancelledError"`` or ``"ClosedError"``:
    nobody waited for the answer any more.
    """
    is_sent: bool
    """``False`` if there was no connection to send it on; ``Stats.requests`` leaves it out."""
    duration_s: float
    """Seconds from sending to the last byte, decoding included, or until it failed unsent."""
    wait_s: float
    """Seconds that it had to wait before, for the limiter, a pause, the breaker or a free place.

    Connecting is not part of it, unless the attempt was cancelled.
    """
    bytes_received: int
    """Bytes of the answer's body, after decompression."""
    resend_count: int
    """How often this request had been sent before, for any reason; 0 for the first time."""


class Settled(Record, frozen=True, kw_only=True, gc=False):
    """An id, an email, or a lead of a listing has its outcome."""

    run: int | None
    """As in ``Attempt``."""
    outcome: Literal["found", "not_found", "failed"]
    """What became of it."""
    error: str | None
    """Class name of the error if it failed, otherwise ``None``."""
    attempts: int
    """Requests that were made for it, as in ``Found``."""
    elapsed_s: float
    """Seconds from the start of work on it."""


RateReason = Literal["throttled", "recovering", "fallback"]


class RateChanged(Record, frozen=True, kw_only=True, gc=False):
    """The limiter has changed the allowed rate."""

    limiter: int
    """As in ``Opened``."""
    rate: float
    """Requests per second that are allowed now."""
    limit: float
    """Requests per second that the settings allow at most."""
    reason: RateReason
    """A 429 has cut it; or it rises again; or a shared limit cannot be reached."""


class Paused(Record, frozen=True, kw_only=True, gc=False):
    """The limiter sends nothing for a while.

    Because of a 429 or of ``Retry-After``, or after an outage of a shared limit.
    """

    limiter: int
    """As in ``Opened``."""
    pause_s: float
    """Seconds from now until it sends again."""
    added_s: float
    """Seconds by which this is longer than an earlier pause that has not ended yet."""


class BreakerChanged(Record, frozen=True, kw_only=True, gc=False):
    """The circuit breaker of an endpoint has opened or closed."""

    method: str
    """``"GET"`` for *Get lead*, ``"POST"`` for *List leads*."""
    is_open: bool
    """Whether nothing but probes is sent to it now."""


class RunStarted(Record, frozen=True, kw_only=True, gc=False):
    """A stream was read for the first time. Sent in the context of the task that reads it."""

    run: int
    """A number that no other stream of this process has."""
    operation: Operation
    """What made the stream."""
    strategy: Strategy | None
    """The strategy of ``stream_leads``, otherwise ``None``."""


class RunEnded(Record, frozen=True, kw_only=True):
    """A stream has ended, and none of its requests is in flight."""

    run: int
    """As in ``RunStarted``."""
    operation: Operation
    """As in ``RunStarted``."""
    error: str | None
    """Class name of the error that ended it; ``None`` if it came to its end.

    ``"ClosedError"``: it was closed before its work was done, as after most breaks.
    """
    stats: Stats
    """Its counters."""


class Closed(Record, frozen=True, kw_only=True):
    """The client was closed; the last record about it."""

    client: int
    """As in ``Opened``."""
    stats: Stats
    """Its last counters."""


Event = (
    Opened
    | Attempt
    | Settled
    | RateChanged
    | Paused
    | BreakerChanged
    | RunStarted
    | RunEnded
    | Closed
)
"""Any of the records."""


class Observer(Protocol):
    """A function that takes an ``Event``, or an object that can be called like one.

    If it raises anything but ``KeyboardInterrupt`` or ``SystemExit``, that is logged once, with its
    traceback, and the observer is dropped: it gets no more records of this client, nor of those
    made by ``for_workspace``. The client goes on as if it had not been there.

    There is a ``Settled`` for each lead. An object with the attribute ``wants_settled = False``
    gets none, which saves the time to make them.
    """

    def __call__(self, event: Event, /) -> None:
        """Take a record."""


class Observers:
    """Several observers as one; each gets every record, in this order.

    Raises:
        ConfigurationError: one of them cannot be called, or is a coroutine function or a
            generator function, whose code nobody would run.
    """

    __slots__ = ("__weakref__", "guarded", "want_settled")

    def __init__(self, *observers: Observer) -> None:
        self.guarded: tuple[Guarded, ...] = ()
        self.want_settled: tuple[Guarded, ...] = ()
        for observer in observers:
            attach(self, observer)

    @safe_repr
    def __repr__(self) -> str:
        return f"Observers({', '.join(each.name for each in self.guarded)})"

    def __call__(self, event: Event, /) -> None:
        """Pass a record on."""
        tell(self.want_settled if isinstance(event, Settled) else self.guarded, event)


def dismiss(observers: Observers) -> None:
    """Tell them no more."""
    observers.guarded = observers.want_settled = ()


def attach(observers: Observers, observer: Observer) -> None:
    """Add an observer to others.

    Raises:
        ConfigurationError: as for ``Observers``.
    """
    if type(observer) is Observers:
        added = observer.guarded
    else:
        check_observer(observer)
        added = (Guarded(observer),)
    observers.guarded += added
    observers.want_settled += tuple(each for each in added if each.wants_settled)
