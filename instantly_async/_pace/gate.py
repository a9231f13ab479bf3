"""The queue before an attempt: an open breaker and an empty retry budget are waited out here.

Theory of operation. Nearly always the gate is clear and nobody waits. Otherwise waiters
queue in order of arrival and one timer wakes the queue. An open breaker releases only
probes, from the head of the queue but single ids before pages; whoever fails as a probe
queues again at its end, so that each probe is another id. Closed, first attempts pass at once
and retries as the budget allows; if all that are at work wait for the budget, nothing can
refill it, so the head goes out as a probe. Probes are free of the budget and of the id's count.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum

from instantly_async.errors import ServiceUnavailableError
from instantly_async.settings import RetryPolicy

from .backoff import CircuitBreaker, RetryBudget

_log = logging.getLogger(__name__)


class Kind(Enum):
    """What an attempt means to the retry budget."""

    FIRST = "first"  # refills it
    RETRY = "retry"  # is paid from it
    REPEAT = "repeat"  # neither: a 429 is no failure


class SuspectError(Exception):
    """Says to a waiting id that it is to blame, and not the service."""


class _Waiter:
    __slots__ = ("divisible", "is_suspect", "kind", "patient", "turn")

    def __init__(self, kind: Kind, *, patient: bool, is_suspect: bool, divisible: bool) -> None:
        self.kind = kind
        self.divisible = divisible
        self.is_suspect = is_suspect
        self.patient = patient
        self.turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class Admission:
    """Admits attempts; one per client. ``admit`` says whether the attempt is a probe."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.breaker = CircuitBreaker(policy)
        self.budget = RetryBudget(policy)
        self.last_success_sent_at = float("-inf")
        self._queue: deque[_Waiter] = deque()
        self._at_work = 0
        self._units = 0
        self._timer: asyncio.TimerHandle | None = None
        self._last_failure = ""

    def __repr__(self) -> str:
        state = "open" if self.breaker.is_open else "closed"
        return f"<Admission breaker={state} waiting={len(self._queue)} at_work={self._at_work}>"

    @property
    def waiting(self) -> int:
        """Ids that wait for the breaker or the budget."""
        return len(self._queue)

    def enter(self) -> None:
        """Count an id as being worked on, before its first attempt."""
        self._at_work += 1

    def leave(self) -> None:
        """Count it no longer: it has its outcome, or was cancelled."""
        self._at_work -= 1
        self._rest()
        if self._queue:
            self._pump()

    def begin_unit(self) -> None:
        """Note that ids will come one after another, or that there are breaks between them."""
        self._units += 1

    def end_unit(self) -> None:
        """Note that no more of them will come."""
        self._units -= 1
        self._rest()

    def _rest(self) -> None:
        if not (self._at_work or self._units) and self.breaker.is_open:
            self.breaker.give_up()  # its patience starts anew with whoever comes next

    @property
    def is_clear(self) -> bool:
        """Whether a first attempt need not wait: then ``budget.deposit()`` is all to do."""
        return not self.breaker.is_open and not self._queue

    async def admit(
        self, kind: Kind, *, patient: bool, is_suspect: bool = False, divisible: bool = False
    ) -> bool:
        """Wait until an attempt may be made; ``True`` when it is a probe.

        ``patient``: wait for an open breaker. Otherwise it is an error unless a probe is due.
        ``is_suspect``: the id has failed as a probe before. ``divisible``: it is a page of ids,
        which makes a poor probe.

        Raises:
            SuspectError: the id is to blame, see ``blames_suspects``.
            ServiceUnavailableError: the breaker gave up, or is open and ``patient`` is false.
        """
        self.breaker.resume_waiting(asyncio.get_running_loop().time())
        waiter = _Waiter(kind, patient=patient, is_suspect=is_suspect, divisible=divisible)
        self._queue.append(waiter)
        self._pump()
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise

    def _withdraw(self, waiter: _Waiter) -> None:
        if waiter in self._queue:
            self._queue.remove(waiter)
            self._pump()
        elif not waiter.turn.cancelled() and not waiter.turn.exception() and waiter.turn.result():
            self.abandon_probe()

    def abandon_probe(self) -> None:
        """Note that a probe was cancelled: it says nothing about the service."""
        self.breaker.probing = False
        self._pump()

    def on_success(self, sent_at: float, *, probe: bool) -> None:
        """Note an answer that shows the service was alive at ``sent_at``, be it a 404."""
        self.last_success_sent_at = max(sent_at, self.last_success_sent_at)
        if self.breaker.is_calm and not self._queue:
            return
        if probe:
            self.breaker.probing = False
        if self.breaker.is_open:
            _log.warning("The circuit breaker closes: the API answers again")
        self.breaker.on_success()
        if self._queue:
            self._pump()

    def on_failure(self, what: str, now: float, *, probe: bool) -> None:
        """Note a transient failure; ``what`` happened is for the error that may come of it."""
        self._last_failure = what
        if probe:
            self.breaker.end_probe(now)
        was_open = self.breaker.is_open
        self.breaker.on_failure(now)
        if self.breaker.is_open and not was_open:
            _log.warning("The circuit breaker opens: %s", what)
        if self._queue:
            self._pump()

    def on_no_verdict(self, now: float, *, probe: bool) -> None:
        """Note an answer that speaks neither for nor against the service."""
        if probe:
            self.breaker.end_probe(now)
        if self._queue:
            self._pump()

    def blames_suspects(self, enough: int) -> bool:
        """Whether the ids that fail are to blame, and not the service; then tell those waiting.

        Bad ids at the end of the input look like an outage, as no others are left to take a
        probe. If all that wait have failed as probes, ``enough`` probes in a row have failed
        (five: half a minute) and the service has answered before, it is them.
        """
        if (
            self.last_success_sent_at == float("-inf")
            or self.breaker.failed_probes < enough
            or not all(waiter.is_suspect for waiter in self._queue)
        ):
            return False
        self._forget_cancelled()
        self._refuse(self._queue, SuspectError)
        return True

    def declare_outage(self, now: float) -> None:
        """Open the breaker at once: nothing at all has succeeded for as long as an id tried."""
        self.breaker.open(now)

    def _pump(self) -> None:
        """Release whoever may go, and set the timer for the others."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._forget_cancelled()
        now = asyncio.get_running_loop().time()
        if not self.breaker.is_open:
            self._release_affordable()
            if self._queue and len(self._queue) >= self._at_work:
                self._release_probe(now)
        elif now >= self.breaker.gives_up_at and not self.breaker.probing:
            self.breaker.give_up()
            self._refuse(self._queue, self._unavailable)
        else:
            self._release_probe(now)
            impatient = [waiter for waiter in self._queue if not waiter.patient]
            self._refuse(impatient, self._unavailable)
        self._set_timer(now)

    def _forget_cancelled(self) -> None:
        # Their tasks have not run since: they may neither take a turn nor hold one up.
        if any(waiter.turn.done() for waiter in self._queue):
            self._queue = deque(waiter for waiter in self._queue if not waiter.turn.done())

    def _release_affordable(self) -> None:
        for waiter in list(self._queue):
            if waiter.kind is Kind.FIRST:
                self.budget.deposit()
            elif waiter.kind is Kind.RETRY and not self.budget.withdraw():
                continue
            self._release(waiter, probe=False)

    def _release_probe(self, now: float) -> None:
        if self._queue and self.breaker.probe_due(now):
            self.breaker.start_probe()
            # A single id is the cheaper probe, and pages may be all that fails.
            singles = (waiter for waiter in self._queue if not waiter.divisible)
            self._release(next(singles, self._queue[0]), probe=True)

    def _release(self, waiter: _Waiter, *, probe: bool) -> None:
        self._queue.remove(waiter)
        waiter.turn.set_result(probe)

    def _refuse(self, waiters: Iterable[_Waiter], reason: Callable[[], Exception]) -> None:
        for waiter in list(waiters):
            self._queue.remove(waiter)
            waiter.turn.set_exception(reason())

    def _set_timer(self, now: float) -> None:
        if not self._queue or self.breaker.probing:
            return
        at = min(self.breaker.next_probe_at, self.breaker.gives_up_at)
        if at > now:
            self._timer = asyncio.get_running_loop().call_at(at, self._pump)

    def _unavailable(self) -> ServiceUnavailableError:
        return ServiceUnavailableError(
            "The API has been failing without a break, so nothing more is sent; "
            f"try again later. Last: {self._last_failure}."
        )
