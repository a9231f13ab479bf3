"""One request as the fake reads it: the parts that matter, and its endpoint."""

import re
from typing import Self

import msgspec
from aiohttp import web

LEAD_PATH = "/api/v2/leads/"
LIST_PATH = "/api/v2/leads/list"
UUID_PATTERN = r"^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"

is_uuid = re.compile(UUID_PATTERN.replace("$", r"\Z")).match


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request. ``path`` is as sent, with its query; ``body=None``: it was too large."""

    method: str
    path: str
    authorization: str | None = None
    user_agent: str | None = None
    workspace: str | None = None
    content_type: str = ""
    body: bytes | None = b""

    @classmethod
    async def read(cls, request: web.BaseRequest) -> Self:
        """Read the whole request."""
        headers = request.headers
        return cls(
            method=request.method,
            path=request.raw_path,
            authorization=headers.get("Authorization"),
            user_agent=headers.get("User-Agent"),
            workspace=headers.get("x-as-workspace"),
            content_type=headers.get("Content-Type", ""),
            body=await _read_body(request),
        )

    @property
    def lists(self) -> bool:
        """Whether this is a request for *List leads*."""
        return self.method == "POST" and self.path.partition("?")[0] == LIST_PATH

    @property
    def lead_segment(self) -> str | None:
        """The text in the place of *Get lead*'s id; ``None``: this is another route."""
        if self.method != "GET" or not self.path.startswith(LEAD_PATH):
            return None
        segment = self.path[len(LEAD_PATH) :].partition("?")[0]
        return segment if segment and "/" not in segment else None

    @property
    def lead_id(self) -> str | None:
        """The id that *Get lead* requests, in lower case; ``None``: there is no valid one."""
        segment = self.lead_segment
        return segment.lower() if segment and is_uuid(segment) else None


async def _read_body(request: web.BaseRequest) -> bytes | None:
    if not request.body_exists:
        return b""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return None
