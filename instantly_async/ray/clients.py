"""The client of a workspace on this worker: its key, its header, and the limiter that it shares."""

import asyncio
import hashlib
import os
from collections.abc import Callable
from typing import Any

from instantly_async.client import InstantlyClient
from instantly_async.errors import ConfigurationError
from instantly_async.settings import API_KEY_VARIABLE, RateLimit

from .limiter import RayLimiter

KeyOf = Callable[[str | None], str]
"""Returns the API key of a workspace; ``None``: the batch names none."""


class Clients:
    """Makes clients; keeps their limiters, which need not be closed.

    ``settings`` are those of ``InstantlyClient``. Others as in ``FetchLeads``.
    """

    def __init__(
        self,
        api_key: KeyOf | None,
        limit: RateLimit | None,
        settings: dict[str, Any],
        *,
        as_workspace: bool,
    ) -> None:
        self._api_key = api_key
        self._limit = limit
        self._settings = settings
        self._as_workspace = as_workspace
        self._limiters: dict[str, RayLimiter] = {}

    async def make(self, workspace: str | None) -> InstantlyClient[Any]:
        """Return a new client, whose limit is known to the cluster.

        Raises:
            ConfigurationError: a setting is invalid, or there is no key.
        """
        sent = workspace if self._as_workspace else None
        key: str | None = await self._key_of(workspace)
        assert key is not None
        limiter = self._limiter_of(limit_name(sent, key))
        client = InstantlyClient(
            key, workspace=sent, rate_limit=None, limiter=limiter, **self._settings
        )
        key = None  # tracebacks show locals
        if limiter is not None:
            await limiter.prepare()
        return client

    async def _key_of(self, workspace: str | None) -> str:
        if self._api_key is None:
            key = os.environ.get(API_KEY_VARIABLE)
            remedy = f"set {API_KEY_VARIABLE} there, or pass a function as api_key=…"
        else:
            # It may ask a server for the key.
            key = await asyncio.to_thread(self._api_key, workspace)
            remedy = "let the function api_key return it, as text"
        if not (isinstance(key, str) and key.strip()):
            raise ConfigurationError(f"There is no API key on this worker; {remedy}.")
        return key

    def _limiter_of(self, name: str) -> RayLimiter | None:
        if self._limit is None:
            return None
        if name not in self._limiters:
            self._limiters[name] = RayLimiter(name, self._limit)
        return self._limiters[name]


def limit_name(workspace: str | None, key: str) -> str:
    """Return the name of a workspace's limit: its id, or that of its key if it has no id here.

    The latter is a part of a digest, from which nobody can get the key.
    """
    if workspace is not None:
        return workspace
    return f"key {hashlib.sha256(key.strip().encode()).hexdigest()[:16]}"
