"""Maps aiohttp's errors to ours."""

import os
import ssl

import aiohttp

from instantly_async import errors

from .connection import BrokenHttpError


def map_error(error: Exception) -> errors.InstantlyError:  # noqa: C901 - one case a line
    """Return our error for one of aiohttp's.

    The messages are ours, because aiohttp's can quote headers, and with them the key.

    Raises:
        Exception: ``error`` itself if it is unknown: that is a bug, which must stay visible.
    """
    match error:
        case errors.InstantlyError():
            return error.with_traceback(None)
        case aiohttp.ClientHttpProxyError(status=407):
            return errors.ProxyError()
        case aiohttp.ClientHttpProxyError(status=status):
            return errors.ConnectionFailedError(f"the proxy answered HTTP {status}")
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
