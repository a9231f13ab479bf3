"""Bulk concurrent fetching of Instantly leads for asyncio: by id, email, campaign or list."""

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__
from .enums import (
    EnrichmentStatus,
    EsgCode,
    EspCode,
    InterestStatus,
    LeadStatus,
    UploadMethod,
    VerificationStatus,
)
from .errors import (
    AuthenticationError,
    ClosedError,
    ConfigurationError,
    ConnectionFailedError,
    DecodeError,
    EdgeBlockedError,
    FilterIgnoredError,
    InstantlyError,
    InvalidEmailError,
    InvalidLeadIdError,
    LeadError,
    ListingError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    ProtocolError,
    ProxyError,
    RateLimitedError,
    RateLimitPauseError,
    RequestRejectedError,
    RequestTimeoutError,
    RunError,
    ServerError,
    ServiceUnavailableError,
    TLSError,
    TransientError,
)
from .models import LastStep, Lead, StatusSummary, SubsequenceStatusSummary
from .outcomes import EmailMatch, Failed, Found, LeadBatch, LeadId, NotFound, Outcome
from .settings import RateLimit, RetryPolicy, Strategy, Timeouts
from .stats import Stats

__all__ = [
    "AdaptiveLimiter",
    "AuthenticationError",
    "ClosedError",
    "ConfigurationError",
    "ConnectionFailedError",
    "DecodeError",
    "EdgeBlockedError",
    "EmailMatch",
    "EnrichmentStatus",
    "EsgCode",
    "EspCode",
    "Failed",
    "FilterIgnoredError",
    "Found",
    "InstantlyClient",
    "InstantlyError",
    "InterestStatus",
    "InvalidEmailError",
    "InvalidLeadIdError",
    "KeyCheck",
    "LastStep",
    "Lead",
    "LeadBatch",
    "LeadError",
    "LeadId",
    "LeadLoader",
    "LeadStatus",
    "LeadStream",
    "Limiter",
    "ListingError",
    "MatchStream",
    "NotFound",
    "NotFoundError",
    "Outcome",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "ProtocolError",
    "ProxyError",
    "RateLimit",
    "RateLimitPauseError",
    "RateLimitedError",
    "RequestRejectedError",
    "RequestTimeoutError",
    "RetryPolicy",
    "RunError",
    "ServerError",
    "ServiceUnavailableError",
    "Stats",
    "StatusSummary",
    "Strategy",
    "SubsequenceStatusSummary",
    "TLSError",
    "Timeouts",
    "TransientError",
    "UploadMethod",
    "VerificationStatus",
    "__version__",
]

if TYPE_CHECKING:
    from ._fetch import KeyCheck
    from ._pace import AdaptiveLimiter, Limiter
    from .client import InstantlyClient
    from .loader import LeadLoader
    from .streams import LeadStream, MatchStream
else:
    # Imported on first use, because they need aiohttp: a program that only reads leads does not.
    # Type checkers must not see __getattr__, or they would accept any name.
    _NEED_AIOHTTP = {
        "AdaptiveLimiter": "._pace",
        "InstantlyClient": ".client",
        "KeyCheck": "._fetch",
        "LeadLoader": ".loader",
        "LeadStream": ".streams",
        "Limiter": "._pace",
        "MatchStream": ".streams",
    }

    def __getattr__(name: str) -> object:
        if name in {"client", "loader", "reader", "streams"}:
            return import_module(f".{name}", __name__)
        if name not in _NEED_AIOHTTP:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_NEED_AIOHTTP[name], __name__), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*__all__, *globals()})
