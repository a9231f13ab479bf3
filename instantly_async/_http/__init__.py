"""The HTTP layer: connections, proxies, deadlines, secrets. Only it imports aiohttp's client.

Decides how one request is sent and its answer read to the end, and which error aiohttp's errors
become. Must not know what an answer means, or whether the request is repeated.
"""

import instantly_async._key_log  # noqa: F401 - must come before aiohttp

from .addresses import Server, read_base_url, read_proxy
from .connections import Connections
from .credentials import ApiKey, read_api_key, valid, workspace_headers
from .request import Reply, Request, Response, Transport
from .transport import AiohttpTransport

__all__ = [
    "AiohttpTransport",
    "ApiKey",
    "Connections",
    "Reply",
    "Request",
    "Response",
    "Server",
    "Transport",
    "read_api_key",
    "read_base_url",
    "read_proxy",
    "valid",
    "workspace_headers",
]
