"""Runs the guide to several workers: its app in two workers of real servers, on a real Valkey."""

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from guide_files import write_files
from shared_limits import Valkey, valkey

from instantly_async.testing import FakeInstantly, lead_ids

pytestmark = pytest.mark.guides

SERVERS = {
    "uvicorn": ["uvicorn", "app:app", "--workers", "2", "--fd"],
    "gunicorn": [
        *("gunicorn", "app:app", "--workers", "2", "--preload"),
        *("--worker-class", "uvicorn_worker.UvicornWorker", "--bind"),
    ],
}


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.usefixtures("environment", "unmeasured")
def test_the_workers_share_one_limit(
    name: str, tmp_path: Path, fake_instantly: FakeInstantly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both answer, together within the limit, which one alone would use up."""
    write_files("several-workers.md", tmp_path)
    with valkey() as server:
        monkeypatch.setenv("INSTANTLY_SHARED_LIMIT", server.url)
        statuses = asyncio.run(ask(SERVERS[name], tmp_path, server))
    assert statuses == {200: 200}
    assert fake_instantly.counts[429] == 0


async def ask(arguments: Sequence[str], folder: Path, server: Valkey) -> Counter[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.fileno()
        last = f"fd://{number}" if arguments[-1] == "--bind" else str(number)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *arguments, last),
            cwd=folder,
            pass_fds=[number],
            stderr=asyncio.subprocess.PIPE,
        )
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/leads/"
        try:
            # A new connection for each, so that both workers get some.
            connector = aiohttp.TCPConnector(force_close=True, limit=40)
            async with aiohttp.ClientSession(connector=connector) as session:
                return Counter(
                    await asyncio.gather(*(status(session, url + each) for each in lead_ids(200)))
                )
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.communicate()


async def status(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(url) as answer:
        await answer.read()
        return answer.status
