"""While ``INSTANTLY_BASE_URL`` is set, nothing of this package goes to the vendor's server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from instantly_async import ConfigurationError, InstantlyClient
from instantly_async.settings import BASE_URL_VARIABLE, DEFAULT_BASE_URL
from instantly_async.testing import FakeInstantly, lead_ids

pytestmark = pytest.mark.fake_instantly(rate_limit=None)

PROGRAM = """
import asyncio, json, sys
sys.modules["uvloop"] = None  # its C library would not be seen
seen = []
sys.addaudithook(lambda event, args: seen.append([event, *map(repr, args)])
                 if event in {"socket.getaddrinfo", "socket.connect"} else None)
from instantly_async import InstantlyClient
from instantly_async.cli.app import run_command_line

ids, folder = json.loads(sys.argv[1]), sys.argv[2]

async def use(client):
    await client.check()
    await client.get_lead(ids[0])
    await client.get_leads(ids)
    await client.get_leads(ids, strategy="list")
    await client.loader().load(ids[1])

async def main():
    async with InstantlyClient() as client:
        await use(client)
        await use(client.for_workspace("another"))

asyncio.run(main())
lines = [["check"], ["get", ids[0]], ["fetch", folder + "/ids.txt", "-o", folder + "/o.jsonl"],
         ["demo", "--count", "3", "--latency-ms", "0"]]
print(json.dumps({"codes": [run_command_line(line) for line in lines], "seen": seen}),
      file=sys.__stderr__)
"""


def test_no_code_path_reaches_the_vendor(
    tmp_path: Path, fake_instantly: FakeInstantly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python itself reports every name that is resolved and every connection (audit hooks)."""
    monkeypatch.setenv(BASE_URL_VARIABLE, fake_instantly.url)
    monkeypatch.setenv("INSTANTLY_API_KEY", fake_instantly.api_key)
    ids = list(lead_ids(3))
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(ids), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stderr.splitlines()[-1])
    assert report["codes"] == [0, 0, 0, 0]
    places = {text for event in report["seen"] for text in event[1:]}
    port = fake_instantly.url.rpartition(":")[2]
    assert any(port in text for text in places)  # the hook sees what there is to see
    assert not any("instantly.ai" in text for text in places), places


def test_the_argument_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BASE_URL_VARIABLE, "http://127.0.0.1:1")
    client = InstantlyClient("k", base_url="http://127.0.0.1:2")
    assert "http://127.0.0.1:2" in repr(client)


@pytest.mark.parametrize("value", [None, ""])
def test_the_vendor_is_the_default(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BASE_URL_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(BASE_URL_VARIABLE, value)
    assert DEFAULT_BASE_URL in repr(InstantlyClient("k"))


@pytest.mark.parametrize(
    "value", ["nonsense", "http://example.com", "https://u:p4ssw0rd@host", "https://host/api/v2"]
)
def test_a_mistake_names_the_variable(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BASE_URL_VARIABLE, value)
    with pytest.raises(ConfigurationError, match=rf"^{BASE_URL_VARIABLE} (must|is not)") as caught:
        InstantlyClient("k")
    assert "p4ssw0rd" not in str(caught.value)
