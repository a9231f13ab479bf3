"""``Canary``: asks whether an endpoint is alive, with requests that are known to be good."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from instantly_async._api import Endpoints
from instantly_async._pace import shows_life
from instantly_async._recorder import Recorder

from .retries import Tries
from .sending import Sender
from .workspace import Workspace

Probe = Callable[[], Awaitable[bool]]


class Canary:
    """Sends the probes of one workspace. They pass an open breaker."""

    def __init__(self, endpoints: Endpoints[Any], workspace: Workspace, recorder: Recorder) -> None:
        self._known = workspace.known
        self._get = Sender(endpoints.get, workspace, recorder, workspace.pace(endpoints.get))
        self._check = Sender(endpoints.check, workspace, recorder, workspace.pace(endpoints.check))

    async def get_lead(self) -> bool:
        """Request a lead that exists; return whether *Get lead* is alive.

        If none is known, a random id is requested: the answer 404 shows life, too.
        """
        lead_id = self._known.pick() or str(uuid4())
        return shows_life(await self._get.attempt(lead_id, Tries()))

    async def check(self) -> bool:
        """Request any one lead; return whether *List leads* is alive."""
        return shows_life(await self._check.attempt(None, Tries()))
