"""Maps aiohttp's errors to ours."""

import os
import ssl

import aiohttp

from instantly_async import errors

from .connection import BrokenHttpError

_PASSING = frozenset({408, 429})
"""Client errors of a proxy that pass: it waited too long, or has too many requests now."""


def map_error(error: Exception) -> errors.InstantlyError:  # noqa: C901 - one case a line
    """Return our error for one of aiohttp's.

    The messages are ours, because aiohttp's can quote headers, and with them the key.

    Raises:
        Exception: ``error`` itself if it is unknown: that is a bug, which must stay visible.
    """
    match error:
        case errors.InstantlyError():
            return error.with_traceback(None)
        case aiohttp.ClientHttpProxyError(status=status):
            return _refused_by_proxy(status)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return errors.TLSError(
                "The server's TLS certificate is not trusted, or the TLS handshake failed; "
                "check base_url and, for a private certificate authority, ssl_context."
            )
        case aiohttp.ClientConnectorDNSError():
            return errors.ConnectionFailedError("the server's name does not resolve")
        case TimeoutError():
            return errors.RequestTimeoutError("no connection within the timeout")
        case aiohttp.ClientConnectorError(os_error=os_error):
            return errors.ConnectionFailedError(f"no connection{_os_reason(os_error)}")
        case aiohttp.ClientPayloadError():
            return errors.ConnectionFailedError("the answer was cut off")
        case aiohttp.ServerDisconnectedError():
            return errors.ConnectionFailedError("the server closed the connection")
        case aiohttp.ClientConnectionError() | OSError():
            return errors.ConnectionFailedError(f"the connection broke{_os_reason(error)}")
        case aiohttp.ClientError() | BrokenHttpError():
            return errors.ProtocolError("the answer is not valid HTTP")
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


def _os_reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return f" ({os.strerror(number)})" if number else ""


def ended_unanswered(error: Exception) -> bool:
    """Whether a connection was reset, or ended before an answer had begun."""
    match error:
        case aiohttp.ServerDisconnectedError(message=message):
            return isinstance(message, str)  # otherwise it is the beginning of an answer
        case _:
            return isinstance(error, aiohttp.ClientOSError)
