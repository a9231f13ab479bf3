"""The case ``scale`` at a tiny size. Its figures mean nothing here."""

import pytest

from benchmarks.cases import scale

pytestmark = [pytest.mark.bench, pytest.mark.soak]


def test_who_takes_too_long_says_how_far_it_came() -> None:
    """Its larger sizes are left out. Only ours by list has the largest size."""
    time, memory = scale.tables(
        sizes=[6_000, 7_000], largest=8_000, time_limit_s=0.5, names=["hand", "list"]
    )
    assert time.column("client") == ["aiohttp, gather", "ours, by list"]
    by_hand, ours = time.rows
    assert str(by_hand[1]).startswith(("0 s, ", "1 s, "))
    assert str(by_hand[1]).endswith(" of 6,000")
    assert by_hand[2:] == [None, None]
    assert all(isinstance(seconds, float) for seconds in ours[1:])
    assert isinstance(memory.rows[0][1], float)
    assert [table.charts[0].column for table in (time, memory)] == ["6,000 ids", "7,000 ids"]
