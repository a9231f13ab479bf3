"""Every error this package raises, grouped by what the caller can do about it.

    InstantlyError
      ConfigurationError(ValueError)   raised at construction; fix the setting
      ClosedError                      the client is closed, or belongs to another loop
      LeadError                        concerns one id; the run continues
        InvalidLeadIdError             no request was made
        InvalidEmailError              no request was made
        NotFoundError                  404
        DecodeError                    the answer is not this lead, or no lead at all
        RequestRejectedError           400, 422, other 4xx
        TransientError                 retries are used up; try again later
          ConnectionFailedError  RequestTimeoutError  ServerError
          ProtocolError  RateLimitedError
      RunError                         stops the run; what was finished is kept
        AuthenticationError            401
        PaymentRequiredError           402
        PermissionDeniedError          403 with the API's JSON
        EdgeBlockedError               403 from the CDN
        TLSError
        ProxyError                     407, or another 4xx of the proxy
        ServiceUnavailableError        the circuit breaker gave up, or this is not the API
        RateLimitPauseError            asked to wait longer than the cap
        FilterIgnoredError             List leads returns what was not asked for
        ListingError                   a page of a listing cannot be fetched

No error has the API key, a response object or a body in its text. Whether to retry is
decided in ``_fetch/retries.py``, not here.
"""

from typing import Any, Literal, TypeVar
from uuid import UUID

MAX_RAW_BYTES = 64 * 1024
"""How much of an undecodable body ``DecodeError.raw`` keeps."""

DecodeFailure = Literal["foreign", "malformed", "truncated", "oversized", "other lead"]
"""Why a body is not the lead: it is not an answer of this API (*foreign*), is that lead but not
valid (*malformed*), ended early (*truncated*), is larger than the cap (*oversized*), or has another
id (*other lead*)."""


class InstantlyError(Exception):
    """Root of every error of this package."""


class ConfigurationError(InstantlyError, ValueError):
    """A key, URL or setting is invalid. Raised before any request."""


class ClosedError(InstantlyError):
    """The client was closed, or is used in another event loop than at first."""


class LeadError(InstantlyError):
    """An error that concerns one id; other ids are not affected.

    ``lead_id`` is what the caller passed; ``attempts`` counts the requests made
    for it. Both are set before the caller sees the error. The error of an email has no
    ``lead_id``, so that the email is not in its text.
    """

    lead_id: str | UUID = ""
    attempts: int = 0

    def __str__(self) -> str:
        text = super().__str__()
        if not self.attempts:
            return text
        times = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        which = f"lead {self.lead_id}, " if self.lead_id else ""
        return f"{text} ({which}{times})"


class InvalidLeadIdError(LeadError):
    """The id is not a UUID in any spelling of RFC 9562. No request was made."""


class InvalidEmailError(LeadError):
    """The text is not an email address. No request was made."""


class NotFoundError(LeadError):
    """The workspace has no such lead (404 with the API's JSON error body)."""


class DecodeError(LeadError):
    """The answer is not a JSON object or not UTF-8, is too large, or is not the requested lead.

    Also raised if a required field of the caller's own ``lead_type`` does not fit. If ``reason``
    is ``"foreign"``, the error says nothing about the lead: try again later. ``path`` says
    where decoding failed (``"$"``: the whole body) and ``reason`` why. ``raw`` is the first
    64 KiB of the body; ``str``, ``repr``, ``args`` and pickles leave it out, because it is
    personal data.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str = "$",
        raw: bytes = b"",
        reason: DecodeFailure = "malformed",
    ) -> None:
        super().__init__(message)
        self.path = path
        self.raw = raw[:MAX_RAW_BYTES]
        self.reason: DecodeFailure = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {**self.__dict__, "raw": b""}


class RequestRejectedError(LeadError):
    """The API rejected this request, in its own words: 400, 422 or another 4xx, as ``status`` says.

    Without the API's error body, a 4xx is a ``ProtocolError``.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class TransientError(LeadError):
    """Retries are used up. ``last`` says what happened last, in a few words.

    ``retry_after_s``: seconds that the last answer asked to wait; ``None``: it did not ask.
    """

    retry_after_s: float | None = None

    @property
    def last(self) -> str:
        """What happened last, without the id and the count of attempts."""
        return str(self.args[0]) if self.args else type(self).__name__


class ConnectionFailedError(TransientError):
    """There was no connection, or it broke before the whole answer had arrived."""


class RequestTimeoutError(TransientError):
    """Connecting or reading the answer took longer than ``Timeouts`` allows."""


class ServerError(TransientError):
    """5xx or 408; ``status`` says which. Through a CDN the body can be HTML."""

    def __init__(self, message: str, *, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


class ProtocolError(TransientError):
    """Not an answer of this API.

    Broken HTTP (``status`` ``None``), a status that the API never sends, or a content coding that
    cannot be read.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RateLimitedError(TransientError):
    """The answer was 429 more often than ``RetryPolicy.throttled_attempts`` allows."""


class RunError(InstantlyError):
    """An error that stops the whole run.

    ``partial`` is the ``LeadBatch`` of the finished ids if ``get_leads`` raised the error;
    otherwise ``None``.
    """

    partial: Any = None


class AuthenticationError(RunError):
    """401: the key is missing, wrong or revoked."""


class PaymentRequiredError(RunError):
    """402: the workspace has no active paid plan."""


class PermissionDeniedError(RunError):
    """403 from the API: the key lacks a scope that reads leads."""


class EdgeBlockedError(RunError):
    """403 from the CDN in front of the API: this client or address is blocked."""


class TLSError(RunError):
    """A TLS certificate is not trusted, or the first handshake has failed, also when repeated.

    If connections have been opened before, a handshake that fails is a failed connection.
    """


class ProxyError(RunError):
    """The proxy requires credentials, or other ones (407), or opens no tunnel (another 4xx).

    408 and 429 of a proxy pass, so they count as a failed connection.
    """

    def __init__(
        self, message: str = "The proxy requires credentials (407); pass them in proxy=…."
    ) -> None:
        super().__init__(message)


class ServiceUnavailableError(RunError):
    """Nothing can be fetched now; try again later.

    The circuit breaker gave up, this process could open no connection for too long, or what answers
    is not the API (then check the address).
    """


class RateLimitPauseError(RunError):
    """The server asked to wait longer than the cap; ``retry_after_s`` says how long."""

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class FilterIgnoredError(RunError):
    """*List leads* returned what was not asked for, so it cannot answer this question.

    It ignored a filter, did not read all of it, or went round in circles. What came before was
    compared with the filter, and is right. ``attempts`` counts the requests for the last answer.
    """

    attempts: int = 0


class ListingError(RunError):
    """A page of a listing could not be fetched, however small; ``reason`` is the last failure.

    Earlier leads are kept. A new listing can continue after the last one.
    """

    def __init__(self, message: str, *, reason: LeadError | None = None) -> None:
        super().__init__(message)
        self.reason = reason


E = TypeVar("E", bound=Exception)


def own_copy(error: E) -> E:
    """Return an equal error without traceback, so that several tasks can raise one each."""
    copy = type(error).__new__(type(error), *error.args)
    copy.__dict__.update(error.__dict__)
    copy.__dict__.pop("__notes__", None)  # a list that the two would share
    return copy
