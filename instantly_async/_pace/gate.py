"""The gate before an attempt: here attempts wait for the circuit breaker and the retry budget.

Theory of operation. Nearly always the gate is clear and nobody waits. Otherwise attempts queue
in order of arrival, and one timer wakes the queue. While the breaker is open only probes pass:
from the head of the queue, single ids before pages. A failed probe goes to the back of the queue,
so each probe tries a different id. While it is closed, first attempts pass at once and retries as
the budget allows. If every id at work waits for the budget, nothing can refill it, so the head is
sent as a probe. Probes are free of the budget and do not count as attempts of their id.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum

from instantly_async.errors import ServiceUnavailableError
from instantly_async.settings import RetryPolicy

from .breaker import CircuitBreaker
from .budget import RetryBudget

_log = logging.getLogger(__name__)


class AttemptKind(Enum):
    """What an attempt means to the retry budget."""

    FIRST = "first"  # adds to it
    RETRY = "retry"  # takes a token from it
    REPEAT = "repeat"  # neither: a 429 is not a failure


class SuspectError(Exception):
    """Raised in a waiting task: this id is bad, the service is fine."""


class _Waiter:
    __slots__ = ("divisible", "is_suspect", "kind", "patient", "turn")

    def __init__(
        self, kind: AttemptKind, *, patient: bool, is_suspect: bool, divisible: bool
    ) -> None:
        self.kind = kind
        self.divisible = divisible
        self.is_suspect = is_suspect
        self.patient = patient
        self.turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class Gate:
    """Admits attempts; one per client."""

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
        return f"<Gate breaker={state} waiting={len(self._queue)} at_work={self._at_work}>"

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def enter(self) -> None:
        """Count a query as being worked on, before its first attempt."""
        self._at_work += 1

    def leave(self) -> None:
        """Stop counting it: it was settled or cancelled."""
        self._at_work -= 1
        self._rest()
        if self._queue:
            self._pump()

    def begin_unit(self) -> None:
        """Count a chunk as active: its queries come one by one, and at times none is in flight."""
        self._units += 1

    def end_unit(self) -> None:
        """Stop counting it."""
        self._units -= 1
        self._rest()

    def _rest(self) -> None:
        if not (self._at_work or self._units) and self.breaker.is_open:
            self.breaker.give_up()  # its patience restarts with the next query

    @property
    def is_clear(self) -> bool:
        """Whether a first attempt need not wait; then only ``budget.deposit()`` is needed."""
        return not self.breaker.is_open and not self._queue

    async def admit(
        self, kind: AttemptKind, *, patient: bool, is_suspect: bool = False, divisible: bool = False
    ) -> bool:
        """Wait until an attempt may be sent; return ``True`` if it is a probe.

        ``patient``: wait for an open breaker; otherwise that is an error, unless a probe is due.
        ``is_suspect``: the id has failed as a probe before. ``divisible``: the query is a page of
        ids, which makes a poor probe.

        Raises:
            SuspectError: the id is bad, see ``fail_suspects``.
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
        """Note that a probe was cancelled, which says nothing about the service."""
        self.breaker.probing = False
        self._pump()

    def on_success(self, sent_at: float, *, probe: bool) -> None:
        """Note an answer, even a 404, which shows that the service was alive at ``sent_at``."""
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
        """Note a transient failure. ``what`` happened is quoted if the breaker gives up."""
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
        """Note an answer that does not show whether the service is alive."""
        if probe:
            self.breaker.end_probe(now)
        if self._queue:
            self._pump()

    def fail_suspects(self, enough: int) -> bool:
        """If the ids are bad and the service works, fail all that wait; return whether it is so.

        Bad ids at the end of the input look like an outage, because no other id is left to
        probe with. The ids are bad if the service has answered before, all that wait have failed
        as probes, and ``enough`` probes in a row have failed (five take half a minute).
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
        """Open the breaker at once: nothing has succeeded since an id's first attempt."""
        self.breaker.open(now)

    def _pump(self) -> None:
        """Release the attempts that may go, and set the timer for the others."""
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
        # Their tasks have not run yet, but they must neither take a turn nor block one.
        if any(waiter.turn.done() for waiter in self._queue):
            self._queue = deque(waiter for waiter in self._queue if not waiter.turn.done())

    def _release_affordable(self) -> None:
        for waiter in list(self._queue):
            if waiter.kind is AttemptKind.FIRST:
                self.budget.deposit()
            elif waiter.kind is AttemptKind.RETRY and not self.budget.withdraw():
                continue
            self._release(waiter, probe=False)

    def _release_probe(self, now: float) -> None:
        if self._queue and self.breaker.probe_due(now):
            self.breaker.start_probe()
            # A single id is the cheaper probe, and perhaps only pages fail.
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
            "The API keeps failing, so no more requests are sent; "
            f"try again later. Last failure: {self._last_failure}."
        )
