"""``Requester``: one request, repeated until it is answered or given up.

``sending`` makes the attempts, ``retries`` says what follows, and ``_pace`` when it may be sent.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from math import inf
from typing import Generic, TypeVar

from instantly_async._api import Endpoint
from instantly_async._pace import may_be_outage
from instantly_async._recorder import Recorder
from instantly_async.errors import LeadError

from .canary import Probe
from .facts import facts_of
from .retries import Retry, Tries, next_step
from .sending import Sender
from .workspace import Workspace

Q = TypeVar("Q")
R = TypeVar("R")

Absence = Callable[[], AbstractAsyncContextManager[None]]
"""Entered while a query waits for its next attempt: others may work meanwhile."""

MAX_RESTARTS = 10
"""How often the attempts of one id may start over because of outages (*choice*)."""

_log = logging.getLogger(__name__)


class Requester(Generic[Q, R]):
    """Makes requests to one endpoint.

    ``probe`` asks whether the endpoint is alive. ``patient``: wait for an outage to end, as a
    stream does; otherwise fail. ``pays``: retries take tokens of the budget.
    """

    def __init__(
        self,
        endpoint: Endpoint[Q, R],
        workspace: Workspace,
        recorder: Recorder,
        probe: Probe,
        *,
        patient: bool,
        pays: bool = True,
    ) -> None:
        self._pace = workspace.pace(endpoint, probe, patient=patient, pays=pays)
        self._sender = Sender(endpoint, workspace, recorder, self._pace)
        self._max_elapsed_s = endpoint.max_elapsed_s
        self._describe = endpoint.describe
        self._method = endpoint.method
        self._recorder = recorder
        self._retry = workspace.retry
        self._rng = workspace.rng
        self._patient = patient

    async def request(
        self, query: Q, tries: Tries, absence: Absence = nullcontext
    ) -> R | LeadError:
        """Send the request until it is answered or given up; ``tries`` counts.

        Errors that concern this query are returned, without tracebacks.

        Raises:
            RunError: the whole run has to stop.
        """
        while True:
            result = await self._sender.attempt(query, tries)
            if not isinstance(result, LeadError):
                return result
            tries.count(result)
            step = next_step(
                result, tries, self._retry, max_elapsed_s=self._max_elapsed_s, draw=self._rng()
            )
            if step is None and await self._is_outage(result, tries):
                tries.start_over()
                step = Retry(0.0, is_free=False)
            if step is None:
                return result
            _log.debug(
                "%s: %s; retry in %.2f s",
                self._describe(query),
                result,
                step.wait_s,
                extra=facts_of(result, method=self._method, wait_s=step.wait_s),
            )
            if not await self._wait(step, tries, absence):
                return result
            self._recorder.retries += 1

    async def _is_outage(self, error: LeadError, tries: Tries) -> bool:
        """Whether the reason of the last failure is an outage, and not this id."""
        if not (self._patient and may_be_outage(error)) or tries.restarts >= MAX_RESTARTS:
            return False
        return not await self.is_alive(tries.tried_at)

    async def is_alive(self, since: float) -> bool:
        """Whether the endpoint has answered since then, or answers a probe."""
        return await self._pace.is_alive(since)

    async def is_up(self) -> bool:
        """Whether the breaker is closed, or closes because a probe is due, and succeeds."""
        if self._pace.breaker.is_open:
            await self.is_alive(inf)
        return not self._pace.breaker.is_open

    async def until_up(self) -> None:
        """Wait until the breaker is closed.

        Raises:
            ServiceUnavailableError: this took too long.
        """
        await self._pace.until_up(patient=True)

    async def _wait(self, step: Retry, tries: Tries, absence: Absence) -> bool:
        """Wait before the next attempt; return ``False`` if there is no token for it."""
        self._recorder.waiting += 1
        try:
            async with absence():
                if step.wait_s:
                    await asyncio.sleep(step.wait_s)
                    tries.spent_s += 0.0 if step.is_free else step.wait_s
                is_paid = step.is_free or await self._pace.pay()
                if self._patient:
                    await self.until_up()  # without a place, which others may use
                return is_paid
        finally:
            self._recorder.waiting -= 1
