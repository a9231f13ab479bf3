"""``FakeInstantly`` over real sockets: in a loop and in a thread, its log, its end."""

import asyncio
import gc
import http.client
import io
import re
import socket
import threading
from contextlib import AsyncExitStack

import aiohttp
import pytest

from instantly_async.testing import FakeInstantly, Fault, lead_ids, make_lead

IDS = list(lead_ids(20))


def session_for(fake: FakeInstantly) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        fake.url,
        headers={"Authorization": f"Bearer {fake.api_key}", "User-Agent": "tests/1"},
    )


def get(fake: FakeInstantly, lead_id: str, **headers: str) -> int:
    """Request a lead without asyncio; return the status."""
    address = fake.url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=5)
    known = {"Authorization": f"Bearer {fake.api_key}", "User-Agent": "tests/1"}
    try:
        connection.request("GET", f"/api/v2/leads/{lead_id}", headers=known | headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


async def test_both_endpoints_in_this_loop() -> None:
    async with FakeInstantly() as fake, session_for(fake) as session:
        async with session.get(f"/api/v2/leads/{IDS[0]}") as response:
            assert await response.json() == make_lead(IDS[0])
        body = {"ids": IDS, "limit": 100}
        async with session.post("/api/v2/leads/list", json=body) as response:
            items = (await response.json())["items"]
            assert [lead["id"] for lead in items] == IDS
        assert [(r.method, r.status) for r in fake.requests] == [("GET", 200), ("POST", 200)]
        assert fake.requests[1].ids == tuple(IDS)
        assert fake.counts == {200: 2}


def test_in_a_thread_of_its_own() -> None:
    before = threading.active_count()
    with FakeInstantly(unknown={IDS[1]}) as fake:
        assert threading.active_count() == before + 1
        fake.script(IDS[2], Fault.status(500))
        fake.script_list(Fault.status(500))
        fake.script_all(Fault.status(502))
        assert [get(fake, lead_id) for lead_id in (*IDS[:3], IDS[2])] == [502, 404, 500, 200]
        assert fake.worst_windows().per_minute == 4
        fake.reset()
        assert not fake.requests
    assert threading.active_count() == before


async def test_a_thread_serves_a_loop_too() -> None:
    with FakeInstantly() as fake:
        async with session_for(fake) as session, session.get(f"/api/v2/leads/{IDS[0]}") as response:
            assert response.status == 200


def test_settings_may_change_while_it_runs() -> None:
    with FakeInstantly(api_key="another-key") as fake:
        assert get(fake, IDS[0]) == 200
        fake.down = Fault.status(521)
        assert get(fake, IDS[0]) == 521
        fake.down, fake.paid_plan = False, False
        assert get(fake, IDS[0]) == 402
        fake.api_key = "changed"
        assert get(fake, IDS[0], Authorization="Bearer another-key") == 401


def test_it_can_be_entered_again_but_not_twice() -> None:
    fake = FakeInstantly()
    with fake:
        first = fake.url
        with pytest.raises(RuntimeError, match="already running"):
            fake.__enter__()
        assert get(fake, IDS[0]) == 200
    with pytest.raises(ConnectionRefusedError):
        get(fake, IDS[0])
    with fake:
        assert get(fake, IDS[0]) == 200
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", first)
    assert fake.counts == {200: 2}


async def test_it_runs_once_in_a_loop() -> None:
    async with FakeInstantly() as fake:
        with pytest.raises(RuntimeError, match="already running"):
            await fake.__aenter__()
    await fake.__aexit__(None, None, None)  # ending twice is harmless


def test_no_address_before_it_runs() -> None:
    with pytest.raises(RuntimeError, match="no address"):
        _ = FakeInstantly().url


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_ipv6() -> None:
    try:
        with FakeInstantly(host="::1") as fake:
            assert fake.url.startswith("http://[::1]:")
            assert get(fake, IDS[0]) == 200
    except OSError:
        pytest.skip("no IPv6 on loopback")


def test_a_taken_port_is_an_error_where_it_is_entered() -> None:
    with FakeInstantly() as fake:
        port = int(fake.url.rpartition(":")[2])
        other = FakeInstantly(port=port)
        with pytest.raises(OSError, match="in use"):
            other.__enter__()
        other.__exit__(None, None, None)
        assert get(fake, IDS[0]) == 200


def test_the_key_is_not_in_its_repr() -> None:
    with FakeInstantly(api_key="very-secret") as fake:
        get(fake, IDS[0])
        assert "very-secret" not in repr(fake)
        assert repr(fake).endswith("1 requests>")


def test_a_client_without_agent_is_blocked() -> None:
    """``http.client`` sends none when asked not to."""
    with FakeInstantly() as fake:
        assert get(fake, IDS[0], **{"User-Agent": ""}) == 403


def test_documented_limits_are_the_default() -> None:
    """The 101st request in the same second is one too many."""
    with FakeInstantly() as fake:
        assert fake.rate_limit == (100, 6000)
        fake.rate_limit = (2, 6000)
        assert [get(fake, lead_id) for lead_id in IDS[:3]] == [200, 200, 429]
        assert get(fake, IDS[0], **{"x-as-workspace": "other"}) == 200
        assert fake.requests[-1].workspace == "other"


async def test_a_body_beyond_1_mib_gets_413() -> None:
    async with FakeInstantly() as fake, session_for(fake) as session:
        body = io.BytesIO(b" " * (1024 * 1024 + 1))
        headers = {"Content-Type": "application/json"}
        async with session.post("/api/v2/leads/list", data=body, headers=headers) as response:
            assert response.status == 413
            assert (await response.json())["statusCode"] == 413


async def test_a_client_that_goes_away_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In the middle of its request, and while it waits for the answer."""
    async with FakeInstantly(latency_s=3600) as fake:
        host, port = fake.url.removeprefix("http://").split(":")
        for sent in (
            "POST /api/v2/leads/list HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
            f"GET /api/v2/leads/{IDS[0]} HTTP/1.1\r\nHost: x\r\nUser-Agent: a\r\n\r\n",
        ):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent.encode())
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.close()
            await writer.wait_closed()
        assert len(fake.requests) == 1
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.001)
    assert not caplog.records


@pytest.mark.parametrize("in_body", [False, True])
async def test_its_end_is_prompt_and_leaves_nothing_behind(*, in_body: bool) -> None:
    """With requests that hang, idle connections and clients that come back for more."""
    async with AsyncExitStack() as outer:
        async with FakeInstantly(rate_limit=None) as fake:
            session = await outer.enter_async_context(session_for(fake))
            gets = await hang(fake, session, in_body=in_body)
        results = await asyncio.wait_for(asyncio.gather(*gets, return_exceptions=True), 5)
        assert all(isinstance(result, aiohttp.ClientError) for result in results)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    gc.collect()  # an unclosed socket would warn now, and warnings are errors


async def test_it_ends_together_with_its_clients() -> None:
    """Connections that are being set up at that moment are closed too."""
    async with FakeInstantly(rate_limit=None) as fake, session_for(fake) as session:
        gets = await hang(fake, session, in_body=False)
    await asyncio.wait_for(asyncio.gather(*gets, return_exceptions=True), 5)
    while asyncio.all_tasks() != {asyncio.current_task()}:  # they have been cancelled
        await asyncio.sleep(0.001)
    gc.collect()


async def hang(
    fake: FakeInstantly, session: aiohttp.ClientSession, *, in_body: bool
) -> list[asyncio.Task[int]]:
    """Open ten idle connections and return ten requests that wait."""
    for lead_id in IDS[10:]:
        fake.script(lead_id, Fault.stall(3600, in_body=in_body))
    gets = [asyncio.create_task(fetch(session, lead_id)) for lead_id in IDS]
    await asyncio.gather(*gets[:10])
    while len(fake.requests) < len(IDS):
        await asyncio.sleep(0)
    return gets[10:]


async def fetch(session: aiohttp.ClientSession, lead_id: str) -> int:
    async with session.get(f"/api/v2/leads/{lead_id}") as response:
        await response.read()
        return response.status


def test_scripting_from_many_threads_loses_nothing() -> None:
    with FakeInstantly(rate_limit=None) as fake:

        def work(lead_id: str) -> None:
            for _ in range(10):
                fake.script(lead_id, Fault.status(500))
                assert get(fake, lead_id) == 500
                assert fake.counts.total() <= len(fake.requests)

        threads = [threading.Thread(target=work, args=(lead_id,)) for lead_id in IDS[:4]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert fake.counts == {500: 40}
