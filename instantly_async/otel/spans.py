"""``Spans``: a span for each stream and, if wanted, for each attempt."""

import time

from opentelemetry.context import Context
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
    get_tracer,
    set_span_in_context,
)

from instantly_async._version import __version__
from instantly_async.events import Attempt, RunEnded, RunStarted

from .values import SCHEMA_URL, SCOPE, Attributes

_LEFT_EARLY = {"ClosedError", "CancelledError", "GeneratorExit"}


class Spans:
    """Makes spans; ``provider`` ``None``: the global one. ``attempts``: whether to add them."""

    def __init__(
        self, provider: TracerProvider | None, attributes: Attributes, *, attempts: bool
    ) -> None:
        self._tracer = get_tracer(SCOPE, __version__, provider, SCHEMA_URL)
        self._attributes = attributes
        self.has_attempts = attempts
        self._open: dict[int | None, tuple[Span, Context]] = {}

    def start(self, started: RunStarted) -> None:
        attributes = dict(self._attributes)
        if started.strategy is not None:
            attributes["instantly.strategy"] = started.strategy
        span = self._tracer.start_span(f"instantly {started.operation}", attributes=attributes)
        self._open[started.run] = span, set_span_in_context(span)

    def end(self, ended: RunEnded) -> None:
        span, _ = self._open.pop(ended.run, (None, None))
        if span is None:
            return  # it began before anybody observed
        stats = ended.stats
        span.set_attributes(
            {
                "instantly.leads.found": stats.found,
                "instantly.leads.not_found": stats.not_found,
                "instantly.leads.failed": sum(stats.failed.values()),
                "instantly.requests": stats.requests,
                "instantly.retries": stats.retries,
                "instantly.throttled": stats.throttled,
            }
        )
        if ended.error in _LEFT_EARLY:
            span.set_attribute("instantly.left_early", value=True)
        elif ended.error is not None:
            span.set_attribute("error.type", ended.error)
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def context(self, run: int | None) -> Context | None:
        """Return the context of a stream's span; ``None``: it has none."""
        found = self._open.get(run)
        return None if found is None else found[1]

    def add(self, attempt: Attempt, attributes: Attributes, context: Context) -> None:
        """Make the span of an attempt that has just ended."""
        ended_at = time.time_ns()
        span = self._tracer.start_span(
            f"{attempt.method} {attempt.route}",
            context,
            SpanKind.CLIENT,
            attributes,
            start_time=ended_at - int(attempt.duration_s * 1e9),
        )
        if attempt.resend_count:
            span.set_attribute("http.request.resend_count", attempt.resend_count)
        error = attributes.get("error.type")
        if error is not None and error not in _LEFT_EARLY:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended_at)
