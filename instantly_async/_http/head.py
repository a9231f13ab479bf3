"""``RequestHead``: the head of a request, made once per workspace.

Only method, path and length differ between requests. The head holds the key, so it is kept and
sent as ``SecretBytes``.
"""

import platform
from collections.abc import Mapping

import aiohttp
from yarl import URL

from instantly_async._version import __version__

from .addresses import Proxy
from .credentials import ApiKey, SecretBytes
from .request import Request

USER_AGENT = (
    f"instantly-async/{__version__} "
    f"(aiohttp/{aiohttp.__version__}; Python/{platform.python_version()})"
)
"""The CDN blocks clients that do not identify themselves (documented)."""


class RequestHead:
    """Renders requests to one server for one workspace.

    ``headers`` select the workspace. If a proxy gets plain HTTP, the target is a whole URL, and
    the proxy's password is sent with each request (RFC 9112, 3.2.2).
    """

    __slots__ = ("_fields", "_origin")

    def __init__(
        self, base_url: str, key: ApiKey, headers: Mapping[str, str], proxy: Proxy | None
    ) -> None:
        url = URL(base_url)
        relayed = proxy if url.scheme == "http" else None
        fields = {
            "Host": url.host_port_subcomponent,
            "User-Agent": USER_AGENT,
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
