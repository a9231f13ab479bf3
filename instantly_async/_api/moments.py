"""Moments in time, in spellings that are not RFC 3339 but leave no doubt. Knows no leads."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

_MAX_CHARS = 150  # JavaScript's longest is about 90, with the name of the zone

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _any_of(names: Iterable[str]) -> str:
    return "|".join(f"{name[:3]}(?:{name[3:]})?" for name in names)


_MONTH = rf"(?P<month>{_any_of(_MONTHS)})"
_WEEKDAY = rf"(?:(?P<weekday>{_any_of(_DAYS)}),?[ ])?"

_DATES = (
    r"(?P<year>\d{4})(?P<dash>[-/]?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)(?:[ ]*T[ ]*|[ ]+)",
    # RFC 2822 and HTTP (RFC 9110, 5.6.7).
    rf"{_WEEKDAY}(?P<day>\d\d?)[ -]{_MONTH}[ -](?P<year>\d{{4}}),?[ ]+",
    # JavaScript's Date.toString().
    rf"{_WEEKDAY}{_MONTH}[ ](?P<day>\d\d?),?[ ](?P<year>\d{{4}}),?[ ]+",
)
_TIME = (
    r"(?P<hour>\d\d)(?P<colon>:?)(?P<minute>\d\d)"
    r"(?:(?P=colon)(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
)
_OFFSET = r"(?P<sign>[+-])(?P<hours>\d\d)(?::?(?P<minutes>[0-5]\d)(?::?(?P<seconds>[0-5]\d))?)?"
_PLACE = r"(?:\[[^][]+\])?"  # RFC 9557, and Java; it adds nothing to an offset
_ERA = r"BCE?\b"  # PostgreSQL writes it after the offset
_NAME = rf"(?:[ ]?\([^()]+\)|[ ](?![AP]M|{_ERA})[A-Z]{{2,5}}|{_PLACE})"  # JavaScript, Go
_ZONE = rf"(?:[ ]*(?:(?:UTC|GMT)?{_OFFSET}{_NAME}|Z{_PLACE}|UTC?|GMT))?"
_FORMS = [re.compile(date + _TIME + _ZONE, re.ASCII | re.IGNORECASE) for date in _DATES]


def parse_moment(text: str) -> datetime | None:
    """Return the moment that a text names, in UTC; ``None``: it names none, or there is doubt.

    Accepts ISO 8601 in its extended and basic format, what PostgreSQL and common languages print,
    and the dates of emails and of HTTP. Without a zone it is UTC. Left out are dates without a
    time, days and months in an order that must be guessed, years of two digits, zones that are
    only named (other than UTC and GMT), and bare numbers: seconds or milliseconds?
    """
    if len(text) > _MAX_CHARS:
        return None
    text = text.strip()
    match = next(filter(None, (form.fullmatch(text) for form in _FORMS)), None)
    try:
        return None if match is None else _moment(match.groupdict())
    except (msgspec.ValidationError, OverflowError):  # no such day, or out of range in UTC
        return None


def _moment(part: dict[str, str]) -> datetime | None:
    hour, minute, second = part["hour"], part["minute"], part["second"] or "00"
    fraction = part["fraction"] or "0"
    later = timedelta()
    is_leap = second == "60"
    if is_leap:
        second, later = "59", timedelta(seconds=1)
    elif (hour, minute, second, int(fraction)) == ("24", "00", "00", 0):  # the end of a day
        hour, later = "00", timedelta(days=1)
    month = part["month"].lower()
    if not month.isdigit():
        month = f"{_place(month, _MONTHS) + 1:02}"
    # By the decoder of the usual spelling, which also rounds the fraction.
    day = f"{part['year']}-{month}-{part['day']:0>2}"
    moment = msgspec.convert(f"{day}T{hour}:{minute}:{second}.{fraction}Z", datetime)
    weekday = part.get("weekday")
    if weekday and _place(weekday.lower(), _DAYS) != moment.weekday():
        return None
    moment += later - _offset(part)
    # A leap second is the last one of a month in UTC.
    is_odd = is_leap and (moment.day, moment.hour, moment.minute, moment.second) != (1, 0, 0, 0)
    return None if is_odd else moment


def _place(short: str, names: Sequence[str]) -> int:
    return next(i for i, name in enumerate(names) if name.startswith(short))


def _offset(part: dict[str, str]) -> timedelta:
    if part["sign"] is None:
        return timedelta()
    units = {unit: int(part[unit] or 0) for unit in ("hours", "minutes", "seconds")}
    offset = timedelta(**units)
    if offset >= timedelta(days=1):
        raise OverflowError
    return -offset if part["sign"] == "-" else offset
