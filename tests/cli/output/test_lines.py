"""Lines are written whole or not at all: to files, full disks and slow pipes."""

import asyncio
import contextlib
import os
import resource
from pathlib import Path

import pytest

from instantly_async.cli.exits import OutputError
from instantly_async.cli.output.lines import LineWriter
from instantly_async.cli.records import to_line


@pytest.mark.parametrize("raw", [b'\xef\xbb\xbf{\r\n "id":\n"\\n"}\r\n', b'{ "id":"\\n"}'])
def test_a_line_is_the_servers_json_without_line_ends(raw: bytes) -> None:
    assert to_line(raw) == b'{ "id":"\\n"}\n'


async def test_a_line_that_does_not_fit_is_removed(tmp_path: Path) -> None:
    """With a limit of 1,000 bytes, the part of the second line that fits is removed again."""
    output = tmp_path / "out.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with output.open("wb") as file:
        writer = LineWriter(file.fileno(), str(output))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            await writer.write(b"a" * 599 + b"\n")
            with pytest.raises(OutputError, match=f"Writing to {output} failed"):
                await writer.write(b"b" * 599 + b"\n")
            await writer.write(b"c" * 399 + b"\n")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert output.read_bytes() == b"a" * 599 + b"\n" + b"c" * 399 + b"\n"
    assert writer.lines == 2


async def read_slowly(reader: int, size: int) -> bytes:
    """Read from a pipe, in the event loop that also writes to it."""
    os.set_blocking(reader, False)
    received = b""
    while len(received) < size:
        await asyncio.sleep(0)
        with contextlib.suppress(BlockingIOError):
            received += os.read(reader, min(65536, size - len(received)))
    return received


async def test_a_slow_reader_does_not_block_the_event_loop() -> None:
    """A line larger than the pipe is written while the reader empties it."""
    reader, writer = os.pipe()
    line = b"x" * 200_000 + b"\n"
    writing = asyncio.create_task(LineWriter(writer, "pipe").write(line))
    assert await read_slowly(reader, len(line)) == line
    await writing
    os.close(reader)
    os.close(writer)


async def test_a_cancelled_line_is_still_written_whole() -> None:
    reader, writer = os.pipe()
    line = b"x" * 100_000 + b"\n"
    writing = asyncio.create_task(LineWriter(writer, "pipe").write(line))
    received = await read_slowly(reader, 10_000)
    writing.cancel()
    received += await read_slowly(reader, len(line) - len(received))
    with pytest.raises(asyncio.CancelledError):
        await writing
    os.close(reader)
    os.close(writer)
    assert received == line


async def test_a_stuck_reader_does_not_delay_a_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("instantly_async.cli.output.lines.LAST_LINE_S", 0.01)
    reader, writer = os.pipe()
    writing = asyncio.create_task(LineWriter(writer, "pipe").write(b"x" * 100_000 + b"\n"))
    for _ in range(100):  # until the pipe is full
        await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    os.close(reader)
    os.close(writer)
