"""How long an answer asks the client to wait (row 25 of the fault matrix)."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instantly_async._api.retry_after import parse_retry_after

NOW = 1_778_534_000.0
CAP_S = 120.0


def asked(value: str | None, date: str | None = None) -> float | None:
    headers = {} if value is None else {"Retry-After": value}
    if date is not None:
        headers["Date"] = date
    return parse_retry_after(headers, now=NOW, cap_s=CAP_S)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("2.5", 2.5),
        ("1e9", 1e9),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e999", None),
        ("1e300", 100 * 366 * 86400),  # no number of 300 digits in a message
        ("9" * 99, 100 * 366 * 86400),
        ("1_0", None),
        ("\u0663", None),
        ("3s", 3.0),
        ("3 sec", 3.0),
        ("3 Seconds", 3.0),
        ("3 m", None),
        ("3 ms", None),
        ("3, 3", 3.0),
        ("3,3,3", 3.0),
        ("3,", None),
        ("-1", None),
        ("-0.001", None),
        ("soon", None),
        ("", None),
        ("3, 5", None),
        ("0" * 100 + "3", None),
        (" " * 100 + "Sun, 06 Nov 1994 08:49:47 GMT", None),
        ("Mon, 99 Foo 2026 99:99:99 GMT", None),
        ("Mon, 11 May 99999999999 21:12:31 GMT", None),
    ],
)
@pytest.mark.parametrize("date", [None, formatdate(NOW, usegmt=True), "garbage"])
def test_seconds_are_taken_as_they_are_and_nonsense_is_ignored(
    value: str | None, seconds: float | None, date: str | None
) -> None:
    """Whether a wait is too long is decided elsewhere."""
    assert asked(value, date) == seconds


def test_a_date_counts_from_the_answer_s_own_date() -> None:
    """So a wrong wall clock on this side has no effect (row 29)."""
    there = NOW + 3600  # our clock is an hour slow
    assert asked(formatdate(there + 40, usegmt=True), formatdate(there, usegmt=True)) == 40
    assert asked(formatdate(there + 999, usegmt=True), formatdate(there, usegmt=True)) == 999
    assert asked(formatdate(there - 1, usegmt=True), formatdate(there, usegmt=True)) is None


@pytest.mark.parametrize("date", [None, "garbage"])
def test_a_date_alone_counts_from_the_wall_clock_and_is_clamped(date: str | None) -> None:
    assert asked(formatdate(NOW + 40, usegmt=True), date) == 40
    assert asked(formatdate(NOW + 3600, usegmt=True), date) == CAP_S
    assert asked(formatdate(NOW - 5, usegmt=True), date) is None


@pytest.mark.parametrize("unit", [1, 1000])
def test_a_unix_time_is_a_date(unit: int) -> None:
    """A wait of 56 years is never meant."""
    date = formatdate(NOW + 3600, usegmt=True)  # our clock is an hour slow
    assert asked(f"{(NOW + 3640) * unit:.0f}", date) == 40
    assert asked(f"{(NOW + 3640.5) * unit}", date) == 40.5
    assert asked(f"{(NOW + 3600 + 999) * unit:.0f}", date) == 999
    assert asked(f"{(NOW + 3599) * unit:.0f}", date) is None
    assert asked(f"{(NOW + 40) * unit:.0f}") == 40
    assert asked(f"{(NOW + 3600) * unit:.0f}") == CAP_S
    assert asked(f"{(NOW - 5) * unit:.0f}") is None


def test_other_spellings_of_a_date_are_dates() -> None:
    at = datetime.fromtimestamp(NOW + 40, UTC)
    for text in (f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at:%Y-%m-%d %H:%M:%S+00}"):
        assert asked(text) == 40
        assert asked(text, f"{at:%Y-%m-%dT%H:%M:00Z}") == at.second


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XXX-09:00")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
def test_every_form_of_an_http_date_is_in_gmt() -> None:
    """RFC 9110, 5.6.7: the asctime form names no zone, and is not in ours."""
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    assert asked("Sun, 06 Nov 1994 08:49:47 GMT", date) == 10
    assert asked("Sunday, 06-Nov-94 08:49:47 GMT", date) == 10
    assert asked("Sun Nov  6 08:49:47 1994", date) == 10
    assert asked("Sun, 06 Nov 1994 08:49:47 -0000", date) == 10


@given(st.text() | st.floats().map(str), st.none() | st.text(), st.floats(0, 4e9))
def test_retry_after_is_a_finite_wait_or_nothing(text: str, date: str | None, now: float) -> None:
    headers = {"Retry-After": text} | ({} if date is None else {"Date": date})
    seconds = parse_retry_after(headers, now=now, cap_s=CAP_S)
    assert seconds is None or 0 <= seconds < float("inf")
