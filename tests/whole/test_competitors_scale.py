"""The case ``scale`` at a tiny size. Its figures mean nothing here."""

import pytest

from benchmarks.cases import scale

pytestmark = [pytest.mark.bench, pytest.mark.soak]


def test_who_takes_too_long_says_how_far_it_came() -> None:
    """Its larger sizes are left out. Only ours by list has the largest size."""
    time, memory = scale.tables(
        sizes=[20_000, 30_000], largest=40_000, time_limit_s=1.0, names=["hand", "list"]
    )
    assert time.column("client") == ["aiohttp, gather", "ours, by list"]
    by_hand, ours = time.rows
    assert str(by_hand[1]).startswith("1 s, ")
    assert str(by_hand[1]).endswith(" of 20,000")
    assert by_hand[2:] == [None, None]
    assert all(isinstance(seconds, float) for seconds in ours[1:])
    assert isinstance(memory.rows[0][1], float)
    assert [table.charts[0].column for table in (time, memory)] == ["20,000 ids", "30,000 ids"]
