"""What the fake sends: an ``Answer``, and the error bodies of the API and its CDN.

Bodies of 401, 402, 404 and 429 are as the vendor documents them
(https://developer.instantly.ai); the message of 400, 403 and 413 is ours, in the same shape.
"""

from enum import Enum
from http import HTTPStatus

import msgspec

JSON = "application/json; charset=utf-8"


class Delivery(Enum):
    """How an answer goes over the wire."""

    WHOLE = "whole"
    RAW = "the body is everything that is written, then FIN"
    NOTHING = "FIN before any header"
    RESET = "RST before any header"
    CUT = "Content-Length, half of the body, then FIN"
    CUT_RESET = "Content-Length, half of the body, then RST"
    CUT_CHUNKED = "chunked, half of the body, then FIN"
    CUT_UNFRAMED = "neither length nor chunks, half of the body, then FIN"
    HANG = "Content-Length and half of the body, the rest after a pause"


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A response before it is written: its content, its delays, and how it is delivered.

    ``delay_s`` passes before the header, ``pause_s`` in the middle of the body.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    delivery: Delivery = Delivery.WHOLE
    delay_s: float = 0.0
    pause_s: float = 0.0

    @property
    def logged_status(self) -> int:
        """The status as the request log shows it: 0 when no header is sent."""
        silent = self.delivery in {Delivery.NOTHING, Delivery.RESET, Delivery.RAW}
        return 0 if silent else self.status


def error_body(status: int, message: str) -> bytes:
    """Return the API's JSON error body."""
    phrase = HTTPStatus(status).phrase if status in _KNOWN else "Error"
    return msgspec.json.encode({"statusCode": status, "error": phrase, "message": message})


def error(status: int, message: str, **headers: str) -> Answer:
    """Return an error as the API sends it."""
    return Answer(
        status=status,
        body=error_body(status, message),
        headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()),
    )


def too_many_requests(retry_after: float | str | None) -> Answer:
    """Return a 429; ``None``: without the header ``Retry-After``."""
    # Whether a 429 of the lead endpoints carries Retry-After is unknown, so both must work.
    headers = {} if retry_after is None else {"Retry_After": str(retry_after)}
    return error(429, "Rate limit exceeded", **headers)


def no_route(method: str, path: str) -> Answer:
    """Return Fastify's answer to a route that does not exist."""
    message = f"Route {method}:{path} not found"
    body = {"message": message, "error": "Not Found", "statusCode": 404}
    return Answer(status=404, body=msgspec.json.encode(body))


_KNOWN = frozenset(status.value for status in HTTPStatus)

MISSING_KEY = error(401, "Missing Authorization header")
WRONG_KEY = error(401, "Invalid API key")
NO_PLAN = error(402, "Workspace does not have an active paid plan")
NO_SCOPE = error(403, "API key lacks the required scope")
NO_LEAD = error(404, "Resource not found")
NO_UUID = error(400, 'params/id must match format "uuid"')
OUTAGE = error(503, "Service unavailable")

FAILURE = error(500, "Internal server error")
BLOCKED = Answer(
    # Cloudflare blocks the default agent of urllib (documented); the body is reported.
    status=403,
    body=b"error code: 1010",
    content_type="text/plain; charset=UTF-8",
    headers=(("Server", "cloudflare"),),
)
