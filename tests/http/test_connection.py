"""The calls of aiohttp that its documentation does not describe still do what they are used for.

If one of these tests fails after an update, aiohttp has changed that call: see
``instantly_async/_http/connection.py``, the only file that uses them.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from wire import CLOSE, READ, Step, answer, scripted

from instantly_async._http.connection import Connection, Connector
from instantly_async._http.credentials import SecretBytes

CHANGED = f"aiohttp {version('aiohttp')} has changed {{}}; adapt _http/connection.py to it."
REQUEST = SecretBytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_the_signatures_are_as_expected() -> None:
    connect = parameters(aiohttp.TCPConnector.connect)
    assert connect == ["self", "req", "traces", "timeout"], CHANGED.format("TCPConnector.connect")
    target = parameters(aiohttp.ClientRequest)
    needed = {"method", "url", "loop", "ssl", "proxy", "proxy_headers", "server_hostname"}
    assert needed <= {*target}, CHANGED.format("ClientRequest")
    params = parameters(ResponseHandler.set_response_params)
    used = {"read_until_eof", "auto_decompress", "max_line_size", "max_field_size", "max_headers"}
    assert used <= {*params}, CHANGED.format("ResponseHandler.set_response_params")
    source = inspect.getsource(ResponseHandler)
    assert "self._parser is None" in source, CHANGED.format("ResponseHandler._parser")
    assert parameters(ResponseHandler.read) == ["self"], CHANGED.format("ResponseHandler.read")
    for name in ("should_close", "transport", "closed", "exception"):
        assert hasattr(ResponseHandler, name), CHANGED.format(f"ResponseHandler.{name}")


@asynccontextmanager
async def connected(*steps: Step | bytes | float) -> AsyncIterator[Connection]:
    async with scripted([steps]) as wire:
        connector = Connector(wire.url, proxy=None, ssl_context=None)
        async with asyncio.timeout(5):
            connection = await connector.open()
            yield connection
        connection.close()
        await connector.aclose()
        await asyncio.sleep(0)


async def test_one_connection_carries_several_answers() -> None:
    body = answer(b"abc", "200 OK", "X-Header: value")
    async with connected(READ, body, READ, body) as connection:
        for _ in range(2):
            message, content = await connection.exchange(REQUEST)
            assert (message.code, message.headers["x-header"]) == (200, "value")
            assert await content.readany() == b"abc"
            connection.rest()
            assert connection.is_usable


async def test_interim_answers_are_skipped() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n"
    async with connected(READ, interim, answer(b"x")) as connection:
        message, _ = await connection.exchange(REQUEST)
        assert message.code == 200


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(answer(b"x", "200 OK", "Connection: close"), id="Connection: close"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", id="101"),
        pytest.param(answer(b"x") + answer(b"y"), id="two answers"),
    ],
)
async def test_after_some_answers_a_connection_is_of_no_use(last: bytes) -> None:
    async with connected(READ, last, READ) as connection:
        message, content = await connection.exchange(REQUEST)
        if message.code == 200:
            assert await content.readany() == b"x"
        while connection.is_usable:  # until the rest has arrived
            await asyncio.sleep(0.01)
        assert not connection.is_usable


@pytest.mark.parametrize("unasked", [answer(b"", "408 Request Timeout"), b"HTTP", b"\x00"])
async def test_a_connection_on_which_anything_has_arrived_is_of_no_use(unasked: bytes) -> None:
    """Also before its first request."""
    async with asyncio.timeout(5):
        async with connected(unasked, READ) as connection:
            while connection.is_usable:
                await asyncio.sleep(0.01)
            assert connection.is_alive
        async with connected(READ, answer(b"x"), 0.05, unasked, READ) as connection:
            _, content = await connection.exchange(REQUEST)
            await content.readany()
            connection.rest()
            assert connection.is_usable
            while connection.is_usable:
                await asyncio.sleep(0.01)


async def test_a_connection_that_the_server_has_closed_is_dead() -> None:
    async with asyncio.timeout(5), connected(CLOSE) as connection:
        while connection.is_alive:
            await asyncio.sleep(0.01)
        assert not connection.is_usable
