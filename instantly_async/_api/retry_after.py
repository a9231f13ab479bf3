"""``Retry-After``: how long an answer asks the client to wait (RFC 9110, 10.2.3)."""

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from .moments import parse_moment

_MAX_CHARS = 100  # the longest HTTP-date has 33 characters
_MAX_S = 100 * 366 * 86400.0  # who asks to wait for longer does not mean a number of seconds
_SECONDS = re.compile(
    r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?)(?: ?s(?:ec(?:ond)?s?)?)?", re.ASCII | re.IGNORECASE
)

_UNIX_TIMES = (1.4e9, 4.2e9)
"""From 2014 to 2103. As seconds to wait these would be 44 years and more."""


def parse_retry_after(headers: Mapping[str, str], *, now: float, cap_s: float) -> float | None:
    """Return the seconds that ``Retry-After`` asks for; ``None``: it is absent or invalid.

    The header is a number of seconds or an HTTP-date. Not by the RFC, but without doubt: a Unix
    time, also in milliseconds, another spelling of a date, a unit (``120 s``), and the same value
    twice. A date counts from the answer's own ``Date``; without one from ``now``, and then for at
    most ``cap_s``, because this machine's wall clock may be wrong. Whether the API sends the header
    with a lead's 429 is unknown.
    """
    text = _short(headers.get("Retry-After"))
    if text is None:
        return None
    number = _number(text)
    until = _unix_time(text) if number is None else _as_unix_time(number)
    if until is None:
        seconds = number
    else:
        seconds = _seconds_until(until, _short(headers.get("Date")), now=now, cap_s=cap_s)
    return min(seconds, _MAX_S) if seconds is not None and 0 <= seconds < math.inf else None


def _short(value: str | None) -> str | None:
    """Return a header; ``None``: it is absent, or too long to be a number or a date."""
    return value.strip() if value is not None and len(value) <= _MAX_CHARS else None


def _number(text: str) -> float | None:
    values = {value.strip() for value in text.split(",")}  # two headers are joined by a comma
    match = _SECONDS.fullmatch(values.pop()) if len(values) == 1 else None
    return None if match is None else float(match[1])


def _as_unix_time(number: float) -> float | None:
    """Return the Unix time that a number is; ``None``: it is a number of seconds to wait."""
    earliest, latest = _UNIX_TIMES
    for seconds in (number, number / 1000):
        if earliest <= seconds < latest:
            return seconds
    return None


def _seconds_until(until: float, date: str | None, *, now: float, cap_s: float) -> float:
    answered = math.nan if date is None else _unix_time(date)
    if math.isnan(answered) and until - now > cap_s:
        return cap_s
    return until - (now if math.isnan(answered) else answered)


def _unix_time(text: str) -> float:
    """Return the Unix time of a date; not a number: it is none."""
    try:
        moment = parse_moment(text) or parsedate_to_datetime(text)
        # An HTTP-date is always in GMT; the old asctime form does not say so.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return math.nan
