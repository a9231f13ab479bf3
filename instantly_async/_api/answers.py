"""The API's rules without I/O: ids to paths, keys to headers, answers to errors.

Pure functions of (status, headers, body). Bodies become leads in ``decoding.py``; what to
do about an error is decided in ``retry.py``.

Source of every status and body: https://developer.instantly.ai (API v2), except where a
comment says otherwise.
"""

import ipaddress
import math
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple, Never, SupportsIndex
from urllib.parse import unquote, urlsplit
from uuid import UUID

import msgspec

from instantly_async import errors
from instantly_async.settings import API_KEY_VARIABLE

LEADS_PATH = "/api/v2/leads/"
LIST_PATH = "/api/v2/leads/list"

MAX_IDS_PER_PAGE = 100
"""Ids per list request. Documented is ``limit`` up to 100; that 100 ``ids`` are taken is
reported by users, how many are allowed nobody says."""

HTTP_OK = 200

_LOWER_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_MISSING_ROUTE = re.compile(r"Route [A-Z]+:")
_EMAIL = re.compile(r"\S*@\S*")
_MAX_REASON = 200


class Authorization(str):
    """A header's value that prints as ``***``: reprs of headers stay free of the key.

    A slice, too: Rich cuts strings before it prints them.
    """

    __slots__ = ()

    def __getitem__(self, key: SupportsIndex | slice) -> "Authorization":
        return Authorization(super().__getitem__(key))

    def __repr__(self) -> str:
        return "'***'"


class ApiKey:
    """The API key. Prints as ``***`` and does not pickle; ``origin`` says where it came from."""

    __slots__ = ("_header", "_value", "origin")

    def __init__(self, value: str, origin: str) -> None:
        self._value = Authorization(value)
        self._header = Authorization("Bearer " + value)
        self.origin = origin

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __reduce__(self) -> Never:
        raise TypeError("An API key does not pickle; build the client where it is used.")

    def header(self) -> Authorization:
        """Give the value of the ``Authorization`` header."""
        return self._header

    def redact(self, text: str) -> str:
        """Take the key out of a text that came from outside."""
        return text.replace(str(self._value), "***")


def read_api_key(
    argument: object, environ: Mapping[str, str]
) -> ApiKey | errors.ConfigurationError:
    """Take the key from the argument, else from the environment; an error is a value here.

    A raised one would carry frames that hold the key.
    """
    origin = "the api_key argument" if argument is not None else API_KEY_VARIABLE
    value = argument if argument is not None else environ.get(API_KEY_VARIABLE)
    if value is not None and not isinstance(value, str):
        return errors.ConfigurationError("The API key must be a string.")
    problem = key_problem(value)
    if problem is not None or value is None:
        return errors.ConfigurationError(problem)
    return ApiKey(value.strip(), origin)


def key_problem(value: str | None) -> str | None:
    """Say in one sentence why this cannot be a key, or ``None`` when it can. Never quotes it."""
    if value is None or not value.strip():
        return "There is no API key: pass api_key=… or set INSTANTLY_API_KEY."
    if not _VISIBLE_ASCII.fullmatch(value.strip()):
        return "The API key has characters that no key has; copy it from Instantly again."
    return None


def base_url_problem(url: str) -> str | None:
    """Say in one sentence why this cannot be the API's address, or ``None`` when it can.

    https only, http for this machine; no path (``…/api/v2`` would make every lead *not
    found*), user, query or fragment. Never quotes the address: it could hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "base_url is no URL; use something like https://api.instantly.ai."
    if not parts.hostname or port == 0 or any(c.isspace() or not c.isprintable() for c in url):
        return "base_url is no URL; use something like https://api.instantly.ai."
    if parts.username is not None or parts.password is not None:
        return "base_url must not hold a user or password; the key is passed as api_key."
    if parts.path not in {"", "/"} or parts.query or parts.fragment or url.endswith(("?", "#")):
        return "base_url must end after host and port, without a path; /api/v2 is added to it."
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname)):
        return None
    return "base_url must be https (http only for localhost, 127.0.0.0/8 and ::1)."


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Proxy(NamedTuple):
    """An HTTP proxy: its ``url`` without user and password, and the ``headers`` that hold them."""

    url: str
    headers: Mapping[str, Authorization]


def read_proxy(proxy: str | None) -> Proxy | errors.ConfigurationError | None:
    """Take a proxy's URL apart, because URLs are printed; an error is a value, as for the key.

    User and password go as *Basic* (RFC 7617).
    """
    if proxy is None:
        return None
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        return errors.ConfigurationError("proxy must be a URL like http://proxy.example:8080.")
    userinfo, at, host = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    pair = b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    headers = {"Proxy-Authorization": Authorization(f"Basic {pair}")} if at else {}
    return Proxy(parts._replace(netloc=host).geturl(), headers)


def workspace_headers(workspace: str | None) -> Mapping[str, str]:
    """Give the headers that act on a sub-workspace (documented for admin keys).

    Raises:
        ConfigurationError: the id has characters that no header may have.
    """
    if workspace is None:
        return {}
    if not is_header_token(workspace):
        raise errors.ConfigurationError(
            "workspace must be an id: visible ASCII without white space."
        )
    return {"x-as-workspace": workspace}


def is_header_token(value: str) -> bool:
    """Whether a value may stand in a header: visible ASCII, no white space."""
    return _VISIBLE_ASCII.fullmatch(value) is not None


def wire_id(lead_id: object) -> str | None:
    """Give the id as it goes into a URL, in lower case; ``None`` when it is no UUID.

    Strict, because any other text could name another endpoint: ``../../v2/api-keys``.
    """
    if type(lead_id) is str and _LOWER_UUID.fullmatch(lead_id):
        return lead_id  # as it is, nearly always
    if isinstance(lead_id, UUID):
        return str(lead_id)
    if isinstance(lead_id, str):
        text = lead_id.strip()
        if _UUID.fullmatch(text):
            return text.lower()
    return None


def list_body(wire_ids: Sequence[str]) -> bytes:
    """Give the body that asks *List leads* for these leads."""
    return msgspec.json.encode({"ids": wire_ids, "limit": MAX_IDS_PER_PAGE})


CHECK_BODY = msgspec.json.encode({"limit": 1})
"""What asks *List leads* for any one lead: the cheapest request that needs a scope for leads."""


class ApiErrorBody(msgspec.Struct, gc=False):
    """The body of every error of the API."""

    statusCode: int  # noqa: N815 - the API's own name
    error: str
    message: str


_error_decoder = msgspec.json.Decoder(ApiErrorBody)


def parse_api_error(body: bytes) -> ApiErrorBody | None:
    """Give the API's error body, or ``None`` when somebody else wrote it."""
    try:
        return _error_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def error_for(
    status: int, headers: Mapping[str, str], body: bytes, *, key: ApiKey, now: float, cap_s: float
) -> errors.LeadError | errors.RunError:
    """Give the error that an answer other than 200 stands for.

    ``now`` is the wall clock in Unix seconds and ``cap_s`` the longest pause that is obeyed,
    both for a ``Retry-After`` that is a date.
    """
    error = _error_by_status(status, body, key)
    if isinstance(error, errors.TransientError) and status in (429, 503):
        error.retry_after_s = parse_retry_after(headers, now=now, cap_s=cap_s)
    return error


def _error_by_status(status: int, body: bytes, key: ApiKey) -> errors.LeadError | errors.RunError:
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
            return errors.ProxyError("The proxy wants credentials (407); put them into proxy=….")
        case 429:
            return errors.RateLimitedError("HTTP 429, the workspace's rate limit")
        case 408:
            return errors.ServerError("HTTP 408", status=status)
        case _ if 400 <= status < 500:
            return errors.RequestRejectedError(
                f"The API refuses the request (HTTP {status}{_reason(body, key)})", status=status
            )
        case _ if 500 <= status < 600:
            return errors.ServerError(f"HTTP {status}", status=status)
        case _:
            return errors.ProtocolError(
                f"HTTP {status}, which this API never answers with", status=status
            )


def _forbidden(body: bytes, key: ApiKey) -> errors.RunError:
    if parse_api_error(body) is None:
        # The edge answers HTML or "error code: 1010" (reported by users).
        return errors.EdgeBlockedError(
            "The CDN in front of the API blocks this client (403 without the API's JSON); "
            "try another address, or ask Instantly."
        )
    return errors.PermissionDeniedError(
        f"The key from {key.origin} may not read leads (403); it needs one of the scopes "
        "leads:read, leads:all, all:read, all:all."
    )


def _missing(body: bytes) -> errors.LeadError:
    answer = parse_api_error(body)
    # "Route GET:/… not found" is how Fastify names a missing route; that this API answers
    # so is unknown, but a route must never be taken for a lead.
    if answer is None or _MISSING_ROUTE.match(answer.message):
        return errors.ProtocolError(
            "HTTP 404 without the API's error body: base_url is not the API", status=404
        )
    return errors.NotFoundError("The workspace has no such lead")


def _reason(body: bytes, key: ApiKey) -> str:
    answer = parse_api_error(body)
    if answer is None or not answer.message:
        return ""
    reason = _EMAIL.sub("***", key.redact(answer.message))  # it may quote what was sent
    text = "".join(c if c.isprintable() else " " for c in reason)
    return f": {text[:_MAX_REASON]}"


def parse_retry_after(headers: Mapping[str, str], *, now: float, cap_s: float) -> float | None:
    """Give the seconds that ``Retry-After`` asks for; ``None``: absent or senseless.

    Seconds or an HTTP-date (RFC 9110, 10.2.3). A date counts from the answer's own ``Date``;
    without one from ``now``, and then for at most ``cap_s``, because this machine's wall
    clock may be wrong. Whether the API sends the header with a lead's 429 is unknown.
    """
    text = headers.get("Retry-After")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text, headers.get("Date"), now=now, cap_s=cap_s)
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _seconds_until(text: str, date: str | None, *, now: float, cap_s: float) -> float:
    until = _unix_time(text)
    answered = math.nan if date is None else _unix_time(date)
    if math.isnan(answered) and until - now > cap_s:
        return cap_s
    return until - (now if math.isnan(answered) else answered)


def _unix_time(text: str) -> float:
    try:
        moment = parsedate_to_datetime(text)
        # An HTTP-date is always in GMT; the old asctime form does not say so.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return math.nan
