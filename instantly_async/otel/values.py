"""What the conventions of OpenTelemetry say: names, boundaries, and the attributes of an attempt.

https://opentelemetry.io/docs/specs/semconv/http/
"""

from collections.abc import Mapping

from instantly_async.events import Attempt

SCOPE = "instantly_async"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.37.0"
"""The version of the conventions. All that is used of them is stable, except ``url.template``."""

DURATION = "http.client.request.duration"

DURATION_BOUNDARIES_S = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0
)  # fmt: skip
"""Those that the conventions recommend for this histogram, in seconds."""

Attributes = Mapping[str, str | bool | int | float]


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
