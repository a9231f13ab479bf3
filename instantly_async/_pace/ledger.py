"""``Ledger``: which moments a workspace's requests may be sent at. A pure function of time.

Theory of operation. Several processes reserve moments here, first come, first served. This is the
generic cell rate algorithm (GCRA): each reservation moves ``next_at`` on by the interval of the
rate, and a moment may lie ahead of ``next_at`` by the burst. So at most c + r·t requests are let
through in any t seconds, as by a bucket of capacity c. The rate after a 429 follows CUBIC by the
ledger's clock, so nobody has to write it down, and a change of the rate needs no drained bucket.

``redis/ledger.lua`` is the same for Redis; a test compares the two.
"""

from typing import NamedTuple

from instantly_async.settings import RateLimit

from .cubic import CUT_INTERVAL_S, CUT_PAUSE_S, LOWEST_RATE, cubic_rate

NEW_S = 0.25
"""Seconds before the first moment of a new ledger (*choice*): enough for 20 that a lost one has
promised."""


class Grant(NamedTuple):
    """The answer of a ledger.

    ``wait_s``: seconds until the reserved moment. ``pause_s``: seconds until the pause ends; if
    above 0, then nothing is reserved. ``rate``: requests per second of all processes.
    ``cuts``: how often a 429 has cut the rate.
    """

    wait_s: float
    pause_s: float
    rate: float
    cuts: int


class Ledger:
    """The reservations of one workspace. ``now``: seconds of the ledger's clock."""

    def __init__(self) -> None:
        self._next_at = 0.0
        self._paused_until = 0.0
        self._cut_at = 0.0
        self._rate_at_cut = 0.0  # 0: none yet
        self._rises_since = 0.0
        self._seen_at = 0.0
        self._cuts = 0

    def reserve(self, now: float, limit: RateLimit) -> Grant:
        """Reserve the next free moment, unless a pause is in effect."""
        state = self.look(now, limit)
        if state.pause_s:
            return state
        burst_s = (limit.capacity - 1) / limit.rate
        if self._next_at <= 0:  # a new ledger: one that was lost has promised moments to others
            self._next_at = now + burst_s + NEW_S
        at = max(now, self._next_at - burst_s)
        self._next_at = max(self._next_at, at) + 1 / state.rate
        return state._replace(wait_s=at - now)

    def look(self, now: float, limit: RateLimit) -> Grant:
        """Return what is known, without a reservation."""
        self._see(now)
        return Grant(0.0, max(0.0, self._paused_until - now), self._rate(now, limit), self._cuts)

    def pause(self, now: float, limit: RateLimit, seconds: float) -> Grant:
        """Let nothing through for ``seconds``; meanwhile the rate does not rise."""
        self._see(now)
        added_s = now + seconds - max(self._paused_until, now)
        if added_s > 0:
            self._rises_since += added_s
            self._paused_until = now + seconds
        return self.look(now, limit)

    def throttled(self, now: float, limit: RateLimit, sent_s: float) -> Grant:
        """Cut the rate, because of a 429 to a request that was sent ``sent_s`` seconds ago.

        Unless it was sent before the last cut, which has answered it.
        """
        self._see(now)
        if now - sent_s <= self._cut_at or now - self._cut_at < CUT_INTERVAL_S:
            return self.look(now, limit)
        self._rate_at_cut = self._rate(now, limit)
        self._cut_at = now
        self._cuts += 1
        self._rises_since = max(now, self._paused_until)
        return self.pause(now, limit, CUT_PAUSE_S)

    def _rate(self, now: float, limit: RateLimit) -> float:
        if not self._rate_at_cut:
            return limit.rate
        rate = cubic_rate(self._rate_at_cut, now - self._rises_since)
        return min(limit.rate, max(LOWEST_RATE, rate))

    def _see(self, now: float) -> None:
        """Move all moments with a clock that was set back, or its waits would last as long."""
        back_s = max(0.0, self._seen_at - now)
        if back_s:
            self._next_at -= back_s
            self._paused_until -= back_s
            self._cut_at -= back_s
            self._rises_since -= back_s
        self._seen_at = now
