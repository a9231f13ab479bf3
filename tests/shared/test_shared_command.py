"""``--shared-limit``: several runs of the command share one limit on a real Valkey."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from commands import Command, program
from shared_limits import HoldUps, Valkey, valkey

from instantly_async.cli.options import Network
from instantly_async.cli.sharing import name_for
from instantly_async.cli.target import Target
from instantly_async.testing import DEFAULT_API_KEY, FakeInstantly, lead_ids

SECRET = "canary-password"


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with valkey() as server:
        yield server


def names(server: Valkey) -> set[str]:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        return set(client.keys("*"))


async def test_two_shells_share_one_limit(
    server: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unmeasured: None
) -> None:
    """Both use the whole of it together, and neither gets a 429.

    Unless the machine holds the API up, where requests then arrive together.
    """
    held_up = HoldUps()
    watching = asyncio.create_task(held_up.watch())
    async with FakeInstantly() as fake:
        monkeypatch.setenv("INSTANTLY_API_KEY", DEFAULT_API_KEY)
        monkeypatch.setenv("INSTANTLY_BASE_URL", fake.url)
        runs = []
        for number in range(2):
            ids, stats = tmp_path / f"ids{number}", tmp_path / f"stats{number}"
            ids.write_text("\n".join(lead_ids(150, seed=number)))
            out = tmp_path / f"out{number}.jsonl"
            arguments = ["fetch", ids, "-o", out, "--stats-json", stats]
            arguments += ["--shared-limit", server.url]
            runs.append(
                await asyncio.create_subprocess_exec(
                    *program(), *map(str, arguments), stderr=subprocess.PIPE
                )
            )
        ends = await asyncio.gather(*(run.communicate() for run in runs))
        assert [run.returncode for run in runs] == [0, 0], ends
        most = 0 if held_up.longest_s < 0.02 else 15
        assert fake.counts[429] <= most
        assert fake.counts[200] == 300
    watching.cancel()
    for number in range(2):
        assert json.loads((tmp_path / f"stats{number}").read_text())["throttled"] <= most
        assert len((tmp_path / f"out{number}.jsonl").read_text().splitlines()) == 150


def test_the_name_on_the_server(
    command: Command, server: Valkey, ids_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hash of key and workspace, or what the user says; by option or by variable."""
    key = name_for(DEFAULT_API_KEY, None)
    assert DEFAULT_API_KEY not in key
    assert key != name_for(DEFAULT_API_KEY, "ws-1") != name_for("another", "ws-1")
    monkeypatch.setenv("INSTANTLY_SHARED_LIMIT", server.url)
    assert command("fetch", ids_file, "--quiet").code == 0
    assert command("get", next(lead_ids(1)), "--limit-name", "acme").code == 0
    monkeypatch.setenv("INSTANTLY_LIMIT_NAME", "big co")
    assert command("check").code == 0
    made = {f"instantly_async:{name}" for name in (key, "acme", "big co")}
    assert names(server) == made
    monkeypatch.setenv("INSTANTLY_LIMIT_NAME", "none")
    assert command("check", "--shared-limit", "").code == 0
    assert names(server) == made


def test_without_its_server_a_run_goes_on(command: Command, ids_file: Path) -> None:
    stopped = Valkey()
    stopped.stop()
    url = stopped.url.replace("redis://", f"redis://ada:{SECRET}@")
    result = command("fetch", ids_file, "--shared-limit", url)
    assert result.code == 0
    assert result.err.count("cannot be reached (ConnectionError: ") == 1
    assert "until it can, this process sends at most 9.5/s" in result.err
    assert SECRET not in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shared-limit", "localhost"], "The URL of the shared limit must begin with redis://"),
        (["--shared-limit", f"http://u:{SECRET}@h"], "The URL of the shared limit must begin"),
        (["--shared-limit", "redis://h", "--limit-name", "a\nb"], "The name of a shared limit"),
    ],
)
def test_a_wrong_option(
    command: Command, ids_file: Path, arguments: list[str], message: str
) -> None:
    result = command("fetch", ids_file, *arguments)
    assert result.code == 2
    assert message in result.err
    assert SECRET not in result.err
    assert DEFAULT_API_KEY not in result.err


def test_a_key_is_no_name(
    command: Command, ids_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTANTLY_LIMIT_NAME", f"of {DEFAULT_API_KEY}")
    result = command("fetch", ids_file, "--shared-limit", "redis://localhost")
    assert result.code == 2
    assert "it must not be an API key" in result.err
    assert DEFAULT_API_KEY not in result.err


def test_without_the_extra(
    command: Command, ids_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr("instantly_async._extras.import_module", missing)
    result = command("fetch", ids_file, "--shared-limit", "redis://localhost")
    assert result.code == 2
    assert "A shared limit needs the extra \"redis\": pip install 'instantly-async[redis]'" in (
        result.err
    )


@pytest.mark.parametrize("option", ["--shared-limit={}", "--shared-limit {}"])
@pytest.mark.parametrize("url", [f"redis://user:{SECRET}@h:1", f"redis://h/0?password={SECRET}"])
def test_the_command_that_resumes_has_no_password(url: str, option: str) -> None:
    arguments = [
        "fetch",
        "ids",
        *option.format(url).split(),
        "-o",
        "out",
        "--proxy",
        "http://u:p@h",
    ]
    assert Target("out").how_to_resume(arguments) == (
        "Resume, with the same --shared-limit and the same --proxy, with: "
        "instantly-async fetch --resume ids -o out"
    )
    assert SECRET not in repr(Network(shared_limit=url))
