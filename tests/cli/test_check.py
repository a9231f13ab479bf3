"""The key check: ``InstantlyClient.check`` and ``instantly-async check``."""

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator

import msgspec
import pytest
from commands import MODULE, Command

from instantly_async import (
    AuthenticationError,
    ClosedError,
    DecodeError,
    InstantlyClient,
    KeyCheck,
    Lead,
    PermissionDeniedError,
    RetryPolicy,
    ServerError,
    Timeouts,
)
from instantly_async._api import Endpoints
from instantly_async.testing import DEFAULT_API_KEY, FakeInstantly, Fault, lead_ids

NO_PAGES = [b"<html>Sorry</html>", b"{}", b'{"items":null}', b"[]", b""]


@pytest.fixture
async def fake() -> AsyncIterator[FakeInstantly]:
    async with FakeInstantly(rate_limit=None) as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeInstantly) -> AsyncIterator[InstantlyClient[Lead]]:
    retry = RetryPolicy(backoff_base_s=0.001)
    async with InstantlyClient(
        DEFAULT_API_KEY, base_url=fake.url, workspace="ws-1", rate_limit=None, retry=retry
    ) as client:
        yield client
    await asyncio.sleep(0)


# --- the method --------------------------------------------------------------------------


async def test_one_small_request(fake: FakeInstantly, client: InstantlyClient[Lead]) -> None:
    """The request is for any one lead, in the client's workspace; it counts as a request."""
    found = await client.check()
    assert isinstance(found, KeyCheck)
    assert found.has_leads
    assert 0 < found.round_trip_s < 30
    (request,) = fake.requests
    assert (request.method, request.path) == ("POST", "/api/v2/leads/list")
    assert (request.ids, request.workspace) == ((), "ws-1")
    assert client.stats.requests == 1
    assert client.stats.requested == 0


def test_it_requests_one_lead_only() -> None:
    endpoint = Endpoints(Lead, Timeouts(), RetryPolicy()).check
    body = endpoint.body(None)
    assert body is not None
    assert msgspec.json.decode(body) == {"limit": 1}


def test_it_waits_no_longer_than_for_an_outage() -> None:
    endpoint = Endpoints(Lead, Timeouts(), RetryPolicy(breaker_patience_s=7)).check
    assert (endpoint.total_s, endpoint.max_elapsed_s) == (7, 7)


async def test_an_empty_workspace(fake: FakeInstantly, client: InstantlyClient[Lead]) -> None:
    fake.workspace_size = 0
    assert not (await client.check()).has_leads


async def test_a_lead_that_cannot_be_decoded_counts_as_a_lead(
    fake: FakeInstantly, client: InstantlyClient[Lead]
) -> None:
    fake.script_list(Fault.body(b'{"items":[{"id":7}]}'))
    assert (await client.check()).has_leads


async def test_a_key_that_does_not_work(fake: FakeInstantly, client: InstantlyClient[Lead]) -> None:
    fake.scopes = {"campaigns:read"}
    with pytest.raises(PermissionDeniedError, match="leads:read, leads:all, all:read, all:all"):
        await client.check()
    fake.api_key = "another"
    with pytest.raises(AuthenticationError):
        await client.check()
    assert len(fake.requests) == 2


async def test_temporary_failures(fake: FakeInstantly, client: InstantlyClient[Lead]) -> None:
    """Retried as usual: after a 500 and a 429 it succeeds; a lasting 503 is raised."""
    fake.script_list(Fault.status(500), Fault.throttle())
    assert (await client.check()).has_leads
    assert (client.stats.retries, client.stats.throttled) == (2, 1)
    fake.down = True
    with pytest.raises(ServerError, match=r"^HTTP 503$"):
        await client.check()


@pytest.mark.parametrize("body", NO_PAGES)
async def test_an_answer_that_is_not_a_page_raises(
    fake: FakeInstantly, client: InstantlyClient[Lead], body: bytes
) -> None:
    fake.down = Fault.body(body)
    with pytest.raises(DecodeError):
        await client.check()


async def test_a_closed_client(client: InstantlyClient[Lead]) -> None:
    await client.aclose()
    with pytest.raises(ClosedError):
        await client.check()


# --- the command -------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "has"), [(250, "has leads"), (0, "has no leads")])
def test_the_key_works(
    command: Command, fake_instantly: FakeInstantly, size: int, has: str
) -> None:
    """Prints one line, with the server and the time, and nothing of the lead."""
    fake_instantly.workspace_size = size
    code, out, err = command("check", "--workspace", "ws-1")
    assert (code, err) == (0, "")
    url = re.escape(fake_instantly.url)
    line = rf"The key works: {url} answered in \d+ ms, the workspace {has}\.\n"
    assert re.fullmatch(line, out.decode())
    assert [each.workspace for each in fake_instantly.requests] == ["ws-1"]
    assert next(lead_ids(1)) not in out.decode()


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        ({"api_key": "another"}, 4, "does not accept the key from INSTANTLY_API_KEY (401)"),
        ({"paid_plan": False}, 4, "no active paid plan (402)"),
        ({"scopes": ()}, 4, "scopes leads:read, leads:all, all:read, all:all"),
        ({"down": Fault.status(403, b"error code: 1010")}, 4, "The CDN in front of the API"),
        ({"down": True}, 5, "did not answer like the API: HTTP 503; try again later"),
        ({"down": Fault.body(NO_PAGES[0])}, 5, "The answer is an HTML page, not a page of leads"),
        ({"down": Fault.throttle(1000)}, 5, "The API asks to wait 1000 s"),
    ],
)
def test_the_key_does_not_work(
    command: Command,
    fake_instantly: FakeInstantly,
    settings: dict[str, object],
    code: int,
    message: str,
) -> None:
    """Prints one sentence, and exits with the code for the cause."""
    for name, value in settings.items():
        setattr(fake_instantly, name, value)
    result = command("check", "--log-level", "error")
    assert (result.code, result.out, result.err.count("\n")) == (code, b"", 1)
    assert message in result.err


def test_no_server(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """After ``--patience`` the failed connection is reported."""
    monkeypatch.setenv("INSTANTLY_BASE_URL", "http://127.0.0.1:9")
    result = command("check", "--patience", "0.1")
    assert (result.code, result.out, result.err.count("\n")) == (5, b"", 1)
    assert "Cannot reach http://127.0.0.1:9: no connection" in result.err


def test_a_server_that_never_answers(command: Command, fake_instantly: FakeInstantly) -> None:
    fake_instantly.down = Fault.stall(60)
    result = command("check", "--patience", "0.1")
    assert (result.code, result.err.count("\n")) == (5, 1)


def test_without_a_key_or_stdout(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    line = " ".join(["exec", *MODULE, "check", ">&-"])
    closed = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False)
    assert (closed.returncode, closed.stderr) == (
        2,
        b"stdout is closed; run the command with stdout open.\n",
    )
    reader, writer = os.pipe()
    os.close(reader)
    assert subprocess.run([*MODULE, "check"], stdout=writer, check=False).returncode == 0
    os.close(writer)
    monkeypatch.delenv("INSTANTLY_API_KEY")
    assert command("check").code == 2
