"""OpenTelemetry: metrics and spans of a client, for whatever SDK the application has set up.

Needs the extra ``otel``, which is OpenTelemetry's API. Without an SDK, nothing is recorded.

Decides what becomes of each record of ``events`` there. Must not know how leads are fetched.
"""

try:
    import opentelemetry.metrics
    import opentelemetry.trace  # noqa: F401 - both are there, or neither
except ModuleNotFoundError as error:
    raise ImportError(
        "instantly_async.otel needs the extra \"otel\": pip install 'instantly-async[otel]'"
    ) from error

from .observer import OtelObserver, instrument

__all__ = ["OtelObserver", "instrument"]
