"""Whether the key works: one request for any one lead, by the same way as all others."""

from typing import Any

from instantly_async._api.endpoints import Endpoints
from instantly_async._pace.backoff import Tries
from instantly_async.errors import LeadError
from instantly_async.outcomes import KeyCheck
from instantly_async.stats import Recorder

from .attempts import Requester, Workspace


async def check_key(
    endpoints: Endpoints[Any], workspace: Workspace, recorder: Recorder
) -> KeyCheck:
    """Ask for one lead; fail rather than wait out an outage.

    Raises:
        RunError: the key may not read leads, or nothing can be fetched now.
        LeadError: there was no such answer.
    """
    requester = Requester(endpoints.check, workspace, recorder, patient=False)
    result = await requester.request(None, Tries(workspace.retry, workspace.rng))
    if isinstance(result, LeadError):
        raise result
    return result
