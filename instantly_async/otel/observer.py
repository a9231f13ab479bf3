"""``OtelObserver``: turns the records of a client into metrics and spans."""

from collections.abc import Mapping
from math import inf
from typing import Any

from opentelemetry.context import get_current
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from instantly_async.client import InstantlyClient
from instantly_async.errors import ConfigurationError
from instantly_async.events import Attempt, Closed, Event, Opened, Paused, RunEnded, RunStarted
from instantly_async.settings import check_type

from .metrics import metrics_of
from .spans import Spans
from .values import Attributes

DURATIONS_PER_S = 500.0
"""Durations that are recorded per second at most (*choice*): 15 µs each, so 1 % of a core."""


class OtelObserver:
    """An observer that makes metrics and spans of OpenTelemetry.

    Args:
        meter_provider: ``None``: the global one, also if that is set later. One that is passed here
            and made the global one later is another one for observers that were made before.
        tracer_provider: the same for spans.
        attempt_spans: make a span for each attempt, too, and not only for each stream.
        durations_per_s: how many attempts a second are recorded in the histogram of durations at
            most, evenly chosen; ``None``: all. The default is five times what the API allows for a
            workspace, so it bounds the cost for other servers only. All else counts each attempt.
        attributes: are added to everything, such as ``{"workspace": "acme"}``. ``None``: nothing.

    Of several clients with the same attributes, the metrics are the sum.

    Raises:
        ConfigurationError: an argument is of another type, or negative.
    """

    def __init__(
        self,
        *,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        attempt_spans: bool = False,
        durations_per_s: float | None = DURATIONS_PER_S,
        attributes: Attributes | None = None,
    ) -> None:
        check_type("meter_provider", meter_provider, MeterProvider, optional=True)
        check_type("tracer_provider", tracer_provider, TracerProvider, optional=True)
        _check(durations_per_s, attributes)
        metrics, own = metrics_of(meter_provider), dict(attributes or {})
        self._totals = metrics.totals(own)
        self._durations = metrics.durations(own, durations_per_s)
        self._spans = Spans(tracer_provider, own, attempts=attempt_spans)

    wants_settled = False  # what counts leads is read from their client, once per export

    def __call__(self, event: Event, /) -> None:
        """Take a record."""
        if isinstance(event, Attempt):
            # Now, as it is recorded later.
            context = self._spans.context(event.run) or get_current()
            if self._spans.has_attempts:
                self._spans.add(event, self._durations.attributes_of(event), context)
            self._durations.take(event, context)
            return
        match event:
            case Opened():
                self._totals.open(event)
            case Paused():
                self._totals.add_pause(event)
            case RunStarted():
                self._spans.start(event)
            case RunEnded():
                self._spans.end(event)
            case Closed():
                self._durations.flush()
                self._totals.close(event)


def _check(durations_per_s: object, attributes: object) -> None:
    is_number = isinstance(durations_per_s, int | float) and 0 <= durations_per_s < inf
    if not (durations_per_s is None or is_number):
        raise ConfigurationError("durations_per_s must be a number from 0 on, or None for all.")
    if attributes is not None and not (
        isinstance(attributes, Mapping)
        and all(isinstance(each, str) for each in attributes)
        and all(isinstance(each, str | bool | int | float) for each in attributes.values())
    ):
        raise ConfigurationError(
            "attributes must be a mapping of names to texts, numbers or booleans."
        )


def instrument(
    client: InstantlyClient[Any],
    *,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
    attempt_spans: bool = False,
    durations_per_s: float | None = DURATIONS_PER_S,
    attributes: Attributes | None = None,
) -> OtelObserver:
    """Observe a client; the arguments are those of ``OtelObserver``.

    The first client's includes those made by ``for_workspace``. Counters include what the client
    has done before, and the histogram does not.

    Raises:
        ConfigurationError: this client has an ``OtelObserver`` already; or as for that.
        ClosedError: the client is closed.
    """
    known = client._activity.observers.guarded  # noqa: SLF001 - of this package
    if any(isinstance(each.observer, OtelObserver) for each in known):
        raise ConfigurationError(
            "This client has an OtelObserver already, of its own or of the client that made it; "
            "call instrument() once."
        )
    observer = OtelObserver(
        meter_provider=meter_provider,
        tracer_provider=tracer_provider,
        attempt_spans=attempt_spans,
        durations_per_s=durations_per_s,
        attributes=attributes,
    )
    client.observe(observer)
    return observer
