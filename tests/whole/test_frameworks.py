"""Runs the examples of docs/guides/frameworks.md: a real FastAPI app on a real uvicorn, and pandas."""

import asyncio
import importlib
import json
import socket
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


@pytest.fixture
def examples(
    fake_instantly: FakeInstantly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    """Run each example alone; return the variables of each."""
    monkeypatch.setenv("INSTANTLY_API_KEY", fake_instantly.api_key)
    monkeypatch.setenv("INSTANTLY_BASE_URL", fake_instantly.url)
    monkeypatch.chdir(tmp_path)
    Path("ids.txt").write_text("\n".join(IDS) + "\n")
    made = []
    for number in range((DOCS / "guides/frameworks.md").read_text().count("```python")):
        document = Sybil(parsers=[PythonCodeBlockParser()]).parse(DOCS / "guides/frameworks.md")
        document.namespace["__name__"] = "example"
        list(document.examples())[number].evaluate()
        made.append(document.namespace)
    return made


def test_pandas(examples: list[dict[str, Any]]) -> None:
    frame = examples[2]["frame"]
    assert frame["id"].to_list() == IDS
    assert str(frame["timestamp_created"].dtype).startswith("datetime64[")
    assert "UTC" in str(frame["timestamp_created"].dtype)
    assert frame["status"].dtype.kind == "i"


def test_fastapi(examples: list[dict[str, Any]], fake_instantly: FakeInstantly) -> None:
    fake_instantly.unknown = {IDS[1]}
    uvicorn = importlib.import_module("uvicorn")

    async def main() -> list[tuple[int, Any]]:
        answers = []
        with socket.create_server(("127.0.0.1", 0)) as listening:
            config = uvicorn.Config(examples[0]["app"], log_level="error")
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
