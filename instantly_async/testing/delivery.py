"""Writes an ``Answer`` to a client, whole or broken. Decides nothing.

aiohttp writes whole answers. Broken ones are written directly to the transport, which is then
closed, so that aiohttp notices a closed connection and writes nothing more.
"""

import asyncio
import os
import socket
import struct
from http import HTTPStatus

from aiohttp import web

from .answers import Answer, Delivery

# Windows has two shorts in its struct linger, other systems have two ints.
_LINGER_0_S = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


async def deliver(answer: Answer, request: web.BaseRequest) -> web.StreamResponse:
    """Send an answer after its delay; return what aiohttp still has to write."""
    if answer.delay_s:
        await asyncio.sleep(answer.delay_s)
    if answer.delivery is not Delivery.WHOLE and request.transport is not None:
        await _break(answer, request.transport)
    return web.Response(
        status=answer.status,
        body=answer.body,
        headers=[("Content-Type", answer.content_type), *answer.headers],
    )


async def _break(answer: Answer, transport: asyncio.Transport) -> None:
    half = len(answer.body) // 2
    match answer.delivery:
        case Delivery.RESET:
            _reset(transport)
        case Delivery.RAW:
            transport.write(answer.body)
        case Delivery.CUT | Delivery.CUT_RESET:
            transport.write(_head(answer, _length(answer, missing=1)) + answer.body[:half])
            if answer.delivery is Delivery.CUT_RESET:
                _reset(transport)
        case Delivery.CUT_CHUNKED:
            chunk = b"%x\r\n%b\r\n" % (half, answer.body[:half]) if half else b""
            transport.write(_head(answer, "Transfer-Encoding: chunked") + chunk)
        case Delivery.CUT_UNFRAMED:
            transport.write(_head(answer, "Connection: close") + answer.body[:half])
        case Delivery.HANG:
            transport.write(_head(answer, _length(answer)) + answer.body[:half])
            await asyncio.sleep(answer.pause_s)
            transport.write(answer.body[half:])
    transport.close()


def _reset(transport: asyncio.Transport) -> None:
    # Lingering for 0 s makes the system send RST instead of FIN.
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0_S)
    transport.abort()


def _length(answer: Answer, missing: int = 0) -> str:
    # ``missing`` is 1 for a cut answer, so that even an empty body is cut.
    return f"Connection: close\r\nContent-Length: {len(answer.body) + missing}"


def _head(answer: Answer, framing: str) -> bytes:
    phrase = HTTPStatus(answer.status).phrase if answer.status in _KNOWN else "Unknown"
    fields = [f"{name}: {value}" for name, value in answer.headers]
    lines = (
        f"HTTP/1.1 {answer.status} {phrase}",
        f"Content-Type: {answer.content_type}",
        *fields,
        framing,
    )
    return "\r\n".join((*lines, "", "")).encode()


_KNOWN = frozenset(status.value for status in HTTPStatus)
