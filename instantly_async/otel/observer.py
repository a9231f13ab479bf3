"""``OtelObserver``: turns the records of a client into metrics and spans."""

from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from instantly_async.client import InstantlyClient
from instantly_async.errors import ConfigurationError
from instantly_async.events import Attempt, Closed, Event, Opened, Paused, RunEnded, RunStarted

from .metrics import Attributes, metrics_of
from .spans import Spans


class OtelObserver:
    """An observer that makes metrics and spans of OpenTelemetry.

    Args:
        meter_provider: ``None``: the global one, also if that is set later.
        tracer_provider: the same for spans.
        attempt_spans: make a span for each attempt, too, and not only for each stream.
        durations: record the histogram ``http.client.request.duration``, which is what costs most.
        attributes: are added to everything, such as ``{"workspace": "acme"}``. ``None``: nothing.

    Of several clients with the same attributes, the metrics are the sum. An observer belongs to
    one event loop.
    """

    def __init__(
        self,
        *,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        attempt_spans: bool = False,
        durations: bool = True,
        attributes: Attributes | None = None,
    ) -> None:
        self._attributes = dict(attributes or {})
        self._metrics = metrics_of(meter_provider)
        self._totals = self._metrics.totals(self._attributes)
        self._spans = Spans(tracer_provider, self._attributes, attempts=attempt_spans)
        self._durations = durations
        self._known: dict[tuple[object, ...], Attributes] = {}

    def __call__(self, event: Event, /) -> None:
        """Take a record."""
        match event:
            case Attempt():
                self._take_attempt(event)
            case Opened():
                self._totals.open(event)
            case Paused():
                self._totals.add_pause(event.added_s)
            case RunStarted():
                self._spans.start(event)
            case RunEnded():
                self._spans.end(event)
            case Closed():
                self._totals.close(event)

    def _take_attempt(self, attempt: Attempt) -> None:
        self._totals.add_wait(attempt.wait_s)
        key = (
            attempt.method, attempt.route, attempt.server_address, attempt.server_port,
            attempt.status, attempt.error,
        )  # fmt: skip
        attributes = self._known.get(key)
        if attributes is None:
            attributes = self._known[key] = {**self._attributes, **attributes_of(attempt)}
        context = self._spans.context(attempt.run)
        if self._durations:
            self._metrics.record(attempt, attributes, context)
        self._spans.add(attempt, attributes, context)


def attributes_of(attempt: Attempt) -> Attributes:
    """Return the attributes of the stable HTTP conventions; without ``url.full``, which has ids."""
    attributes: dict[str, str | bool | int | float] = {
        "http.request.method": attempt.method,
        "server.address": attempt.server_address,
        "server.port": attempt.server_port,
        "url.template": attempt.route,
    }
    if attempt.status is not None:
        attributes["http.response.status_code"] = attempt.status
    if attempt.status is not None and attempt.status >= 400:
        attributes["error.type"] = str(attempt.status)
    elif attempt.error is not None:
        attributes["error.type"] = attempt.error
    return attributes


_instrumented: WeakKeyDictionary[InstantlyClient[Any], OtelObserver] = WeakKeyDictionary()


def instrument(
    client: InstantlyClient[Any],
    *,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
    attempt_spans: bool = False,
    durations: bool = True,
    attributes: Attributes | None = None,
) -> OtelObserver:
    """Observe a client from now on; the arguments are those of ``OtelObserver``.

    The first client's includes those made by ``for_workspace``.

    Raises:
        ConfigurationError: this client is instrumented already.
        ClosedError: the client is closed.
    """
    if client in _instrumented:
        raise ConfigurationError("This client is instrumented already; call instrument() once.")
    observer = OtelObserver(
        meter_provider=meter_provider,
        tracer_provider=tracer_provider,
        attempt_spans=attempt_spans,
        durations=durations,
        attributes=attributes,
    )
    client.observe(observer)
    _instrumented[client] = observer
    return observer
