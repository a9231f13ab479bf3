"""``Metrics``: the instruments, made once for each meter provider, and what they say."""

from collections.abc import Callable, Iterable, Iterator
from threading import RLock
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider

from instantly_async._version import __version__

from .durations import Durations
from .totals import Reading, Totals
from .values import DURATION, DURATION_BOUNDARIES_S, SCHEMA_URL, SCOPE, Attributes

Values = Iterable[tuple[float, dict[str, str]]]


class Instrument(NamedTuple):
    """An instrument that is read when metrics are exported. ``kind``: how a meter makes it."""

    kind: str
    name: str
    unit: str
    description: str
    read: Callable[[Reading], Values]


def _one(value: float | None) -> Values:
    return [] if value is None else [(value, {})]


def _leads(reading: Reading) -> Iterator[tuple[float, dict[str, str]]]:
    counts = reading.counts
    yield counts.found, {"instantly.outcome": "found"}
    yield counts.not_found, {"instantly.outcome": "not_found"}
    yield sum(counts.failed.values()), {"instantly.outcome": "failed"}


def _failures(reading: Reading) -> Values:
    return [(count, {"error.type": error}) for error, count in reading.counts.failed.items()]


INSTRUMENTS = (
    Instrument(
        "counter",
        "instantly.requests",
        "{request}",
        "Requests that were sent.",
        lambda now: _one(now.counts.requests),
    ),
    Instrument(
        "counter",
        "instantly.leads",
        "{lead}",
        "Ids, emails and listed leads that have their outcome.",
        _leads,  # from 0 on, as Prometheus does not see an increase in a series that is new
    ),
    Instrument(
        "counter",
        "instantly.failures",
        "{lead}",
        "Those of them that failed.",
        _failures,
    ),
    Instrument(
        "counter",
        "instantly.throttled",
        "{response}",
        "Answers with status 429.",
        lambda now: _one(now.counts.throttled),
    ),
    Instrument(
        "counter",
        "instantly.retries",
        "{attempt}",
        "Attempts that repeat an id or a page.",
        lambda now: _one(now.counts.retries),
    ),
    Instrument(
        "counter",
        "instantly.fallbacks",
        "{lead}",
        "Ids that had to be fetched one by one, with strategy list.",
        lambda now: _one(now.counts.fallbacks),
    ),
    Instrument(
        "counter",
        "instantly.received",
        "By",
        "Bytes of the bodies of answers.",
        lambda now: _one(now.counts.bytes_received),
    ),
    Instrument(
        "counter",
        "instantly.limiter.wait",
        "s",
        "Time that attempts had to wait before they were sent, all added up.",
        lambda now: _one(now.wait_s),
    ),
    Instrument(
        "counter",
        "instantly.limiter.paused",
        "s",
        "Time for which nothing was to be sent, because of a 429 or of Retry-After.",
        lambda now: _one(now.paused_s),
    ),
    Instrument(
        "gauge",
        "instantly.limiter.rate",
        "{request}/s",
        "Requests per second that are allowed now.",
        lambda now: _one(now.rate),
    ),
    Instrument(
        "gauge",
        "instantly.limiter.limit",
        "{request}/s",
        "Requests per second that the settings allow.",
        lambda now: _one(now.limit),
    ),
    Instrument(
        "gauge",
        "instantly.breaker.open",
        "{client}",
        "Clients whose circuit breaker is open.",
        lambda now: _one(now.open_breakers),
    ),
    Instrument(
        "up_down_counter",
        "instantly.in_flight",
        "{lead}",
        "Ids that were taken and have no outcome yet.",
        lambda now: _one(now.counts.in_flight),
    ),
    Instrument(
        "up_down_counter",
        "instantly.waiting",
        "{lead}",
        "Ids and pages that wait for their next attempt.",
        lambda now: _one(now.counts.waiting),
    ),
)
"""The first one takes the reading that the others use, too, so that they agree."""


class Metrics:
    """The instruments of one meter provider, for all clients and all series.

    A provider makes an instrument once; if it were asked again, it would drop the second callback.
    """

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(SCOPE, __version__, SCHEMA_URL)
        self._lock = RLock()
        self._durations: WeakSet[Durations] = WeakSet()
        self._series: dict[frozenset[tuple[str, Any]], tuple[Attributes, Totals]] = {}
        self._latest: list[tuple[Attributes, Reading]] = []
        self._duration = meter.create_histogram(
            DURATION,
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=DURATION_BOUNDARIES_S,
        )
        for instrument in INSTRUMENTS:
            make = getattr(meter, f"create_observable_{instrument.kind}")
            make(
                instrument.name,
                [self._reader_of(instrument)],
                unit=instrument.unit,
                description=instrument.description,
            )

    def totals(self, attributes: Attributes) -> Totals:
        """Return the totals of the series with these attributes."""
        with self._lock:
            return self._series.setdefault(frozenset(attributes.items()), (attributes, Totals()))[1]

    def _reader_of(
        self, instrument: Instrument
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        takes = instrument is INSTRUMENTS[0]

        def read(_: CallbackOptions) -> Iterable[Observation]:
            if takes or not self._latest:
                with self._lock:
                    durations = list(self._durations)
                    series = list(self._series.values())
                for each in durations:
                    each.flush()  # in time, because SDKs ask such instruments first
                self._latest = [(attributes, totals.read()) for attributes, totals in series]
            return [
                Observation(value, {**attributes, **more})
                for attributes, reading in self._latest
                for value, more in instrument.read(reading)
            ]

        return read

    def durations(self, attributes: Attributes, per_s: float | None) -> Durations:
        """Return what takes the attempts of one more observer."""
        durations = Durations(self._duration, self.totals(attributes), attributes, per_s)
        with self._lock:
            self._durations.add(durations)
        return durations


_made: WeakKeyDictionary[MeterProvider, Metrics] = WeakKeyDictionary()
_global: list[Metrics] = []  # one at most
_making = RLock()


def metrics_of(provider: MeterProvider | None) -> Metrics:
    """Return the instruments of a provider; ``None``: the global one.

    The global one may be set later. Until then, OpenTelemetry has a stand-in, which passes on what
    was made.
    """
    with _making:
        if provider is None and not _global:
            _global.append(_of(get_meter_provider()))
        if provider is None or (_global and provider is get_meter_provider()):
            return _global[0]
        return _of(provider)


def _of(provider: MeterProvider) -> Metrics:
    if provider not in _made:
        _made[provider] = Metrics(provider)
    return _made[provider]
