"""Exports metrics and spans of a run, if OpenTelemetry's environment variables ask for it.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ says what they
mean. Which exporters there are is read here; all else is read by the SDK and by the exporters.
"""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import entry_points
from typing import Any, Literal

from instantly_async import __version__
from instantly_async.client import InstantlyClient
from instantly_async.events import Observer

Signal = Literal["metrics", "traces"]

CLOSING_S = 3.0
"""How long the last export may take at the end of a run, in seconds (*choice*)."""

DISABLED = "OTEL_SDK_DISABLED"
PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""The exporters of OTLP by ``OTEL_EXPORTER_OTLP_PROTOCOL``; the first one if that is not set."""

_log = logging.getLogger(__name__)


def names_of(signal: Signal, environ: Mapping[str, str]) -> list[str]:
    """Return the names of the exporters that the variables ask for.

    Unlike what the specification says, nothing is exported if none of them is set.
    """
    if environ.get(DISABLED, "").strip().lower() == "true":
        return []
    upper = signal.upper()
    chosen = environ.get(f"OTEL_{upper}_EXPORTER", "")
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{upper}_ENDPOINT")
    if not chosen.strip() and any(environ.get(each) for each in endpoints):
        chosen = "otlp"
    names = [each.strip() for each in chosen.split(",")]
    return [_by_protocol(each, upper, environ) for each in names if each not in {"", "none"}]


def _by_protocol(name: str, upper: str, environ: Mapping[str, str]) -> str:
    if name != "otlp":
        return name
    own = environ.get(f"OTEL_EXPORTER_OTLP_{upper}_PROTOCOL")
    protocol = own or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or next(iter(PROTOCOLS))
    return PROTOCOLS.get(protocol.strip(), f"otlp by {protocol.strip()}")


@contextlib.contextmanager
def exporting(client: InstantlyClient[Any]) -> Iterator[None]:
    """Export what this client does meanwhile. Whatever fails there is logged, and no more."""
    names = {signal: names_of(signal, os.environ) for signal in ("metrics", "traces")}
    if not any(names.values()):
        yield
        return
    closing: list[Callable[[], object]] = []
    sdk = logging.getLogger("opentelemetry")
    sdk.handlers[:], sdk.propagate = [_Failures()], False
    try:
        observer = _observer(names["metrics"], names["traces"], closing)
        if observer is not None:
            client.observe(observer)
        yield
    finally:
        _close(closing)


class _Failures(logging.Handler):
    """Passes on what the SDK logs as an error: each kind once, and without its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg) not in self._seen:
            self._seen.add(str(record.msg))
            error = record.exc_info[0] if record.exc_info else None
            reason = f" ({error.__name__})" if error else ""
            _log.warning("OpenTelemetry: %s%s", record.getMessage(), reason)


def _observer(
    metrics: list[str], traces: list[str], closing: list[Callable[[], object]]
) -> Observer | None:
    """Return what exports; ``closing`` gets what ends it. ``None``: that cannot be done."""
    try:
        from opentelemetry.metrics import NoOpMeterProvider  # noqa: PLC0415 - only if asked for
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.trace import NoOpTracerProvider  # noqa: PLC0415

        from instantly_async.otel import OtelObserver  # noqa: PLC0415
    except ImportError as error:
        _log.warning(
            "OTEL_* variables ask for an export, but a package is missing (%s), so nothing is "
            "exported; pip install 'instantly-async[cli,otlp]', or set %s=true.",
            error.name,
            DISABLED,
        )
        return None
    readers = [each for name in metrics if (each := _made("metrics", name, _reader)) is not None]
    processors = [each for name in traces if (each := _made("traces", name, _processor))]
    meters: Any = NoOpMeterProvider()
    tracers: Any = NoOpTracerProvider()
    resource = _resource()
    if readers:
        meters = MeterProvider(readers, resource, shutdown_on_exit=False)
        closing.append(meters.shutdown)
    if processors:
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        closing.append(tracers.shutdown)
        for each in processors:
            tracers.add_span_processor(each)
    return OtelObserver(meter_provider=meters, tracer_provider=tracers)


def _resource() -> Any:
    """Return what the variables say about this process; its name is ours unless they give one."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as above

    resource = Resource.create({"service.version": __version__})
    if str(resource.attributes.get("service.name")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "instantly-async"}))
    return resource


def _made(signal: Signal, name: str, make: Callable[[Any], Any]) -> Any:
    """Make an exporter, ready for use; ``None``: it cannot be made."""
    found = next(iter(entry_points(group=f"opentelemetry_{signal}_exporter", name=name)), None)
    if found is None:
        _log.warning(
            "There is no exporter %r for %s, so it is left out; install its package, or correct "
            "OTEL_%s_EXPORTER or OTEL_EXPORTER_OTLP_PROTOCOL.",
            name,
            signal,
            signal.upper(),
        )
        return None
    try:
        factory = found.load()
        # Stdout is for leads.
        return make(partial(factory, out=sys.stderr) if name == "console" else factory)
    except Exception as error:  # noqa: BLE001 - whatever a variable makes it raise
        _log.warning(
            "The exporter %r for %s cannot be used (%s), so it is left out; check the OTEL_* "
            "variables.",
            name,
            signal,
            type(error).__name__,
        )
        return None


def _reader(factory: Any) -> Any:
    from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415 - as above
        MetricReader,
        PeriodicExportingMetricReader,
    )

    exporter = factory()
    if isinstance(exporter, MetricReader):
        return exporter
    return PeriodicExportingMetricReader(exporter)


def _processor(factory: Any) -> Any:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above

    return BatchSpanProcessor(factory())


def _close(closing: list[Callable[[], object]]) -> None:
    """End the exports, all at once. Who does not end in time is left behind."""
    threads = [threading.Thread(target=each, daemon=True) for each in closing]
    for each in threads:
        each.start()
    until = time.monotonic() + CLOSING_S
    with contextlib.suppress(KeyboardInterrupt):  # the run is over, and its exit code stands
        for each in threads:
            each.join(max(0.0, until - time.monotonic()))
    if any(each.is_alive() for each in threads):
        _log.warning(
            "The last metrics or spans could not be exported within %.0f s; check the collector, "
            "and OTEL_EXPORTER_OTLP_ENDPOINT.",
            CLOSING_S,
        )
