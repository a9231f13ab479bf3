"""Maps aiohttp's errors to ours."""

import os
import ssl

import aiohttp

from instantly_async import errors

from .broken import describe
from .certificates import describe_environment
from .connection import MAX_HEADERS, BrokenHttpError

_PASSING = frozenset({408, 429})
"""Client errors of a proxy that pass: it waited too long, or has too many requests now."""


def map_error(  # noqa: C901, PLR0912 - one case a line
    error: Exception, *, has_connected: bool = False
) -> errors.InstantlyError:
    """Return our error for one of aiohttp's.

    ``has_connected``: connections to this server have been opened before. So it speaks TLS, and a
    TLS handshake that fails was damaged on its way.
    The messages are ours, because aiohttp's can quote headers, and with them the key.

    Raises:
        Exception: ``error`` itself if it is unknown: that is a bug, which must stay visible.
    """
    match error:
        case errors.InstantlyError():
            return error.with_traceback(None)
        case aiohttp.ClientHttpProxyError(status=status):
            return _refused_by_proxy(status)
        case aiohttp.ClientConnectorSSLError() if has_connected:
            return errors.ConnectionFailedError(f"the TLS handshake failed{_tls_reason(error)}")
        case aiohttp.ClientConnectorSSLError() if is_other_protocol(error):
            return errors.TLSError(
                "The server (or a proxy with https) does not speak TLS on this port, although the "
                "URL begins with https; check the port in base_url (INSTANTLY_BASE_URL), and use "
                "http:// for a server on this machine that has no TLS."
            )
        case aiohttp.ClientSSLError():
            return errors.TLSError(
                "The TLS certificate of the server (or of a proxy with https) is not trusted, or "
                f"the TLS handshake failed{describe_environment()}; check base_url "
                "(INSTANTLY_BASE_URL) and, for a private certificate authority, SSL_CERT_FILE or "
                "ssl_context."
            )
        case aiohttp.ClientConnectorDNSError():
            return errors.ConnectionFailedError("the server's name does not resolve")
        case TimeoutError():
            return errors.RequestTimeoutError("no connection within the timeout")
        case aiohttp.ClientConnectorError(os_error=os_error):
            return errors.ConnectionFailedError(f"no connection{_os_reason(os_error)}")
        case aiohttp.ClientPayloadError():
            return _broken_body(error.__cause__)
        case aiohttp.ServerDisconnectedError():
            return errors.ConnectionFailedError("the server closed the connection")
        case aiohttp.ClientConnectionError() | OSError():
            reason = _tls_reason(error) or _os_reason(error)
            return errors.ConnectionFailedError(f"the connection broke{reason}")
        case BrokenHttpError() | aiohttp.ClientError():
            return _broken(error)
        case _:
            raise error


def _refused_by_proxy(status: int) -> errors.ProxyError | errors.ConnectionFailedError:
    """Return the error for a proxy that opens no tunnel. Other answers than 4xx may pass."""
    if status == 407:
        return errors.ProxyError()
    if 400 <= status < 500 and status not in _PASSING:
        return errors.ProxyError(
            f"The proxy refuses to connect to the server (HTTP {status}); check address, user and "
            "password in proxy=…, and whether the proxy allows this server."
        )
    return errors.ConnectionFailedError(f"the proxy answered HTTP {status}")


def _broken(error: Exception) -> errors.ProtocolError:
    message = getattr(error, "message", "")
    if isinstance(error, aiohttp.ClientResponseError):  # of the request for a tunnel, here
        reason = describe(message, max_headers=None)
        return errors.ProtocolError(f"the proxy's answer to CONNECT is not valid HTTP: {reason}")
    reason = describe(message, max_headers=MAX_HEADERS)
    return errors.ProtocolError(f"the answer is not valid HTTP: {reason}")


def _broken_body(cause: BaseException | None) -> errors.TransientError:
    """Return the error for a body that does not end as its headers say."""
    if isinstance(cause, BrokenHttpError) and not cause.message.startswith("Not enough data"):
        return _broken(cause)
    return errors.ConnectionFailedError("the answer was cut off")


def _os_reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return f" ({os.strerror(number)})" if number else ""


def _tls_reason(error: Exception) -> str:
    """Return OpenSSL's own reason, such as a bad record MAC; empty: it was not TLS."""
    cause = error.__cause__
    if not isinstance(cause, ssl.SSLError):
        return ""
    return f" (TLS: {(cause.reason or 'broken').replace('_', ' ').lower()})"


def is_other_protocol(error: aiohttp.ClientConnectorSSLError) -> bool:
    """Whether the first bytes of a handshake were no TLS, such as those of plain HTTP."""
    cause = error.__cause__
    return isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER"


def ended_unanswered(error: Exception) -> bool:
    """Whether a connection was reset, or ended before an answer had begun.

    Broken TLS is a failure: no server ends an idle connection in that way.
    """
    match error:
        case aiohttp.ServerDisconnectedError(message=message):
            return isinstance(message, str)  # otherwise it is the beginning of an answer
        case _:
            return isinstance(error, aiohttp.ClientOSError) and not _tls_reason(error)
