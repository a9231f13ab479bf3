"""The benchmarks at a tiny size, to check that they still run. Their figures mean nothing here."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from benchmarks.cases import (
    convert,
    journal,
    keepalive,
    listing,
    processes,
    sharing,
    soak,
    start,
    strategies,
)
from benchmarks.servers import fast_server
from benchmarks.tables import Spread, Table
from instantly_async.testing import lead_ids, make_lead

pytestmark = pytest.mark.soak


def least(table: Table, title: str) -> float:
    """Return the least figure of a column; ``None`` is none."""
    cells = table.column(title)
    return min(
        cell.median if isinstance(cell, Spread) else float(cell)
        for cell in cells
        if cell is not None and not isinstance(cell, str)
    )


def test_convert() -> None:
    """Every format is written, with every lead."""
    (table,) = convert.tables(count=50)
    assert table.column("output") == list(convert.OUTPUTS)
    assert least(table, "peak memory, MiB") > 10
    assert least(table, "size, MB") > 0


def test_journal() -> None:
    (table,) = journal.tables(rounds=2, writes=30, resumed=50)
    assert least(table, "figure") > 0


def test_keepalive(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client written by hand is in ``test_competitors.py``: it needs the group."""
    monkeypatch.setattr(keepalive, "SHARES", (1.0,))
    monkeypatch.setattr(keepalive, "by_hand", lambda seconds: None)
    table, _ = keepalive.tables(seconds=0.1)
    assert len(table.rows) == 4
    assert table.column("requests") == table.column("leads")
    assert least(table, "most connections") > 0


def test_strategies() -> None:
    """Each unknown id takes one more GET."""
    (table,) = strategies.tables(count=101, few=2)
    assert table.column("requests") == [2, 4, 2, 101]
    assert table.column("404s") == [0, 2, 0, 0]
    assert table.column("429s") == [0] * 4
    assert least(table, "leads/s") > 0


def test_listing() -> None:
    times, memory = listing.tables(rounds=1, workspace=450, emails=120, few=50, many=150)
    assert least(times, "time, s") > 0
    assert least(memory, "peak memory, MiB") > 10
    small, large = memory.column("peak memory, MiB")
    assert isinstance(small, float)
    assert isinstance(large, float)
    assert abs(large - small) < 50


def test_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes get about as much as one alone, without a 429."""
    monkeypatch.setattr(processes, "PROCESSES", 2)
    monkeypatch.setattr(processes, "KINDS", ("a shared limit",))
    sending, costs = processes.tables(seconds=1.5, count=30, rounds=1)
    assert sending.column("processes") == ["one alone", "2 with a shared limit"]
    assert least(sending, "leads/s in all") > 0
    assert least(costs, "CPU, µs") > 0


def test_sharing() -> None:
    (table,) = sharing.tables(seconds=1.2)
    assert least(table, "figure") > 0


def test_soak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "OUTAGE_S", 0.5)
    faults, loop = soak.tables(count=100)
    assert faults.column("found") == [100] * 3
    assert len(loop.rows) == 4


async def test_the_server_accepts_a_list_request_in_pieces() -> None:
    """It answers with exactly these leads, in the order of their ids."""
    ids = list(lead_ids(3))
    body = json.dumps({"ids": ids[::-1], "limit": 100}).encode()
    head = b"POST /api/v2/leads/list HTTP/1.1\r\nContent-Length: %d\r\nHost: a\r\n\r\n" % len(body)
    request = head + body
    with fast_server() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(server.url).port)
        for _ in range(2):  # over the same connection
            for first in range(0, len(request), 40):
                writer.write(request[first : first + 40])
                await writer.drain()
                await asyncio.sleep(0.001)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.split(b"Content-Length: ")[1])
            page = json.loads(await reader.readexactly(length))
            assert page == {"items": [make_lead(lead_id) for lead_id in ids]}
        writer.close()
        await writer.wait_closed()


def test_start() -> None:
    (table,) = start.tables(rounds=1)
    trips, added_ms = table.column("figure")
    assert isinstance(trips, float)
    assert trips >= 1
    assert isinstance(added_ms, Spread)
