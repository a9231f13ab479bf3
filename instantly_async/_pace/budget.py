"""The retry budget: bounds all transient retries of a client together."""

import asyncio
import contextlib

from instantly_async.settings import RetryPolicy


class RetryBudget:
    """Tokens that ids and time add, and transient retries take.

    So at most ``(1 + refill) · N + capacity + refill_per_s · t`` transient attempts are sent for N
    ids in t seconds, and whoever waits for a token gets one.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._capacity = policy.budget_capacity
        self._refill = policy.budget_refill
        self._refill_per_s = policy.budget_refill_per_s
        self._level = self._capacity
        self._counted_at = 0.0
        self._turn = asyncio.Lock()
        self._filled = asyncio.Event()

    def deposit(self, ids: int = 1) -> None:
        """Add the share of so many ids, before their first attempts."""
        self._level = min(self._capacity, self._level + ids * self._refill)
        if self._level >= 1:
            self._filled.set()

    def level(self) -> float:
        """Return how many tokens there are now."""
        now = asyncio.get_running_loop().time()
        earned = (now - self._counted_at) * self._refill_per_s
        self._level = min(self._capacity, self._level + earned)
        self._counted_at = now
        return self._level

    def try_withdraw(self) -> bool:
        """Take a token for one retry, if there is one and nobody waits; return whether it did."""
        return not self._turn.locked() and self._take()

    async def withdraw(self) -> None:
        """Wait for a token, first come, first served, and take it."""
        async with self._turn:
            while not self._take():
                self._filled.clear()
                missing_s = (1 - self._level) / self._refill_per_s
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(missing_s):
                        await self._filled.wait()

    def _take(self) -> bool:
        # A refill of 0.2 is not exact in binary: five of them add up to a little less than 1.
        if self.level() < 1 - 1e-9:
            return False
        self._level -= 1
        return True
