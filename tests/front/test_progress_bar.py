"""``show_progress``: an observer of a stream, which never disturbs it."""

import asyncio
import io
import sys
import types
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from instantly_async import ConfigurationError, InstantlyClient, Stats
from instantly_async._recorder import Recorder
from instantly_async.progress import REFRESH_S, show_progress
from instantly_async.testing import FakeInstantly, lead_ids

IDS = list(lead_ids(20))


class Watched:
    """Something with ``stats``, whose state a test sets."""

    def __init__(self, **state: Any) -> None:
        self.recorder = Recorder(requested=10)
        self.state: dict[str, Any] = {"allowed_rate": 95.0} | state

    @property
    def stats(self) -> Stats:
        return self.recorder.snapshot(1.0, **self.state)


class Bar:
    """Notes what it shows."""

    def __init__(self) -> None:
        self.n = 0
        self.text = ""
        self.shown: list[tuple[int, str]] = []
        self.closed = False

    def set_postfix_str(self, text: str, *, refresh: bool) -> None:
        self.text = text

    def refresh(self) -> None:
        self.shown.append((self.n, self.text))

    def close(self) -> None:
        self.closed = True


class BrokenBar(Bar):
    def refresh(self) -> None:
        raise OSError("closed")

    close = refresh


def steps() -> tuple[Callable[[float], Awaitable[None]], asyncio.Queue[None]]:
    """Return a sleep that ends when a test puts something into the queue."""
    queue: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(seconds: float) -> None:
        assert seconds == REFRESH_S
        await queue.get()

    return sleep, queue


async def rest() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


NORMAL = "0.0 requests/s (95.0/s allowed), 0 × 429"


async def test_the_bar_follows_the_counters() -> None:
    sleep, queue = steps()
    watched, bar = Watched(), Bar()
    async with show_progress(watched, 10, bar=bar, sleep=sleep):
        await rest()
        watched.recorder.found = 4
        queue.put_nowait(None)
        await rest()
        watched.recorder.not_found = 6
    assert bar.shown == [(0, NORMAL), (4, NORMAL), (10, NORMAL)]
    assert bar.closed


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({}, NORMAL),
        ({"allowed_rate": None}, "0.0 requests/s (no limit), 0 × 429"),
        ({"paused_s": 2.5}, "paused for 3 s, 0 × 429"),
        ({"breaker_open": True, "gives_up_s": 7.0}, "API is down, giving up in 7 s, 0 × 429"),
    ],
)
async def test_the_bar_says_why_nothing_is_sent(state: dict[str, Any], text: str) -> None:
    bar = Bar()
    async with show_progress(Watched(**state), bar=bar):
        pass
    assert bar.shown == [(0, text)]


async def test_failures_are_counted() -> None:
    watched, bar = Watched(), Bar()
    watched.recorder.failed["ServerError"], watched.recorder.throttled = 3, 1200
    async with show_progress(watched, bar=bar):
        pass
    assert bar.shown == [(3, "0.0 requests/s (95.0/s allowed), 1,200 × 429, 3 failed")]


@pytest.mark.parametrize("error", [KeyError("x"), asyncio.CancelledError(), KeyboardInterrupt()])
@pytest.mark.parametrize("bar", [Bar, BrokenBar])
async def test_what_the_block_raises_passes(error: BaseException, bar: type[Bar]) -> None:
    """Also if the bar cannot be drawn, and then no task fails."""
    before = asyncio.all_tasks()
    with pytest.raises(type(error)) as caught:
        async with show_progress(Watched(), bar=bar()):
            (updating,) = asyncio.all_tasks() - before
            await rest()
            raise error
    assert caught.value is error
    await rest()
    assert asyncio.all_tasks() == before
    assert updating.cancelled() or updating.exception() is None


@pytest.mark.parametrize("total", [None, len(IDS)])
async def test_a_real_bar_of_a_real_stream(
    fake_instantly: FakeInstantly, total: int | None
) -> None:
    file = io.StringIO()
    async with InstantlyClient(
        fake_instantly.api_key, base_url=fake_instantly.url, rate_limit=None
    ) as client:
        async with client.stream_leads(IDS) as stream, show_progress(stream, total, file=file):
            count = len([outcome async for outcome in stream])
    last = file.getvalue().rstrip().split("\r")[-1]
    assert count == len(IDS)
    assert last.startswith("20 leads [" if total is None else "100%|")
    assert "no limit), 0 × 429" in last


async def test_a_real_bar_of_matches(fake_instantly: FakeInstantly) -> None:
    file = io.StringIO()
    async with InstantlyClient(
        fake_instantly.api_key, base_url=fake_instantly.url, rate_limit=None
    ) as client:
        matches = client.find_leads(["nobody@example.org"])
        async with matches as stream, show_progress(stream, 1, unit="emails", file=file):
            assert [match.leads async for match in stream] == [[]]
    assert "1/1 [" in file.getvalue()


async def test_a_notebook_without_widgets_warns_of_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There, ``tqdm.auto`` warns and draws text."""
    for name in [each for each in sys.modules if each.partition(".")[0] == "tqdm"]:
        monkeypatch.delitem(sys.modules, name)
    shell = types.SimpleNamespace(get_ipython=lambda: None)
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", types.ModuleType("zmqshell"))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    file = io.StringIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with show_progress(Watched(), 10, file=file):
            pass
    assert caught == []
    assert "0/10" in file.getvalue()


async def test_without_tqdm_a_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ConfigurationError) as caught:
        async with show_progress(Watched()):
            pass
    assert str(caught.value) == (
        "A progress bar needs the extra \"progress\": pip install 'instantly-async[progress]' "
        "(no module tqdm.auto)."
    )
