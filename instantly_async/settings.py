"""Settings as frozen values: what may be sent, how often to retry, how long to wait.

Each is checked when it is made; an invalid value raises ``ConfigurationError``. Values
marked *choice* are ours and may change if a benchmark shows better ones; the others come
from the vendor's rate-limit page (https://developer.instantly.ai).
"""

import sys
from dataclasses import dataclass, fields
from typing import Literal

from .errors import ConfigurationError

API_KEY_VARIABLE = "INSTANTLY_API_KEY"
"""Environment variable with the key; other Instantly tools use the same name."""

BASE_URL_VARIABLE = "INSTANTLY_BASE_URL"
"""Environment variable with the address of a server other than the vendor's."""

DEFAULT_BASE_URL = "https://api.instantly.ai"
"""The vendor's server."""

Strategy = Literal["get", "list"]
"""How leads are fetched.

``"get"``: one request per id, by *Get lead*. ``"list"``: one request per 100 ids, by *List leads*.
It is up to 100 times faster. Every answer is checked; what it does not settle goes by *Get lead*.
"""

DEFAULT_CONCURRENCY = 100
"""Requests in flight at once (*choice*: those of 1 s at the allowed rate)."""

DEFAULT_LIST_CONCURRENCY = 8
"""List requests in flight at once (*choice*: each one is 100 leads)."""

MAX_USE = 0.95
"""How much of the documented rate is used (*choice*)."""

DEFAULT_MAX_LEAD_BYTES = 1024 * 1024
"""Cap on the JSON of one lead, decompressed (*choice*; a lead is about 3 kB)."""

LEAST_MAX_LEAD_BYTES = 1024
"""The lowest cap on a lead (*choice*): the API's error bodies are smaller, and must be read."""

MOST_MAX_LEAD_BYTES = 64 * 1024 * 1024
"""The highest cap on a lead (*choice*), so that readers of lines can have a fixed cap."""

KEEP_ALIVE_S = 15.0
"""How long an idle connection is kept, in seconds (*choice*)."""


def require_positive(**values: float) -> None:
    """Raise ``ConfigurationError`` for the first value that is not a positive, finite number."""
    for name, value in values.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and 0 < value <= sys.float_info.max):
            raise ConfigurationError(
                f"{name} must be a positive, finite number; {_shown(value)} is not."
            )


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - any object may come, such as an int of 5,000 digits
        return f"an object of type {type(value).__name__}"


def check_concurrency(value: int) -> int:
    """Return ``value`` if it is a valid number of requests in flight.

    Raises:
        ConfigurationError: it is not a whole number of at least 1.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(
            f"concurrency must be a whole number of at least 1; {_shown(value)} is not."
        )
    return value


def check_type(name: str, value: object, kind: type, *, optional: bool = False) -> None:
    """Check that a value has this type; ``optional``: or is ``None``.

    Raises:
        ConfigurationError: it has another one.
    """
    if not (isinstance(value, kind) or (optional and value is None)):
        allowed = f"{kind.__name__} or None" if optional else kind.__name__
        raise ConfigurationError(f"{name} must be {allowed}; {type(value).__name__} is not.")


def check_max_lead_bytes(value: int) -> None:
    """Raise ``ConfigurationError`` unless ``value`` is a valid cap on the JSON of one lead."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not (is_whole and LEAST_MAX_LEAD_BYTES <= value <= MOST_MAX_LEAD_BYTES):
        raise ConfigurationError(
            f"max_lead_bytes must be a whole number from {LEAST_MAX_LEAD_BYTES} to "
            f"{MOST_MAX_LEAD_BYTES}; {_shown(value)} is not."
        )


def max_page_bytes(max_lead_bytes: int) -> int:
    """Return the cap on a list page of up to 100 leads, in bytes (*choice*).

    16 of the largest leads fit, as few are large; but never less than 16 MiB, so that a low cap
    on leads rejects no page of ordinary ones.
    """
    return 16 * max(DEFAULT_MAX_LEAD_BYTES, max_lead_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """The workspace's two windows, and the share of them this client may use.

    The vendor allows 100 requests per second and 6,000 per minute, workspace-wide.
    ``share`` in (0, 1] leaves the rest to the customer's other tools. ``capacity`` and
    ``rate`` define the token bucket. It stays within both windows, wherever they begin: it
    lets at most ``capacity + rate * t`` requests through in any ``t`` seconds.

    >>> RateLimit().capacity, RateLimit().rate
    (2.0, 95.0)
    >>> RateLimit(share=0.5).rate
    47.0

    Raises:
        ConfigurationError: a value is out of range, or no rate above 0 is left.
    """

    per_second: float = 100
    per_minute: float = 6000
    share: float = 1.0

    def __post_init__(self) -> None:
        require_positive(per_second=self.per_second, per_minute=self.per_minute, share=self.share)
        if self.share > 1:
            raise ConfigurationError(f"share must be at most 1; {self.share!r} is more.")
        if self.rate <= 0:
            raise ConfigurationError(
                f"share={self.share!r} of {self.per_second!r}/s and {self.per_minute!r}/min "
                "leaves no request to send; raise one of them."
            )

    @property
    def capacity(self) -> float:
        """Requests that may be sent at once (*choice*), which is 1/50 of a second's share.

        Below 100 per second: 1/25 of them, but at least 1 and at most 2. The capacity makes up
        for late timers: a delay of up to ``(capacity - 1) / rate`` seconds loses no request. A
        larger one would leave less room for jitter in the network.
        """
        per_second = self.share * self.per_second
        return max(1.0, min(2.0, per_second / 25), per_second / 50)

    @property
    def rate(self) -> float:
        """Requests per second, at most 95 % of the share, and in both windows one below the limit.

        The rest is reserved for jitter: 30 ms of it do not break the default limit.
        """
        per_second = self.share * self.per_second
        return min(
            MAX_USE * per_second,
            per_second - 1 - self.capacity,
            (self.share * self.per_minute - 1 - self.capacity) / 60,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long to retry an id. All values are *choices*.

    ``attempts`` bounds the wire attempts that fail transiently, ``throttled_attempts``
    the retries after a 429, ``max_elapsed_s`` the seconds that an id may spend in attempts
    and backoff (``list_max_elapsed_s``: a page of ids); waiting for the limiter, a pause, the
    retry budget or the circuit breaker does not count, nor does time during which the event loop
    was blocked. Backoff has full jitter:
    U(0, min(``backoff_cap_s``, ``backoff_base_s`` * 2^i)). ``max_retry_after_s`` is the
    longest ``Retry-After`` that is obeyed; a longer one ends the run. The retry budget
    holds ``budget_capacity`` retries, at least 1; it gains ``budget_refill`` per id, and
    ``budget_refill_per_s`` per second. ``breaker_threshold`` transient failures in a row open
    the circuit breaker, which gives up after ``breaker_patience_s`` seconds in which the event loop
    ran.

    Raises:
        ConfigurationError: a value is out of range, or a count is not whole.
    """

    attempts: int = 5
    throttled_attempts: int = 10
    max_elapsed_s: float = 120.0
    list_max_elapsed_s: float = 300.0
    backoff_base_s: float = 0.25
    backoff_cap_s: float = 20.0
    max_retry_after_s: float = 120.0
    budget_capacity: float = 100.0
    budget_refill: float = 0.2
    budget_refill_per_s: float = 1.0
    breaker_threshold: int = 20
    breaker_patience_s: float = 120.0

    def __post_init__(self) -> None:
        require_positive(**{field.name: getattr(self, field.name) for field in fields(self)})
        if self.budget_capacity < 1:
            raise ConfigurationError(
                f"budget_capacity must be at least 1, or no retry is ever possible; "
                f"{self.budget_capacity!r} is less."
            )
        for name in ("attempts", "throttled_attempts", "breaker_threshold"):
            if not isinstance(getattr(self, name), int):
                raise ConfigurationError(f"{name} must be a whole number.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds one wire attempt may take. All values are *choices*.

    ``connect_s``: DNS, TCP and TLS. ``read_s``: without any progress of the answer.
    ``total_s``: from sending to the last byte; it starts again if the request is re-sent
    because its connection was dead. ``list_read_s`` and ``list_total_s``: the same for list
    pages. Users report answers to ``search`` after 60 s and more; for ``ids`` it is unknown.
    Time during which the event loop was blocked, or the process stopped, does not count. A timeout
    is noticed up to a quarter of a second late.

    Raises:
        ConfigurationError: a value is not a positive, finite number.
    """

    connect_s: float = 10.0
    read_s: float = 15.0
    total_s: float = 30.0
    list_read_s: float = 60.0
    list_total_s: float = 120.0

    def __post_init__(self) -> None:
        require_positive(**{field.name: getattr(self, field.name) for field in fields(self)})
