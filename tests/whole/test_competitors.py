"""All competitors at a tiny size, each in a process of its own. The figures mean nothing here."""

from pathlib import Path

import pytest

from benchmarks import running
from benchmarks.cases import cost, faults, keepalive, limit, workspaces
from benchmarks.competitors import Task
from benchmarks.servers import RemoteFake, fake_process, fast_server
from benchmarks.tables import Chart, Column, Spread, Table
from instantly_async.testing import lead_ids

pytestmark = [pytest.mark.bench, pytest.mark.soak]


def task(fake: RemoteFake, name: str, **settings: object) -> Task:
    return Task(competitor=name, url=fake.url, key=fake.api_key, count=130, **settings)  # type: ignore[arg-type]  # of any field


def test_each_delivers_all() -> None:
    """The warm-up fails if a single field differs. ``cost`` runs the other competitors."""
    with fast_server() as server:
        for name in ("peer", "peer-best", "peer-list", "hand-both", "hand-list"):
            run = running.run(
                Task(competitor=name, url=server.url, key="a-key", count=130, warm_up=60)
            )
            assert (run.delivered, run.errors, run.finished) == (130, {}, True), name
            assert run.cpu_s > 0
            assert run.peak_mib > 10


@pytest.mark.parametrize("name", ["hand-semaphore", "peer", "get"])
def test_what_is_lost_is_counted(name: str) -> None:
    """An id that is unknown to the API is an error, and no lead."""
    with fake_process(latency_s=0.0, rate_limit=None, unknown=set(lead_ids(130))) as fake:
        run = running.run(task(fake, name))
    assert run.delivered == 0
    assert sum(run.errors.values()) == 130


def test_what_takes_too_long_is_stopped() -> None:
    """It keeps what was delivered until then."""
    with fake_process(latency_s=0.05, rate_limit=None) as fake:
        run = running.run(task(fake, "hand-semaphore", in_flight=1, time_limit_s=0.5))
    assert not run.finished
    assert 0 < run.delivered < 130


def test_cost() -> None:
    (table,) = cost.tables(rounds=1, count=10, warm_up=20, loops=["asyncio"])
    ratios = dict(zip(table.column("client"), table.column("× bare aiohttp"), strict=True))
    assert ratios["bare aiohttp, bytes"] == Spread(1, 1, 1)
    assert len(ratios) == 13


def test_a_chart(tmp_path: Path) -> None:
    """Its texts have the colour of the page, which depends on the reader's settings."""
    table = Table(
        "A title",
        [Column("client"), Column("time, s", 1)],
        [["other", 3.25], ["ours", Spread(1.5, 1, 2)], ["absent", None]],
    )
    from benchmarks.charts import draw  # noqa: PLC0415 - matplotlib is only in this group

    draw(table, Chart("time, s"), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert "prefers-color-scheme: dark" in text
    assert "currentColor" in text
    assert "#010203" not in text
    assert "3.2" in text
    assert "absent" not in text


def test_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where HAProxy is not installed, its table says so."""
    there = limit.tables(count=110, names=("hand", "get", "list"))
    for table in there:
        if table.rows:
            assert table.column("leads")[1:] == [110, 110]
            assert table.column("429s")[0] == table.column("lost")[0]
            assert table.column("requests")[::2] == [110, 2]
    monkeypatch.setattr(limit, "find_haproxy", lambda: None)
    (windows, stick_tables) = limit.tables(count=10, names=("list",))
    assert windows.rows
    assert stick_tables.rows == []
    assert "not installed" in stick_tables.notes[0]


def test_faults() -> None:
    """Whoever does not try again loses as many leads as there are faults."""
    names = ("hand-semaphore", "niquests-retries", "hand-retries", "get", "list")
    lost, requests, times = faults.tables(count=20, names=names, shares=(0.05,))
    assert lost.column("5% faults") == [1, 0, 0, 0, 0]
    assert requests.column("5% faults") == [20, 21, 21, 21, 1]
    assert len(times.rows) == len(names)


def test_keepalive_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses several connections, because its limiter starts with a burst."""
    monkeypatch.setattr(keepalive, "KEEPALIVES_S", (1.0,))
    table = keepalive.by_hand(seconds=0.2)
    assert table.column("leads") == [19]
    assert table.column("lost") == [0]
    assert table.column("most connections")[0] in range(2, 20)


def test_workspaces() -> None:
    """Each workspace has windows of its own, so 3 × 40 leads do not fill any."""
    entries = workspaces.ENTRIES[::2]
    (table,) = workspaces.tables(workspaces=3, count=40, entries=entries)
    assert table.column("leads") == [120, 120]
    assert table.column("429s") == [0, 0]
    assert table.column("most in a second")[0] == 40
