"""Ours, while somebody observes: a function that does nothing, or OpenTelemetry."""

from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.competitors import ours
from benchmarks.competitors.contract import Opened, Task
from instantly_async import Strategy
from instantly_async.events import Event, Observer
from instantly_async.otel import OtelObserver

EXPORT_INTERVAL_MS = 1000
"""SDKs export once a minute by default, so this costs more than it does there."""


class Discards(MetricExporter):
    """Throws the metrics away."""

    def export(self, *_: Any, **__: Any) -> MetricExportResult:
        """Say that all went well."""
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:  # noqa: ARG002 - its signature
        """Do nothing."""
        return True

    def shutdown(self, timeout_millis: float = 0, **_: Any) -> None:
        """Do nothing."""


def _nothing(event: Event) -> None:
    pass


@contextmanager
def _function() -> Iterator[Observer]:
    yield _nothing


@contextmanager
def _otel(**options: Any) -> Iterator[Observer]:
    reader = PeriodicExportingMetricReader(Discards(), EXPORT_INTERVAL_MS)
    meters, tracers = MeterProvider([reader]), TracerProvider()
    yield OtelObserver(meter_provider=meters, tracer_provider=tracers, **options)
    meters.shutdown()


@asynccontextmanager
async def _open(strategy: Strategy, observer: Callable[[], Any], task: Task) -> Opened:
    with observer() as observing:
        async with ours.make_client(task) as client:
            if observing is not None:
                client.observe(observing)
            yield partial(ours.stream, client, strategy)


by_get_alone = partial(_open, "get", nullcontext)
by_list_alone = partial(_open, "list", nullcontext)
by_get_told = partial(_open, "get", _function)
by_list_told = partial(_open, "list", _function)
by_get_counted = partial(_open, "get", partial(_otel, durations_per_s=0))
by_list_counted = partial(_open, "list", partial(_otel, durations_per_s=0))
by_get_measured = partial(_open, "get", _otel)
by_list_measured = partial(_open, "list", _otel)
by_get_all = partial(_open, "get", partial(_otel, durations_per_s=None))
by_list_all = partial(_open, "list", partial(_otel, durations_per_s=None))
by_get_traced = partial(_open, "get", partial(_otel, attempt_spans=True))
by_list_traced = partial(_open, "list", partial(_otel, attempt_spans=True))
