"""What a client tells its observers: frozen records of what it does, and ``Observers``.

Pass an observer as ``InstantlyClient(observer=…)``, or add it with ``client.observe(…)``. It is
called in the event loop, in the middle of the work, so it must return soon, and must not block.

No record holds an id, an email, a key, a URL with an id, or a body. Times are in seconds.
"""

import inspect
import logging
from collections.abc import Callable, Iterable
from typing import Literal, Protocol

import msgspec

from ._reprs import safe_repr
from .errors import ConfigurationError
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

_log = logging.getLogger(__name__)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records."""


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
    limit: float | None
    """Requests per second that the client may send at most; ``None`` stands for no limit."""
    read: Callable[[], Stats]
    """Returns the client's counters. Any thread may call it, at any time, also after the end."""


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

    Connecting is not part of it.
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


class RateChanged(Record, frozen=True, kw_only=True, gc=False):
    """The limiter has changed the allowed rate."""

    rate: float
    """Requests per second that are allowed now."""
    limit: float
    """Requests per second that the settings allow at most."""
    reason: Literal["throttled", "recovering"]
    """A 429 has cut it, or it rises again."""


class Paused(Record, frozen=True, kw_only=True, gc=False):
    """The limiter sends nothing for a while, because of a 429 or of ``Retry-After``."""

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

    ``"ClosedError"``: it was closed before its end, as at a ``break``.
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
"""Any record."""


class Observer(Protocol):
    """A function that takes an ``Event``, or an object that can be called like one.

    If it raises anything but ``KeyboardInterrupt`` or ``SystemExit``, that is logged once, with its
    traceback, and the observer is dropped: it gets no more records. The client goes on as if it had
    not been there.

    There is a ``Settled`` for each lead. An object with the attribute ``wants_settled = False``
    gets none, which saves the time to make them.
    """

    def __call__(self, event: Event, /) -> None:
        """Take a record."""


class _Guarded:
    """An observer, until it raises. Shared by all clients that have it."""

    __slots__ = ("is_dropped", "observer", "wants_settled")

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.wants_settled = getattr(observer, "wants_settled", True)
        self.is_dropped = False

    def drop(self) -> None:
        self.is_dropped = True
        _log.exception(
            "An observer has failed, and gets no more records: %r",
            self.observer,
            extra={"observer": type(self.observer).__name__},
        )


class Observers:
    """Several observers as one; each gets every record, in this order.

    Raises:
        ConfigurationError: one of them cannot be called, or is a coroutine function, which
            nobody would await.
    """

    def __init__(self, *observers: Observer) -> None:
        self.guarded: tuple[_Guarded, ...] = ()
        self.want_settled: tuple[_Guarded, ...] = ()
        for observer in observers:
            self.add(observer)

    @safe_repr
    def __repr__(self) -> str:
        return f"Observers({', '.join(repr(each.observer) for each in self.guarded)})"

    def add(self, observer: Observer) -> None:
        """Add one more.

        Raises:
            ConfigurationError: as above.
        """
        if isinstance(observer, Observers):
            added = observer.guarded
        else:
            _check(observer)
            added = (_Guarded(observer),)
        self.guarded += added
        self.want_settled += tuple(each for each in added if each.wants_settled)

    def __call__(self, event: Event, /) -> None:
        """Pass a record on."""
        tell(self.want_settled if isinstance(event, Settled) else self.guarded, event)


def tell(guarded: Iterable[_Guarded], event: Event) -> None:
    """Give a record to those that are not dropped."""
    for each in guarded:
        if not each.is_dropped:
            try:
                each.observer(event)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:  # noqa: BLE001 - also a CancelledError, which is nobody's here
                each.drop()


def tell_all(groups: Iterable[Observers], event: Event) -> None:
    """Give a record once to everyone in these groups, also if somebody is in several."""
    everyone = (each for group in groups for each in group.guarded if not each.is_dropped)
    tell({id(each.observer): each for each in everyone}.values(), event)


def _check(observer: object) -> None:
    if not callable(observer):
        raise ConfigurationError(
            f"observer must be a function of one record; {type(observer).__name__} is not callable."
        )
    call = observer if inspect.isroutine(observer) else type(observer).__call__
    if inspect.iscoroutinefunction(call):
        raise ConfigurationError(
            "observer must be a plain function, not async def; start a task in it, or use a queue."
        )
