"""CUBIC: the rate after a 429, as a pure function of time.

TCP (RFC 9438) and botocore's adaptive retries use the same curve. The rate falls at the 429, rises
fast while it is far below the rate that was too much, slowly near it, and fast again beyond it.
So one stray 429 costs little, and a workspace that stays busy is probed gently.
"""

from math import cbrt

CUT_FACTOR = 0.8
"""A 429 multiplies the rate by this (*choice*)."""

STEEPNESS = 0.02
"""How fast the curve rises, in requests/s per s³ (*choice*)."""

CUT_INTERVAL_S = 1.0
"""Shortest time between two changes of the rate, in seconds (*choice*)."""

CUT_PAUSE_S = 0.5
"""How long nothing is sent after a cut, in seconds (*choice*)."""

LOWEST_RATE = 1.0
"""The rate is never cut below this, in requests per second (*choice*)."""


def cubic_rate(rate_at_cut: float, since_s: float) -> float:
    """Return the rate ``since_s`` seconds after a cut, in requests per second.

    ``rate_at_cut`` is the rate that caused the 429. The curve starts at ``CUT_FACTOR`` times that,
    and passes through it after the time ``flat_at_s`` (10 s for 95/s).
    """
    flat_at_s = cbrt((1 - CUT_FACTOR) * rate_at_cut / STEEPNESS)
    return float(STEEPNESS * (max(0.0, since_s) - flat_at_s) ** 3 + rate_at_cut)
