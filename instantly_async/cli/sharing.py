"""The client of a run that shares its limit with other processes."""

from hashlib import blake2b
from typing import Any

from instantly_async._extras import load_extra
from instantly_async.client import InstantlyClient
from instantly_async.models import Lead
from instantly_async.settings import RateLimit


def name_for(key: str, workspace: str | None) -> str:
    """Return the name of a limit: the same for each run with this key and workspace.

    It is seen on the server, so it is a hash, from which the key cannot be computed.
    """
    text = f"{key.strip()}\0{workspace or ''}"
    return f"key-{blake2b(text.encode(), digest_size=16, person=b'instantly_async').hexdigest()}"


class SharingClient(InstantlyClient[Lead]):
    """Closes its limiter after itself."""

    def __init__(self, key: str, *, url: str, name: str, limit: RateLimit, **settings: Any) -> None:
        load_extra("redis", what="A shared limit", extra="redis")
        from instantly_async.redis import SharedLimiter  # noqa: PLC0415 - of an extra

        limiter, url = SharedLimiter(url, name, limit), ""
        self._shared = limiter
        super().__init__(key, limiter=limiter, **settings)

    async def aclose(self) -> None:
        """As ``InstantlyClient.aclose``, and release the connection to the limit's server."""
        try:
            await super().aclose()
        finally:
            await self._shared.aclose()
