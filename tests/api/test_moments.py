"""Spellings of a moment: each of them is the same moment, and what leaves a doubt is none."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instantly_async._api.moments import parse_moment

AT = datetime(2026, 5, 11, 21, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-11 21:12:30+00",  # PostgreSQL
        "2026-05-11T23:12:30+02",
        "2026-05-11T23:12:30+0200",
        "2026-05-11 16:12:30-05:00",
        "2026-05-11 21:12:30 +00:00",
        "2026-05-11 22:06:28+00:53:58",  # PostgreSQL, before there were zones
        "2026-05-11T21:12:30,000Z",
        "2026-05-11T21:12:30.0000000000Z",
        "20260511T211230Z",
        "20260511T231230+02",
        "20260511 211230",
        "\t2026-05-11T21:12:30Z \n",
        "2026-05-11t21:12:30z",
        "2026-05-11 21:12:30 UTC",  # Ruby
        "2026-05-11 21:12:30 gmt",
        "2026-05-11 23:12:30 +0200 CEST",  # Go
        "2026-05-11T23:12:30+02:00[Europe/Berlin]",  # Java
        "2026-05-11T21:12:30Z[UTC]",
        "2026/05/11 21:12:30",
        "2026-05-11  21:12:30",
        "Mon, 11 May 2026 21:12:30 GMT",  # HTTP
        "Mon, 11 May 2026 23:12:30 +0200",  # email
        "Mon, 11 May 2026 23:12:30 +0200 (CEST)",
        "11 May 2026 21:12:30 UT",
        "Monday, 11-May-2026 21:12:30 GMT",
        "Mon May 11 2026 23:12:30 GMT+0200 (Central European Summer Time)",  # JavaScript
        "May 11, 2026 21:12:30 UTC",
    ],
)
def test_a_spelling_without_doubt_is_the_moment(text: str) -> None:
    moment = parse_moment(text)
    assert moment == AT
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-11T21:12Z", AT.replace(second=0)),
        ("2026-05-11T24:00:00Z", datetime(2026, 5, 12, tzinfo=UTC)),
        ("2026-05-11T24:00+02", datetime(2026, 5, 11, 22, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2017-01-01T05:29:60.5+05:30", datetime(2017, 1, 1, 0, 0, 0, 500_000, UTC)),
        ("2026-05-11 21:12:30.1234567+00", AT.replace(microsecond=123_457)),
        ("2026-05-11 21:12:30.9999999+00", AT + timedelta(seconds=1)),
    ],
)
def test_some_spellings_are_less_or_more_exact(text: str, moment: datetime) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-05-11",  # at which time?
        "2026-05-11T21",
        "05/11/2026 21:12:30",  # which is the month?
        "11.05.2026 21:12:30",
        "26-05-11 21:12:30",  # which is the year?
        "11 May 26 21:12:30 GMT",
        "1778533950",  # seconds or milliseconds?
        "20260511211230",
        "2026-05-11T21:12:30 CEST",  # names of zones are not unique
        "2026-05-11T21:12:30 Europe/Berlin",
        "2026-05-11 09:12:30+00 PM",
        "2026-05-11 09:12:30 PM",
        "0044-03-15 12:00:00+00 BC",
        "0044-03-15 12:00:00 +0000 bce",
        "Tue, 11 May 2026 21:12:30 GMT",  # it was a Monday
        "Mon, 11 Mayor 2026 21:12:30 GMT",
        "2026-0511 21:12:30",
        "2026-05-11T21:1230Z",
        "2026-13-11T21:12:30+00",
        "2026-02-30T21:12:30+00",
        "2026-05-11T25:12:30+00",
        "2026-05-11T24:00:01Z",
        "2026-05-11T21:12:60Z",  # leap seconds are at midnight in UTC
        "2026-05-11T21:12:30+24",
        "2026-05-11T21:12:30+00:60",
        "2026-05-11T21:12:30ZZ",
        "0000-05-11T21:12:30+00",
        "0001-01-01T00:00:00+02",
        "9999-12-31T24:00:00Z",
        "\u0662026-05-11T21:12:30+00",
        "2026-05-11T21:12:30+00" + " " * 200,
    ],
)
def test_nothing_is_guessed(text: str) -> None:
    assert parse_moment(text) is None


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


SPELLINGS = [
    iso,
    lambda moment: f" {iso(moment)} ",
    lambda moment: iso(moment).replace("T", " "),
    lambda moment: iso(moment).replace("T", " ").replace(".", ","),
    lambda moment: f"{moment:%Y-%m-%d %H:%M:%S.%f000 %z}",
    lambda moment: f"{moment:%Y%m%dT%H%M%S.%f%z}",
    lambda moment: f"{moment:%Y/%m/%d %H:%M:%S.%f UTC%z}",
    lambda moment: f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f+00}",
    lambda moment: f"{moment.astimezone(UTC):%Y-%m-%dt%H:%M:%S.%fz}",
    lambda moment: f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}",
    lambda moment: f"{moment:%a %b %d %Y %H:%M:%S.%f GMT%z (Somewhere)}",
    lambda moment: f"{moment:%B %d, %Y %H:%M:%S.%f %z}",
]
moments = st.datetimes(
    datetime(1001, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone
    datetime(9998, 12, 31),  # noqa: DTZ001
    timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@given(moments, st.sampled_from(SPELLINGS))
def test_every_spelling_of_a_moment_is_that_moment(moment: datetime, spelling: object) -> None:
    assert callable(spelling)
    assert parse_moment(spelling(moment)) == moment


@given(moments)
def test_an_email_s_date_has_whole_seconds(moment: datetime) -> None:
    assert parse_moment(format_datetime(moment)) == moment.replace(microsecond=0)


@given(st.text(max_size=40) | st.text("0123456789-:T +Z.", max_size=30))
def test_any_text_is_a_moment_or_none(text: str) -> None:
    moment = parse_moment(text)
    assert moment is None or moment.tzinfo is UTC
