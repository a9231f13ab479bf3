"""``Retry-After``: how long an answer asks the client to wait (RFC 9110, 10.2.3)."""

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

_MAX_CHARS = 100  # the longest HTTP-date has 33 characters


def parse_retry_after(headers: Mapping[str, str], *, now: float, cap_s: float) -> float | None:
    """Return the seconds that ``Retry-After`` asks for; ``None``: it is absent or invalid.

    The header is a number of seconds or an HTTP-date. A date counts from the answer's own
    ``Date``; without one from ``now``, and then for at most ``cap_s``, because this machine's
    wall clock may be wrong. Whether the API sends the header with a lead's 429 is unknown.
    """
    text = _short(headers.get("Retry-After"))
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text, _short(headers.get("Date")), now=now, cap_s=cap_s)
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _short(value: str | None) -> str | None:
    """Return a header; ``None``: it is absent, or too long to be a number or a date."""
    return value if value is None or len(value) <= _MAX_CHARS else None


def _seconds_until(text: str, date: str | None, *, now: float, cap_s: float) -> float:
    until = _unix_time(text)
    answered = math.nan if date is None else _unix_time(date)
    if math.isnan(answered) and until - now > cap_s:
        return cap_s
    return until - (now if math.isnan(answered) else answered)


def _unix_time(text: str) -> float:
    try:
        moment = parsedate_to_datetime(text)
        # An HTTP-date is always in GMT; the old asctime form does not say so.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return math.nan
