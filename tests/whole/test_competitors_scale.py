"""The case ``scale`` at a tiny size. Its figures mean nothing here."""

import re

import pytest

from benchmarks.cases import scale

pytestmark = [pytest.mark.bench, pytest.mark.soak]


def test_who_takes_too_long_says_how_far_it_came() -> None:
    """Its larger sizes are left out, and only ours by list has the largest one.

    The peer blocks its event loop, so no timeout of the loop could end it.
    """
    time, memory = scale.tables(
        sizes=[3_000, 4_000], largest=5_000, time_limit_s=1.0, names=["peer", "list"]
    )
    assert time.column("client") == ["instantlyai, gather", "ours, by list"]
    peer, ours = time.rows
    assert re.fullmatch(r"\d+ s, [\d,]+ of 3,000", str(peer[1]))
    assert peer[2:] == [None, None]
    assert all(isinstance(seconds, float) for seconds in ours[1:])
    assert isinstance(memory.rows[0][1], float)
    assert [table.charts[0].column for table in (time, memory)] == ["3,000 ids", "4,000 ids"]
