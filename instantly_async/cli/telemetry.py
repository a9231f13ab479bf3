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

from .process import unwinding_on_signals

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
    chosen = environ.get(f"OTEL_{upper}_EXPORTER", "").strip()
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{upper}_ENDPOINT")
    if not chosen and any(environ.get(each, "").strip() for each in endpoints):
        chosen = "otlp"
    names = [each.strip() for each in chosen.split(",")]
    return [_by_protocol(each, upper, environ) for each in names if each not in {"", "none"}]


def _by_protocol(name: str, upper: str, environ: Mapping[str, str]) -> str:
    if name != "otlp":
        return name
    own = environ.get(f"OTEL_EXPORTER_OTLP_{upper}_PROTOCOL", "").strip()
    common = environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip()
    protocol = own or common or next(iter(PROTOCOLS))
    return PROTOCOLS.get(protocol, f"otlp by {protocol}")


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
        _start(client, names["metrics"], names["traces"], closing)
        yield
    finally:
        _close(closing)


def _start(
    client: InstantlyClient[Any],
    metrics: list[str],
    traces: list[str],
    closing: list[Callable[[], object]],
) -> None:
    try:
        observer = _observer(metrics, traces, closing)
        if observer is not None:
            client.observe(observer)
    except Exception as error:  # noqa: BLE001 - whatever a variable makes the SDK raise
        _log.warning(
            "OpenTelemetry cannot be set up (%s), so nothing is exported; check the OTEL_* "
            "variables.",
            type(error).__name__,
        )


class _Failures(logging.Handler):
    """Passes on that an export has failed, each reason once.

    Not the SDK's own text: it may quote an address with a password, or a header.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        arguments = record.args if isinstance(record.args, tuple) else ()
        codes = [f"HTTP {each}" for each in arguments if isinstance(each, int)]
        reason = error.__name__ if error else next(iter(codes), "no reason given")
        if reason not in self._seen:
            self._seen.add(reason)
            _log.warning(
                "An export of metrics or traces failed (%s); check OTEL_EXPORTER_OTLP_ENDPOINT and "
                "OTEL_EXPORTER_OTLP_HEADERS.",
                reason,
            )


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
    processors = [
        each for name in traces if (each := _made("traces", name, _processor)) is not None
    ]
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
    """End the exports, all at once. One that is not done in time is abandoned.

    A signal only cuts the wait short: the run is over, and its exit code stands.
    """
    threads = [threading.Thread(target=each, daemon=True) for each in closing]
    until = time.monotonic() + CLOSING_S
    with contextlib.suppress(KeyboardInterrupt, SystemExit), unwinding_on_signals():
        for each in threads:
            each.start()
        for each in threads:
            each.join(max(0.0, until - time.monotonic()))
    if any(each.is_alive() for each in threads):
        _log.warning(
            "The last metrics or spans could not be exported within %.0f s; check the collector, "
            "and OTEL_EXPORTER_OTLP_ENDPOINT.",
            CLOSING_S,
        )
