"""Every error this package raises, grouped by what the caller can do about it.

    InstantlyError
      ConfigurationError(ValueError)   raised at construction; mend the setting
      ClosedError                      the client is closed, or belongs to another loop
      LeadError                        concerns one id; the run goes on
        InvalidLeadIdError             no request was made
        NotFoundError                  404
        DecodeError                    the answer is not this lead
        RequestRejectedError           400, 422, other 4xx
        TransientError                 retries used up; ask again later
          ConnectionFailedError  RequestTimeoutError  ServerError
          ProtocolError  RateLimitedError
      RunError                         stops the run; what was finished is kept
        AuthenticationError            401
        PaymentRequiredError           402
        PermissionDeniedError          403 with the API's JSON
        EdgeBlockedError               403 from the CDN
        TLSError
        ProxyError                     407
        ServiceUnavailableError        the circuit breaker gave up
        RateLimitPauseError            asked to wait longer than the cap

No error carries the API key, a response object or a body in its text. Decisions
about retrying live in ``retry.py``, not here.
"""

from typing import Any, Literal, TypeVar
from uuid import UUID

MAX_RAW_BYTES = 64 * 1024
"""How much of an undecodable body ``DecodeError.raw`` keeps."""

DecodeFailure = Literal["malformed", "truncated", "oversized", "other lead"]
"""Why a body is not the lead: it ended early, passed its cap, or names another id."""


class InstantlyError(Exception):
    """Root of every error of this package."""


class ConfigurationError(InstantlyError, ValueError):
    """A key, URL or setting that cannot work, found before any request."""


class ClosedError(InstantlyError):
    """The client was closed, or is used from another event loop than its first."""


class LeadError(InstantlyError):
    """Trouble with one id.

    ``lead_id`` is what the caller passed; ``attempts`` counts the requests made
    for it. Both are filled in before the caller sees the error.
    """

    lead_id: str | UUID = ""
    attempts: int = 0

    def __str__(self) -> str:
        text = super().__str__()
        if not self.attempts:
            return text
        times = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return f"{text} (lead {self.lead_id}, {times})"


class InvalidLeadIdError(LeadError):
    """The id is no UUID. No request was made."""


class NotFoundError(LeadError):
    """The workspace has no such lead (404 with the API's JSON error body)."""


class DecodeError(LeadError):
    """The answer is no JSON object, not UTF-8, too large, or another lead.

    ``path`` names where it failed (``"$"``: the whole body) and ``reason`` how; ``raw``
    is the first 64 KiB of the body, left out of ``str``, ``repr``, ``args`` and pickles
    because it is personal data.
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
    """The API refuses this request: 400, 422 or another 4xx; ``status`` says which."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class TransientError(LeadError):
    """Retries are used up. ``last`` says what happened last, in a few words.

    ``retry_after_s`` is what the last answer asked for, ``None`` when it did not.
    """

    retry_after_s: float | None = None

    @property
    def last(self) -> str:
        """What happened last, without the id and the count of attempts."""
        return str(self.args[0]) if self.args else type(self).__name__


class ConnectionFailedError(TransientError):
    """No connection, or it broke before the whole answer had arrived."""


class RequestTimeoutError(TransientError):
    """Connecting, an answer, or the rest of it took longer than ``Timeouts`` allow."""


class ServerError(TransientError):
    """5xx or 408; ``status`` says which. Through a CDN the body can be HTML."""

    def __init__(self, message: str, *, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


class ProtocolError(TransientError):
    """Not an answer of this API: broken HTTP (``status`` ``None``) or a status it never sends."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RateLimitedError(TransientError):
    """429, more often than ``RetryPolicy.throttled_attempts``."""


class RunError(InstantlyError):
    """Trouble that stops the whole run.

    ``partial`` is the ``LeadBatch`` of what was finished when ``get_leads`` raised
    it, else ``None``.
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
    """The server's certificate or TLS handshake is not acceptable."""


class ProxyError(RunError):
    """The proxy wants other credentials (407)."""


class ServiceUnavailableError(RunError):
    """The circuit breaker is open and gave up; ask again later."""


class RateLimitPauseError(RunError):
    """The server asked to wait longer than the cap; ``retry_after_s`` says how long."""

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


E = TypeVar("E", bound=Exception)


def own_copy(error: E) -> E:
    """Give an equal error of its own to each of several that share one; without traceback."""
    copy = type(error).__new__(type(error), *error.args)
    copy.__dict__.update(error.__dict__)
    copy.__dict__.pop("__notes__", None)  # a list that the two would share
    return copy
