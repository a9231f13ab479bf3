"""The case ``loader`` at a tiny size. Its figures mean nothing here."""

from collections import Counter

import pytest

from benchmarks.cases import loader
from benchmarks.competitors import Run
from benchmarks.tables import Spread

pytestmark = [pytest.mark.bench, pytest.mark.soak]


def test_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """150 handlers need two requests, and all get their leads."""
    monkeypatch.setattr(loader, "FREE", ("loader",))
    monkeypatch.setattr(loader, "LIMITED", ("loader",))
    for table in loader.tables(rounds=1, count=150):
        (row,) = table.rows
        assert row[:4] == ["ours, loader", 150, 2, 0]
        half, most = row[4:]
        assert isinstance(half, Spread)
        assert isinstance(most, Spread)
        assert 50 <= half.median <= most.median


def test_who_gets_no_lead_waits_for_ever() -> None:
    """Those that lost nine of ten leads would look fast otherwise."""
    run = Run(
        delivered=2,
        errors={"ClientResponseError": 2},
        finished=True,
        seconds=0.2,
        cpu_s=0.0,
        server_s=0.0,
        peak_mib=1.0,
        waits=[0.1, 0.2],
    )
    storm = loader.Storm(run, Counter())
    assert (storm.wait_ms(25), storm.wait_ms(50), storm.wait_ms(75)) == (100, 200, None)
    assert loader.row("hand", [storm])[4:] == [Spread(200, 200, 200), None]
