"""The case ``loader`` at a tiny size. Its figures mean nothing here."""

import pytest

from benchmarks.cases import loader
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
