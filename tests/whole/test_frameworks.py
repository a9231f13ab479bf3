"""Runs the guides to FastAPI, on a real uvicorn, and to data frames."""

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from guide_files import run_pytest, write_files
from places import DOCS
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from instantly_async.testing import FakeInstantly, Fault, lead_ids, lead_json

pytestmark = [pytest.mark.guides, pytest.mark.fake_instantly(rate_limit=None)]

IDS = list(lead_ids(3))


def run_page(name: str) -> dict[str, Any]:
    """Run the examples of a page one after the other; return their variables."""
    document = Sybil(parsers=[PythonCodeBlockParser()]).parse(DOCS / "guides" / name)
    document.namespace["__name__"] = "example"
    for example in document.examples():
        example.evaluate()
    return document.namespace


def test_data_frames(
    fake_instantly: FakeInstantly,
    environment: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each has all leads, with types that fit, even where a number is missing."""
    monkeypatch.chdir(tmp_path)
    Path("ids.txt").write_text("\n".join(IDS) + "\n")
    fake_instantly.fields = {IDS[0]: {"status": None, "payload": {"industry": "tea"}}}
    made = run_page("data-frames.md")
    frame, people = made["frame"], made["people"]
    assert frame["id"].to_list() == people["id"].to_list() == IDS
    assert str(frame["status"].dtype) == "int64[pyarrow]"
    for column in frame["timestamp_created"], people["timestamp_created"]:
        assert "UTC" in str(column.dtype)
    assert made["by_status"].sum() == len(IDS) - 1
    industries = dict(made["by_industry"].iter_rows())
    assert industries == {industry: count for industry, count, _ in made["counts"]}
    assert industries["tea"] == 1
    assert len(made["names"]) == len(IDS)


def test_fastapi(tmp_path: Path, fake_instantly: FakeInstantly, environment: None) -> None:
    """The app answers on a real uvicorn; each error has the status that the guide gives."""
    write_files("fastapi.md", tmp_path)
    *_, broken, paused = lead_ids(5)
    fake_instantly.unknown = {IDS[1]}
    fake_instantly.list_omits = {broken, paused}  # so they are fetched alone
    fake_instantly.script(broken, Fault.status(400))
    fake_instantly.script(paused, Fault.throttle(retry_after=500))
    answers = asyncio.run(ask(tmp_path, IDS[0], IDS[1], broken, "7", paused))
    assert [status for status, _ in answers] == [200, 404, 502, 422, 503]
    lead, sent = answers[0][1], json.loads(lead_json(IDS[0]))
    same = ("id", "status", "email", "timestamp_created")
    assert {name: lead[name] for name in same} == {name: sent[name] for name in same} | {
        "timestamp_created": sent["timestamp_created"].replace("Z", "000Z")
    }


async def ask(folder: Path, *paths: str) -> list[tuple[int, Any]]:
    """Run the app of a folder in uvicorn, by its command line, and ask it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, "-m", "uvicorn", "app:app", "--fd", str(listening.fileno())]
        server = await asyncio.create_subprocess_exec(
            *command, cwd=folder, pass_fds=[listening.fileno()], stderr=asyncio.subprocess.PIPE
        )
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/leads/"
        try:
            async with aiohttp.ClientSession() as session:
                return [await status_and_body(session, url + path) for path in paths]
        finally:
            server.terminate()
            await server.communicate()


async def status_and_body(session: aiohttp.ClientSession, url: str) -> tuple[int, Any]:
    async with session.get(url) as answer:
        return answer.status, await answer.json()


def test_fastapi_tests(tmp_path: Path, unmeasured: None) -> None:
    """The guide's tests of the app pass."""
    assert write_files("fastapi.md", tmp_path) == ["app.py", "test_app.py"]
    assert run_pytest(tmp_path).startswith("2 passed")


def test_fastapi_bytes() -> None:
    """The example between the two files."""
    document = Sybil(parsers=[PythonCodeBlockParser()]).parse(DOCS / "guides" / "fastapi.md")
    _, example, _ = document.examples()
    example.evaluate()
    assert json.loads(document.namespace["body"])["id"].startswith("019a")
