"""The check of the key: one request for any one lead, sent like all other requests."""

import asyncio
from typing import Any

import msgspec

from instantly_async._api import Endpoints
from instantly_async._recorder import Recorder
from instantly_async.errors import LeadError

from .attempts import Requester
from .canary import Canary
from .retries import Tries
from .workspace import Workspace


class KeyCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The key can read leads.

    ``has_leads``: whether the workspace has any. ``round_trip_s``: seconds from sending the
    request to its answer.
    """

    has_leads: bool
    round_trip_s: float


async def request_check(
    endpoints: Endpoints[Any], workspace: Workspace, recorder: Recorder
) -> KeyCheck:
    """Request one lead. Fails instead of waiting for an outage to end.

    Raises:
        RunError: the key may not read leads, or nothing can be fetched now.
        LeadError: no answer came, or an answer that is not a page of leads.
    """
    canary = Canary(endpoints, workspace, recorder)
    requester = Requester(endpoints.check, workspace, recorder, canary.check, patient=False)
    tries = Tries(workspace.retry.attempts)  # who checks wants to know now
    result = await requester.request(None, tries)
    if isinstance(result, LeadError):
        raise result
    round_trip_s = asyncio.get_running_loop().time() - tries.tried_at
    return KeyCheck(has_leads=result, round_trip_s=round_trip_s)
