"""``RequestHead``: the head of a request, made once per workspace.

Only method, path and length differ between requests. The head holds the key, so it is kept and
sent as ``SecretBytes``.
"""

import platform
import re
from collections.abc import Mapping

import aiohttp
from yarl import URL

from instantly_async._version import __version__
from instantly_async.errors import ConfigurationError

from .addresses import Proxy
from .credentials import ApiKey, SecretBytes
from .request import Request

USER_AGENT = (
    f"instantly-async/{__version__} "
    f"(aiohttp/{aiohttp.__version__}; Python/{platform.python_version()})"
)
"""The CDN blocks clients that do not identify themselves (documented)."""

_USER_AGENT = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,498}[\x21-\x7e])?")
"""Printable ASCII (RFC 9110, 5.5); at most 500 characters (*choice*: servers limit headers)."""


def read_user_agent(user_agent: object) -> str:
    """Return the value of the header ``User-Agent``; ``None``: this package's own.

    Raises:
        ConfigurationError: a header cannot have that value.
    """
    if user_agent is None:
        return USER_AGENT
    if not (isinstance(user_agent, str) and _USER_AGENT.fullmatch(user_agent)):
        raise ConfigurationError(
            "user_agent must be a text such as acme-sync/1.2: at most 500 characters of printable "
            "ASCII, without white space around it."
        )
    return user_agent


class RequestHead:
    """Renders requests to one server for one workspace.

    ``headers`` select the workspace. If a proxy gets plain HTTP, the target is a whole URL, and
    the proxy's password is sent with each request (RFC 9112, 3.2.2).
    """

    __slots__ = ("_fields", "_origin")

    def __init__(
        self,
        base_url: str,
        key: ApiKey,
        headers: Mapping[str, str],
        proxy: Proxy | None,
        user_agent: str = USER_AGENT,
    ) -> None:
        url = URL(base_url)
        relayed = proxy if url.scheme == "http" else None
        fields = {
            "Host": url.host_port_subcomponent,
            "User-Agent": user_agent,
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Authorization": key.header(),
            **headers,
            **(relayed.headers if relayed else {}),
        }
        self._origin = str(url.origin()) if relayed else ""
        self._fields = SecretBytes(
            "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode("ascii")
        )

    def render(self, request: Request) -> SecretBytes:
        """Return the whole request as it goes over the wire."""
        start = f"{request.method} {self._origin}{request.path} HTTP/1.1\r\n".encode("ascii")
        if request.body is None:
            return SecretBytes(b"".join((start, self._fields, b"\r\n")))
        entity = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(request.body)
        return SecretBytes(b"".join((start, self._fields, entity, request.body)))
