"""Errors from answers: maps status, headers and body of an answer other than 200 to an error.

Source of every status and body: https://developer.instantly.ai (API v2), except where a
comment says otherwise. Whether to try again is decided in ``_pace``.
"""

import re
from collections.abc import Mapping
from typing import NotRequired, Protocol, TypedDict, Unpack

import msgspec

from instantly_async import errors

from .retry_after import parse_retry_after

TOO_MANY_IDS = frozenset({400, 413, 422})
"""Statuses that may mean *too many ids on a page*. Which one the API uses is unknown."""

CAPTIVE_PORTAL = 511
"""Never sent by an API: something on the way wants a login first (RFC 6585, 6)."""

_MISSING_ROUTE = re.compile(r"Route [A-Z]+:")
_EMAIL = re.compile(r"(?<!\S)\S*@\S*")  # from the first letter of a word on, or it is quadratic

MAX_ERROR_BYTES = 1024 * 1024
"""A longer body is not from the API (*choice*; an error of the API has about 100 bytes)."""

_MAX_READ = 4000  # of a message; emails and keys are much shorter
_MAX_REASON = 200


class Key(Protocol):
    """The API key, as far as error messages need it."""

    origin: str

    def redact(self, text: str) -> str:
        """Return a text from outside without the key."""


class ErrorContext(TypedDict):
    """What an error's text and pause depend on, apart from the answer.

    ``now`` is the wall clock in Unix seconds and ``cap_s`` the longest pause that is obeyed,
    both for a ``Retry-After`` that is a date. ``takes_many``: the request named ids in its body, so
    any answer with one of ``TOO_MANY_IDS`` may mean them, also that of a proxy.
    """

    key: Key
    now: float
    cap_s: float
    takes_many: NotRequired[bool]


class ApiErrorBody(msgspec.Struct, gc=False):
    """The body of every error of the API."""

    statusCode: int  # noqa: N815 - the API's own name
    error: str
    message: str


_error_decoder = msgspec.json.Decoder(ApiErrorBody)


def parse_api_error(body: bytes) -> ApiErrorBody | None:
    """Return the API's error body; ``None``: the body is not from the API."""
    if len(body) > MAX_ERROR_BYTES:
        return None
    try:
        return _error_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Named(msgspec.Struct, gc=False):
    statusCode: int  # noqa: N815 - the API's own name


_named_decoder = msgspec.json.Decoder(_Named, strict=False)


def error_in(
    headers: Mapping[str, str], body: bytes, **context: Unpack[ErrorContext]
) -> errors.LeadError | errors.RunError | None:
    """Return the error that the body of a 200 names; ``None``: it names none.

    A few endpoints of the API answer like that (documented).
    """
    if len(body) > MAX_ERROR_BYTES:
        return None
    try:
        status = _named_decoder.decode(body).statusCode
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not 400 <= status < 600:
        return None
    return error_for(status, headers, body, **context)


def error_for(
    status: int, headers: Mapping[str, str], body: bytes, **context: Unpack[ErrorContext]
) -> errors.LeadError | errors.RunError:
    """Return the error for an answer other than 200."""
    takes_many = context.get("takes_many", False)
    error = _error_by_status(status, body, context["key"], takes_many=takes_many)
    if isinstance(error, errors.TransientError) and status in (429, 503):
        error.retry_after_s = parse_retry_after(headers, now=context["now"], cap_s=context["cap_s"])
    return error


def _error_by_status(
    status: int, body: bytes, key: Key, *, takes_many: bool
) -> errors.LeadError | errors.RunError:
    match status:
        case 401:
            return errors.AuthenticationError(
                f"The API does not accept the key from {key.origin} (401); check it in Instantly."
            )
        case 402:
            return errors.PaymentRequiredError(
                "The workspace has no active paid plan (402); the API needs one."
            )
        case 403:
            return _forbidden(body, key)
        case 404:
            return _missing(body)
        case 407:
            return errors.ProxyError()
        case 429:
            return errors.RateLimitedError("HTTP 429, the workspace's rate limit")
        case 408:
            return errors.ServerError("HTTP 408", status=status)
        case _ if 400 <= status < 500:
            return _rejected(status, body, key, takes_many=takes_many)
        case _ if 500 <= status < 600 and status != CAPTIVE_PORTAL:
            return errors.ServerError(f"HTTP {status}", status=status)
        case _:
            return errors.ProtocolError(
                f"HTTP {status}, a status that the API never sends", status=status
            )


def _rejected(status: int, body: bytes, key: Key, *, takes_many: bool) -> errors.LeadError:
    may_mean_ids = takes_many and status in TOO_MANY_IDS
    if not may_mean_ids and parse_api_error(body) is None:
        return errors.ProtocolError(f"HTTP {status} without the API's error body", status=status)
    return errors.RequestRejectedError(
        f"The API rejected the request (HTTP {status}{_reason(body, key)})", status=status
    )


def _forbidden(body: bytes, key: Key) -> errors.RunError:
    if parse_api_error(body) is None:
        # The CDN answers with HTML or "error code: 1010" (reported by users).
        return errors.EdgeBlockedError(
            "The CDN in front of the API blocks this client (403 without the API's JSON); "
            "try another IP address or another user_agent, or ask Instantly."
        )
    return errors.PermissionDeniedError(
        f"The key from {key.origin} may not read leads (403); it needs one of the scopes "
        "leads:read, leads:all, all:read, all:all."
    )


def _missing(body: bytes) -> errors.LeadError:
    answer = parse_api_error(body)
    # "Route GET:/… not found" is Fastify's message for a missing route. Whether this API sends
    # it is unknown, but a missing route must never be treated as a missing lead.
    if answer is None or _MISSING_ROUTE.match(answer.message):
        return errors.ProtocolError(
            "HTTP 404 without the API's error body; check that base_url is the API", status=404
        )
    return errors.NotFoundError("The workspace has no such lead")


def _reason(body: bytes, key: Key) -> str:
    answer = parse_api_error(body)
    if answer is None or not answer.message:
        return ""
    return f": {_shown(answer.message, key)}"


def _shown(message: str, key: Key) -> str:
    """Return the beginning of a message, without the key and emails: it may quote what was sent.

    Whatever its length, only the first 4000 characters are looked at.
    """
    if len(message) > _MAX_READ:
        # The last word is left out, because half a key or half an email is not recognized.
        message = " ".join([*message[:_MAX_READ].rsplit(maxsplit=1)[:-1], "…"])
    text = _EMAIL.sub("***", key.redact(message))
    return "".join(c if c.isprintable() else " " for c in text[:_MAX_REASON])
