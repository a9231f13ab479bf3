"""A server that answers anything: whatever it sends, each id has one outcome or the run ends.

Hypothesis makes the answers (see ``hostile.py``). Each example runs every call of the client at
once against one real socket, and checks these laws:

- every call ends, each id has exactly one outcome or a ``RunError`` is raised, and nothing else;
- no answer is delivered to another request: the neighbours of a bad id get their own leads;
- no error quotes the key, an email or a body, and neither does the log;
- no task, request, slot or warning is left.

The examples are the same in each run. To look for more, choose a number of new ones::

    HOSTILE_EXAMPLES=20000 uv run pytest tests/whole/test_hostile_server.py
"""

import asyncio
import contextlib
import gc
import io
import logging
import os
import pickle
import warnings
from collections.abc import Awaitable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from hostile import BAD, GOOD, KEY, MARK, End, Odd, Plan, Reaction, plans
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from wire import RESET, Wire, answer, play_step, read_request, serving_with

from instantly_async import (
    DecodeError,
    Failed,
    Found,
    InstantlyClient,
    Lead,
    LeadError,
    NotFound,
    NotFoundError,
    Outcome,
    RateLimit,
    RequestRejectedError,
    RetryPolicy,
    RunError,
    Strategy,
    Timeouts,
    TransientError,
)
from instantly_async.testing import lead_json

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "0"))
HANGS_AFTER_S = 30.0
"""Far more than all time-outs and retries of an example together."""

TIMEOUTS = Timeouts(connect_s=0.5, read_s=0.03, total_s=0.06, list_read_s=0.03, list_total_s=0.06)
POLICY = RetryPolicy(
    attempts=2, throttled_attempts=1, backoff_base_s=0.001, backoff_cap_s=0.002,
    max_retry_after_s=0.02, breaker_threshold=8, breaker_patience_s=0.05, budget_refill_per_s=100.0,
)  # fmt: skip
IDS = [GOOD[0], BAD[0], GOOD[1], BAD[1], GOOD[2]]
LEADS = {each: msgspec.json.decode(lead_json(each), type=Lead) for each in GOOD}


@dataclass(frozen=True)
class Setup:
    """How the client is used. ``shared``: one client makes all calls."""

    shared: bool
    concurrency: int
    rate_limit: RateLimit | None
    budget_capacity: float
    ordered: bool
    keep_raw: bool
    confirm_missing: bool


setups = st.builds(
    Setup,
    shared=st.booleans(),
    concurrency=st.sampled_from([1, 2, 10]),
    rate_limit=st.sampled_from([None, RateLimit(per_second=5000, per_minute=300_000)]),
    budget_capacity=st.sampled_from([100.0, 1.0]),
    ordered=st.booleans(),
    keep_raw=st.booleans(),
    confirm_missing=st.sampled_from([True, True, False]),
)


class Rig:
    """One event loop and one server for all examples. ``plan`` is what the server does now."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.plan = Plan({}, [], [])
        self.reports: list[dict[str, Any]] = []
        self.log = io.StringIO()
        self._counts: dict[str, int] = {}
        self._stack = contextlib.AsyncExitStack()
        self.runner.get_loop().set_exception_handler(lambda _, report: self.reports.append(report))
        self.url = self.runner.run(self._start()).url

    async def _start(self) -> Wire:
        return await self._stack.enter_async_context(serving_with(self._serve))

    def close(self) -> None:
        self.runner.run(self._stack.aclose())
        self.runner.close()

    async def _serve(
        self, _: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            reaction = self._reaction(await read_request(reader))
            for piece in reaction.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if reaction.end is End.HANG:
                await reader.read()  # until the client closes
            elif reaction.end is End.RESET:
                await play_step(RESET, Wire(), reader, writer)
            if reaction.end is not End.KEEP:
                return

    def _reaction(self, request: bytes) -> Reaction:
        head, _, body = request.partition(b"\r\n\r\n")
        lead_id = head.split(b" ")[1].rpartition(b"/")[2].decode()
        if lead_id != "list":
            planned = self.plan.leads.get(lead_id)
            if planned is None:
                return Reaction((answer(lead_json(lead_id)),), End.KEEP)
        elif b'"ids"' in body:
            planned = self.plan.pages
        else:
            lead_id, planned = "check", self.plan.checks
        # Each call has its own turn, so that an example does not depend on their order.
        count = self._counts[lead_id] = self._counts.get(lead_id, -1) + 1
        return planned[count % len(planned)]

    def play(self, plan: Plan, setup: Setup) -> "Played":
        """Make all calls, and check the laws that hold for all of them."""
        self.plan = plan
        self.reports.clear()
        self._counts.clear()
        self.log.seek(0)
        self.log.truncate()
        played = Played(setup)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.runner.run(bounded(played.play(self.url)))
        assert self.reports == []
        assert [str(each) for each in caught] == []
        require_no_secrets(self.log.getvalue(), KEY, "@example")
        return played


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    rig = Rig()
    handler, root = logging.StreamHandler(rig.log), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    with pytest.MonkeyPatch.context() as patch:  # no law is about how long these pauses are
        patch.setattr("instantly_async._fetch.sending.ASK_AFTER_S", 0.02)
        patch.setattr("instantly_async._pace.adaptive.CUT_PAUSE_S", 0.02)
        yield rig
    root.setLevel(level)
    root.removeHandler(handler)
    rig.close()
    gc.collect()  # transports and coroutines that were left would warn now


async def bounded(work: Coroutine[Any, Any, None]) -> None:
    """Do the work; if it hangs, fail with the stacks of all tasks."""
    task = asyncio.create_task(work)
    await asyncio.wait([task], timeout=HANGS_AFTER_S)
    if not task.done():
        stacks = io.StringIO()
        for each in asyncio.all_tasks():
            each.print_stack(file=stacks)
        task.cancel()
        await asyncio.wait([task], timeout=1)
        pytest.fail(f"The example hangs.\n{stacks.getvalue()}")
    await task


@dataclass
class Played:
    """The results of all calls of an example: outcomes, leads or errors."""

    setup: Setup
    streams: dict[str, list[Outcome[Lead]]] = field(default_factory=dict)
    ended: dict[str, BaseException] = field(default_factory=dict)
    singles: dict[str, Any] = field(default_factory=dict)

    async def play(self, url: str) -> None:
        before = asyncio.all_tasks()
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(self._client(url))
                for _ in range(1 if self.setup.shared else 5)
            ]
            one, two, three, four, five = clients * 5 if self.setup.shared else clients
            loader = five.loader(confirm_missing=self.setup.confirm_missing)
            await asyncio.gather(
                self._stream("get", one),
                self._stream("list", two),
                *[self._single(f"get {each}", three.get_lead(each)) for each in IDS[:2]],
                self._single("check", four.check()),
                *[self._single(f"load {each}", loader.load(each)) for each in IDS],
            )
            await loader.aclose()
            for client in clients:
                assert client._slots.taken == 0, client
                assert not client._connections.in_flight
                assert client.stats.in_flight == 0
                assert client._workspace.limiter.near.taken == 0
                pool = client._connections._pool
                assert pool is None or len(pool._open) == len(pool._idle)
        await asyncio.sleep(0)
        assert not [task for task in asyncio.all_tasks() - before if "instantly" in repr(task)]

    def _client(self, url: str) -> InstantlyClient[Lead]:
        return InstantlyClient(
            KEY,
            base_url=url,
            timeouts=TIMEOUTS,
            retry=replace(POLICY, budget_capacity=self.setup.budget_capacity),
            concurrency=self.setup.concurrency,
            rate_limit=self.setup.rate_limit,
        )

    async def _stream(self, strategy: Strategy, client: InstantlyClient[Lead]) -> None:
        outcomes = self.streams[strategy] = []
        try:
            async with client.stream_leads(
                IDS,
                strategy=strategy,
                ordered=self.setup.ordered,
                keep_raw=self.setup.keep_raw,
                confirm_missing=self.setup.confirm_missing,
            ) as stream:
                async for outcome in stream:
                    outcomes.append(outcome)
        except BaseException as error:
            self.ended[strategy] = error

    async def _single(self, name: str, call: Awaitable[Any]) -> None:
        try:
            self.singles[name] = await call
        except BaseException as error:
            self.singles[name] = error

    def require_laws(self) -> None:
        self.note_events()
        for strategy, outcomes in self.streams.items():
            ended = self.ended.get(strategy)
            asked = [outcome.index for outcome in outcomes]
            assert len(set(asked)) == len(asked)
            assert ended or sorted(asked) == list(range(len(IDS)))
            assert not self.setup.ordered or asked == sorted(asked)
            if ended is not None:
                assert isinstance(ended, RunError), repr(ended)
                require_clean(ended)
            for outcome in outcomes:
                assert outcome.lead_id == IDS[outcome.index]
                may_miss = strategy == "list" and not self.setup.confirm_missing
                require_good(outcome, keep_raw=self.setup.keep_raw, may_miss=may_miss)
        for name, result in self.singles.items():
            if isinstance(result, BaseException):
                assert isinstance(result, RunError | LeadError), repr(result)
                require_clean(result)
                may_miss = name.startswith("load") and not self.setup.confirm_missing
                assert name[-36:] not in GOOD or is_innocent(result, may_miss=may_miss), name
            elif name != "check":
                require_own(name[-36:], result)

    def note_events(self) -> None:
        """Let Hypothesis count what happens (``--hypothesis-show-statistics``)."""
        for outcomes in self.streams.values():
            for outcome in outcomes:
                kind = type(outcome.error if isinstance(outcome, Failed) else outcome).__name__
                event(f"{'good' if outcome.lead_id in GOOD else 'bad'}: {kind}")
        for error in self.ended.values():
            event(f"ended: {type(error).__name__}")


def require_good(outcome: Outcome[Lead], *, keep_raw: bool, may_miss: bool) -> None:
    match outcome:
        case Found():
            require_own(str(outcome.lead_id), outcome.lead, outcome.problems)
            assert (outcome.raw is not None) == (keep_raw or bool(outcome.problems))
            assert outcome.raw is None or outcome.raw.decode()  # the server's own bytes, as text
        case Failed():
            require_clean(outcome.error)
            assert outcome.error.lead_id == outcome.lead_id
            assert outcome.lead_id not in GOOD or is_innocent(outcome.error, may_miss=may_miss)
        case NotFound():
            assert outcome.lead_id not in GOOD or may_miss
    assert outcome.attempts > 0 or may_miss


def require_own(lead_id: str, lead: Lead, problems: tuple[str, ...] = ()) -> None:
    """Check that this is the lead of this id; of a neighbour also each field."""
    assert lead.id.lower() == lead_id
    assert lead_id not in GOOD or problems or lead == LEADS[lead_id]


def is_innocent(error: BaseException, *, may_miss: bool) -> bool:
    """Whether a neighbour may fail like this: it was not reached, or another answer was refused."""
    kinds = (TransientError, DecodeError, RunError, *([NotFoundError] if may_miss else []))
    return isinstance(error, kinds)


def require_clean(error: BaseException) -> None:
    """Check all texts of an error, and that it holds no other error."""
    assert error.__cause__ is None
    assert error.__context__ is None
    members = {k: v for k, v in vars(error).items() if k not in {"raw", "partial"}}
    text = f"{error!r} {error} {error.args} {members} {pickle.dumps(error)!r}"
    require_no_secrets(text, KEY, "@example")
    if not isinstance(error, RequestRejectedError):  # quotes the reason that the API gives
        require_no_secrets(text, MARK)


def require_no_secrets(text: str, *secrets: str) -> None:
    for secret in secrets:
        at = text.find(secret)
        assert at < 0, text[max(0, at - 300) : at + 100]


search = settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@search
@given(plans(Odd.BODY, Odd.REFUSAL, Odd.EXTRA), setups)
def test_odd_bodies(rig: Rig, plan: Plan, setup: Setup) -> None:
    rig.play(plan, setup).require_laws()


@search
@given(plans(Odd.CODING, Odd.FRAMING, Odd.DELIVERY, Odd.EXTRA, Odd.END), setups)
def test_odd_framing(rig: Rig, plan: Plan, setup: Setup) -> None:
    rig.play(plan, setup).require_laws()


@search
@given(plans(Odd.STATUS, Odd.HEADERS, Odd.LINES, Odd.INTERIM, Odd.REFUSAL), setups)
def test_odd_heads(rig: Rig, plan: Plan, setup: Setup) -> None:
    rig.play(plan, setup).require_laws()


@search
@given(plans(), setups)
def test_anything(rig: Rig, plan: Plan, setup: Setup) -> None:
    rig.play(plan, setup).require_laws()
