"""``serve``, ``ids`` and ``demo`` with their options; ``completion``; ``python -m``."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from commands import MODULE, Command
from terminals import AtPrompt, OnTerminal

from instantly_async import InstantlyClient, RetryPolicy
from instantly_async.cli.serve import FakeOptions, ServeOptions, fake_process
from instantly_async.testing import (
    DEFAULT_API_KEY,
    campaign_ids,
    email_of,
    lead_ids,
    list_ids,
    make_lead,
)

SHELLS = ("bash", "zsh", "fish")
COUNT = 2000


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_a_share_of_the_ids_is_unknown(share: float) -> None:
    """The id alone decides, so a larger share has the same ids and more."""
    options, more = FakeOptions(unknown=share), FakeOptions(unknown=min(1.0, share + 0.1))
    unknown = {each for each in lead_ids(COUNT) if options.is_unknown(each)}
    assert abs(len(unknown) - share * COUNT) < 100
    assert all(map(more.is_unknown, unknown))


async def test_every_process_and_strategy_agrees_on_what_is_unknown() -> None:
    """``list`` as well as ``get``, in a child process with another seed of Python's hashes."""
    options, ids = FakeOptions(unknown=0.3, latency_ms=0), list(lead_ids(40))
    expected = [each for each in ids if options.is_unknown(each)]
    assert expected
    with fake_process(options) as url:
        async with InstantlyClient(DEFAULT_API_KEY, base_url=url) as client:
            by_get = await client.get_leads(ids)
            by_list = await client.get_leads(ids, strategy="list")
    for batch in (by_get, by_list):
        assert sorted(map(str, batch.not_found)) == sorted(expected)


async def test_a_share_of_the_requests_fails() -> None:
    """With faults of several kinds, in the same order each time."""
    faults = []
    for _ in range(2):
        with FakeOptions(faults=0.4, latency_ms=0).make() as fake:
            retry = RetryPolicy(attempts=9, backoff_base_s=0.001, backoff_cap_s=0.002)
            async with InstantlyClient(
                DEFAULT_API_KEY, base_url=fake.url, retry=retry, rate_limit=None
            ) as client:
                batch = await client.get_leads(list(lead_ids(60)))
            assert len(batch.leads) == 60
            faults.append([each.fault for each in fake.requests][:60])
    assert faults[0] == faults[1]
    assert {"status 500", "status 502", "status 503", "reset", "truncate"} <= {*faults[0]}
    assert 12 < faults[0].count(None) < 48


def test_demo_with_unknown_ids_and_faults(command: Command) -> None:
    options = ("--count", "40", "--unknown", "0.2", "--faults", "0.05", "--latency-ms", "0")
    result = command("demo", *options)
    assert result.code == 3
    unknown = sum(map(FakeOptions(unknown=0.2).is_unknown, lead_ids(40)))
    assert re.search(rf"^not found +{unknown}$", result.err, re.MULTILINE)
    assert re.search(rf"^found +{40 - unknown}$", result.err, re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "other"),
    [
        ((), "demo --strategy list"),
        (("--strategy", "list"), "demo --faults 0.1"),
        (("--unknown", "0.5", "-o", "x.jsonl"), "demo --strategy list"),
    ],
)
def test_a_demo_ends_with_what_to_try_next(
    options: Sequence[str], other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the user has started it; all is on one screen, also if ids have no lead."""
    monkeypatch.chdir(tmp_path)
    environment = {"UV_RUN_RECURSION_DEPTH": "1"}
    small = ("demo", "--count", "5", "--latency-ms", "0")
    with OnTerminal(*small, *options, environment=environment) as terminal:
        assert terminal.wait() in {0, 3}
    *before, title, first, second, real, last = terminal.lines
    assert (title, last) == ("Try next, or fetch your own leads:", "")
    assert first.startswith(f"  uv run instantly-async {other}  ")
    assert second.startswith("  uv run instantly-async serve  ")
    assert real == "  INSTANTLY_API_KEY=… uv run instantly-async fetch ids.txt -o leads.jsonl"
    assert max(map(len, terminal.lines)) < 80
    progress = max(i for i, line in enumerate(before) if line.startswith("5/5 "))
    assert len(terminal.lines) - progress <= 24


def test_a_demo_says_nothing_of_it_elsewhere(command: Command, tmp_path: Path) -> None:
    """Neither in a pipe nor with ``--quiet``; nor after a run that was stopped."""
    small = ("demo", "--count", "5", "--latency-ms", "0")
    assert "Try next" not in command(*small).err
    with OnTerminal(*small, "--quiet") as terminal:
        assert terminal.wait() == 0
    assert "Try next" not in terminal.screen
    with OnTerminal("demo", "--count", "2000", "-o", tmp_path / "x.jsonl") as terminal:
        terminal.read_until(r"[1-9]\d*/2000")
        terminal.interrupt()
        assert terminal.wait() == 130
    assert terminal.lines[-2].startswith("Resume with: instantly-async demo --resume ")


@pytest.mark.parametrize("option", ["--unknown", "--faults"])
@pytest.mark.parametrize("value", ["-0.1", "1.01", "5%", "nan"])
def test_a_share_is_between_0_and_1(command: Command, option: str, value: str) -> None:
    result = command("serve", f"{option}={value}")
    assert (result.code, result.out, result.err.count("\n")) == (2, b"", 1)
    assert f"{option} must be " in result.err


def listed(url: str, **body: Any) -> list[str]:
    """Return the ids of a page of List leads."""
    head = {
        "Authorization": f"Bearer {DEFAULT_API_KEY}",
        "Content-Type": "application/json",
        "User-Agent": "tests/1",
    }
    connection = HTTPConnection(url.removeprefix("http://"))
    with closing(connection):
        connection.request("POST", "/api/v2/leads/list", json.dumps({"limit": 100, **body}), head)
        return [lead["id"] for lead in json.load(connection.getresponse())["items"]]


def test_served_leads_are_those_of_ids_and_can_be_asked_for() -> None:
    with fake_process(ServeOptions(leads=30, latency_ms=0)) as url:
        everyone = list(lead_ids(30))
        assert listed(url) == everyone
        assert listed(url, contacts=[email_of(everyone[3])]) == [everyone[3]]
        campaign = campaign_ids()[0]
        expected = [each for each in everyone if make_lead(each)["campaign"] == campaign]
        assert listed(url, campaign=campaign) == expected != everyone


def test_served_filters_can_be_ignored() -> None:
    with fake_process(ServeOptions(leads=30, latency_ms=0, ignore_filters=True)) as url:
        assert listed(url, contacts=["nobody@example.com"]) == list(lead_ids(30))


def test_options_of_serve_reach_the_fake() -> None:
    """The defaults agree with those of ``ids``: 1,000 leads."""
    fake = ServeOptions(latency_ms=5, slow_list_ms=2000).make()
    assert (fake.latency_s, fake.list_latency_s) == (0.005, 2.0)
    fake = ServeOptions(latency_ms=5).make()
    assert (fake.list_latency_s, fake.list_ignores_filter) == (None, False)
    assert fake.workspace_size == 1000


def test_serve_names_campaigns_and_lists_on_stderr() -> None:
    """So stdout stays what is pasted into a shell."""
    line = [*MODULE, "serve", "--port", "0", "--leads", "2000"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        said = [process.stderr.readline().decode() for _ in range(9)]
        process.terminate()
        assert len(process.stdout.readlines()) == 2
    assert said[1] == "Its 2,000 leads are in these campaigns and lists:\n"
    named = [line.split() for line in said[2:]]
    groups = [["campaign", each] for each in campaign_ids()]
    assert named == [*groups, *(["list", each] for each in list_ids())]


@pytest.mark.parametrize(
    ("option", "lines"),
    [
        ("--emails", [email_of(each) for each in lead_ids(2)]),
        ("--campaigns", campaign_ids()[:2]),
        ("--lists", list_ids()[:2]),
    ],
)
def test_ids_prints_what_can_be_asked_for(
    command: Command, option: str, lines: Sequence[str]
) -> None:
    result = command("ids", option, "--count", "2")
    assert result == (0, "".join(f"{line}\n" for line in lines).encode(), "")


def test_ids_prints_one_kind(command: Command) -> None:
    result = command("ids", "--lists", "--emails")
    assert (result.code, result.out) == (2, b"")
    assert result.err == "Use --emails or --lists, not both.\n"


@pytest.mark.parametrize("module", ["instantly_async", "instantly_async.cli"])
def test_the_package_can_be_run(module: str) -> None:
    """The help names the command all the same."""
    line = [sys.executable, "-m", module]
    helped = subprocess.run([*line, "ids", "--help"], capture_output=True, text=True, check=True)
    assert helped.stdout.startswith("Usage: instantly-async ids ")


def test_the_package_cannot_be_run_without_the_extra() -> None:
    program = (
        "import sys, runpy; sys.modules['cyclopts'] = None; "
        "runpy.run_module('instantly_async', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert b"pip install 'instantly-async[cli]'" in done.stderr


@contextmanager
def script_of(command: Command, shell: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the shell's path, and its completion script as a file; skip if it is not there."""
    result = command("completion", shell)
    assert (result.code, result.err) == (0, "")
    (path := folder / f"completion.{shell}").write_bytes(result.out)
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    yield program, path


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_accepts_its_completion(command: Command, tmp_path: Path, shell: str) -> None:
    with script_of(command, shell, tmp_path) as (program, path):
        subprocess.run([program, "-n", path], check=True)


COMPLETED = [
    (["fe"], "fetch"),
    (["fetch", "--retry-e"], "--retry-errors"),
    (["fetch", "--strategy", "li"], "list"),
    (["completion", "fi"], "fish"),
    (["fetch", "some-id"], "some-ids.txt"),
    (["fetch", "-o", "some-id"], "some-ids.txt"),
]
"""Words with the beginning of the last one, and what it becomes."""


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes(command: Command, tmp_path: Path, shell: str) -> None:
    """As a person would see it: each line is typed at the prompt, with a Tab."""
    (tmp_path / "some-ids.txt").touch()
    (tmp_path / "_instantly-async").write_bytes(command("completion", shell).out)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    start = {
        "bash": "source ./_instantly-async",
        "zsh": "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D",
    }
    with AtPrompt([shell, {"bash": "--norc", "zsh": "-f"}[shell]], tmp_path) as prompt:
        prompt.run(start[shell])
        for words, last in COMPLETED:
            prompt.type(f"instantly-async {' '.join(words)}\t")
            prompt.read_until(rf"instantly-async {' '.join(words[:-1])} *{re.escape(last)}")


@pytest.mark.parametrize(("words", "last"), COMPLETED)
def test_fish_completes(command: Command, tmp_path: Path, words: list[str], last: str) -> None:
    (tmp_path / "some-ids.txt").touch()
    with script_of(command, "fish", tmp_path) as (program, path):
        line = f"source {path}; complete -C 'instantly-async {' '.join(words)}'"
        done = subprocess.run(
            [program, "-N", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True
        )
    assert last in [each.split("\t")[0] for each in done.stdout.splitlines()]


def test_completion_of_another_shell(command: Command) -> None:
    result = command("completion", "tcsh")
    assert (result.code, result.out) == (2, b"")
    assert "must be bash, zsh or fish." in result.err
    assert "Name the shell: bash, zsh or fish." in command("completion").err
