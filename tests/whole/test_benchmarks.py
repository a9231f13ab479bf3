"""The benchmarks at a tiny size, to check that they still run. Their figures mean nothing here."""

import asyncio
import json
import sys
from urllib.parse import urlsplit

import pytest

from benchmarks import __main__ as command
from benchmarks.cases import (
    CASES,
    convert,
    journal,
    keepalive,
    listing,
    sharing,
    soak,
    start,
    strategies,
)
from benchmarks.servers import fast_server
from instantly_async.testing import lead_ids, make_lead

pytestmark = pytest.mark.soak


def test_convert() -> None:
    """Every format is written, with every lead."""
    costs = convert.main(count=50)
    assert [cost.result > 0 for cost in costs] == [True] * len(convert.OUTPUTS)


def test_journal() -> None:
    assert journal.measure_cost(30, rounds=2) > 0
    assert min(journal.measure_resume(50)) > 0


def test_keepalive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepalive, "SHARES", (1.0,))
    cases = keepalive.main(seconds=0.1)
    assert len(cases) == 4
    assert all(case.requests == case.leads and case.most_open > 0 for case in cases)


def test_limit() -> None:
    run = strategies.measure(20)
    assert run.rate > 0
    assert run.seconds > 0
    assert run.tally.counts == {200: 20}


def test_limit_by_list() -> None:
    assert strategies.measure(250, "list").tally.counts == {200: 3}


def test_limit_by_list_with_unknown_ids() -> None:
    """Each unknown id takes one more GET."""
    assert strategies.measure(250, "list", every_unknown=50).tally.counts == {200: 3, 404: 5}


def test_listing() -> None:
    ratio, seconds = listing.measure(workspace=450, emails=120, rounds=1)
    assert ratio > 0
    assert seconds > 0
    assert abs(listing.measure_memory(few=50, many=150)) < 50


def test_sharing() -> None:
    back_s, shares, leads = sharing.main(seconds=1.2)
    assert back_s > 0
    assert min(shares) > 0
    assert min(leads) > 0


def test_soak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "OUTAGE_S", 0.5)
    assert [result.stats.found for result in soak.main(count=100)] == [100] * 3


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
    assert asyncio.run(start.first_outcome()) >= 1
    assert start.import_seconds("import instantly_async") > 0


def test_the_list(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "list"])
    command.main()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(CASES)
