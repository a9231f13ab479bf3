"""Runs the guides to FastAPI, on a real uvicorn, and to data frames."""

import asyncio
import importlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from places import DOCS
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from instantly_async.testing import FakeInstantly, lead_ids, lead_json

pytestmark = [pytest.mark.guides, pytest.mark.fake_instantly(rate_limit=None)]

IDS = list(lead_ids(3))


Examples = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def examples(
    fake_instantly: FakeInstantly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Examples:
    """Run each example of a page alone; return the variables of each."""
    monkeypatch.setenv("INSTANTLY_API_KEY", fake_instantly.api_key)
    monkeypatch.setenv("INSTANTLY_BASE_URL", fake_instantly.url)
    monkeypatch.chdir(tmp_path)
    Path("ids.txt").write_text("\n".join(IDS) + "\n")

    def run(name: str) -> list[dict[str, Any]]:
        page, made = DOCS / "guides" / name, []
        for number in range(page.read_text().count("```python")):
            document = Sybil(parsers=[PythonCodeBlockParser()]).parse(page)
            document.namespace["__name__"] = "example"
            list(document.examples())[number].evaluate()
            made.append(document.namespace)
        return made

    return run


def test_pandas(examples: Examples) -> None:
    frame = examples("data-frames.md")[0]["frame"]
    assert frame["id"].to_list() == IDS
    assert str(frame["timestamp_created"].dtype).startswith("datetime64[")
    assert "UTC" in str(frame["timestamp_created"].dtype)
    assert frame["status"].dtype.kind == "i"


def test_fastapi(examples: Examples, fake_instantly: FakeInstantly) -> None:
    fake_instantly.unknown = {IDS[1]}
    uvicorn, app = importlib.import_module("uvicorn"), examples("fastapi.md")[0]["app"]

    async def main() -> list[tuple[int, Any]]:
        answers = []
        with socket.create_server(("127.0.0.1", 0)) as listening:
            config = uvicorn.Config(app, log_level="error")
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve([listening]))
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/leads/"
            async with aiohttp.ClientSession() as session:
                for lead_id in IDS[:2]:
                    async with session.get(url + lead_id) as answer:
                        answers.append((answer.status, await answer.json()))
            server.should_exit = True
            await serving
        return answers

    (status, lead), (missing, _) = asyncio.run(main())
    assert (status, missing) == (200, 404)
    sent = json.loads(lead_json(IDS[0]))
    same = ("id", "status", "email", "timestamp_created")
    assert {name: lead[name] for name in same} == {name: sent[name] for name in same} | {
        "timestamp_created": sent["timestamp_created"].replace("Z", "000Z")
    }
