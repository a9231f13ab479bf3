"""A run over a virtual API: every layer but the transport, on a virtual clock.

The API is a function of (id, time), and for pages one of (ids, time): hours of outage take
milliseconds, and every wire attempt is on record. Nothing here has a socket.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from virtual_loop import run_virtual

from instantly_async import (
    Lead,
    LeadError,
    Outcome,
    RateLimit,
    RetryPolicy,
    RunError,
    Strategy,
    Timeouts,
)
from instantly_async._api import Endpoints
from instantly_async._fetch import GetLookup, Pipeline, StreamOptions, Workspace, make_pipeline
from instantly_async._fetch.intake import Intake, Source
from instantly_async._http import ApiKey, Reply, Request, Response, Server
from instantly_async._pace import AdaptiveLimiter, CircuitBreaker, Places, RetryBudget
from instantly_async._recorder import Recorder
from instantly_async.errors import ClosedError
from instantly_async.events import Observers
from instantly_async.outcomes import LeadId
from instantly_async.testing import lead_ids, lead_json
from instantly_async.testing.answers import error_body

Answer = Response | Exception
World = Callable[[str, float], Answer]
Pages = Callable[[list[str], float], Answer]


def found(wire: str) -> Response:
    return Response(200, {}, lead_json(wire))


def page(wires: Iterable[str], **more: Any) -> Response:
    """Return a list page of these leads."""
    items = [msgspec.Raw(lead_json(wire)) for wire in sorted(wires)]
    return Response(200, {}, msgspec.json.encode({"items": items, **more}))


def failing(status: int, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, named, error_body(status, "scripted"))


@dataclass
class VirtualTransport:
    """Answers after ``latency_s`` as ``world`` says; takes tokens like the real one."""

    world: World
    pages: Pages
    latency_s: float = 0.05
    check: Callable[[float], Answer] = lambda _: page(lead_ids(1, seed=77))
    limiter: AdaptiveLimiter | None = None
    checks: list[float] = field(default_factory=list)
    sent: list[tuple[float, str]] = field(default_factory=list)
    listed: list[list[str]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    async def send(
        self, request: Request, *, on_sent: Callable[[float], None], fresh: bool = False
    ) -> Reply:
        loop = asyncio.get_running_loop()
        if self.limiter is not None and not await self.limiter.acquire(lambda: True):
            return Reply(None, 0.0)
        sent_at = loop.time()
        on_sent(sent_at)
        wire = request.path.rpartition("/")[2]
        self.sent.append((sent_at, wire))
        answer = self.answer(wire, request.body, sent_at)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.latency_s)
        finally:
            self.in_flight -= 1
        if isinstance(answer, Response | LeadError | RunError):
            return Reply(answer, loop.time() - sent_at)
        raise answer

    def answer(self, wire: str, body: bytes | None, now: float) -> Answer:
        if body is None:
            return self.world(wire, now)
        ids = msgspec.json.decode(body).get("ids")
        if ids is None:
            self.checks.append(now)
            return self.check(now)
        self.listed.append(ids)
        return self.pages(ids, now)

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.sent]


@dataclass
class Run:
    """A run over a virtual transport, and its results."""

    world: World = lambda wire, _: found(wire)
    rate_limit: RateLimit | None = None
    retry: RetryPolicy = RetryPolicy()
    concurrency: int = 100
    patient: bool = True
    slots: int = 100
    seed: int = 1
    strategy: Strategy = "get"
    pages: Pages = lambda wires, _: page(wires)
    confirm_missing: bool = True
    keep_raw: bool = False
    ordered: bool = False
    limit: int | None = None
    check: Callable[[float], Answer] | None = None

    def __post_init__(self) -> None:
        self.transport = VirtualTransport(self.world, self.pages, check=self.check or self.ask)
        self.recorder = Recorder()
        self.observers = Observers()
        self.budget = RetryBudget(self.retry)
        jitter = random.Random(self.seed).random
        self.breaker = CircuitBreaker(self.retry, jitter, observers=self.observers)
        self.list_breaker = CircuitBreaker(self.retry, jitter)
        self.outcomes: list[Outcome[Lead]] = []
        self.error: RunError | None = None
        self.ended_at = 0.0

    def ask(self, now: float) -> Answer:
        """Answer a check as a page of one lead would be answered."""
        return self.pages(list(lead_ids(1, seed=77)), now)

    def workspace(self) -> Workspace:
        limiter = AdaptiveLimiter(self.rate_limit, rng=random.Random(self.seed).random)
        limiter.watched_by.add(self.observers)
        self.transport.limiter = limiter if self.rate_limit else None
        return Workspace(
            transport=self.transport,
            slots=Places(self.slots),
            limiter=limiter,
            budget=self.budget,
            breakers={"GET": self.breaker, "POST": self.list_breaker},
            key=ApiKey("a-key", "a test"),
            retry=self.retry,
            rng=random.Random(self.seed).random,
            wall_clock=lambda: 1_800_000_000.0,
            server=Server("api.test", 443),
        )

    def pipeline(self, ids: Source[LeadId]) -> Pipeline[Any, Outcome[Lead]]:
        endpoints = Endpoints(Lead, Timeouts(), self.retry)
        if not self.patient:
            impatient = GetLookup(endpoints, self.workspace(), self.recorder, patient=False)
            return Pipeline(Intake(ids), impatient.run, concurrency=self.concurrency)
        options = StreamOptions(
            strategy=self.strategy,
            ordered=self.ordered,
            concurrency=self.limit,
            keep_raw=self.keep_raw,
            confirm_missing=self.confirm_missing,
        )
        return make_pipeline(
            ids,
            options,
            endpoints,
            self.workspace(),
            self.recorder,
            most=self.concurrency,
            on_end=lambda: None,
        )

    async def main(self, ids: Source[LeadId]) -> None:
        await self.drain(lambda: self.pipeline(ids))

    async def drain(self, make: Callable[[], Pipeline[Any, Any]]) -> None:
        pipeline = make()
        try:
            async for outcome in pipeline:
                self.outcomes.append(outcome)
        except RunError as error:
            self.error = error
        finally:
            await pipeline.aclose(ClosedError("closed"))
        self.ended_at = asyncio.get_running_loop().time()
        self.require_clean()

    def require_clean(self) -> None:
        """Nobody waits any more, and nothing is held."""
        for breaker in (self.breaker, self.list_breaker):
            assert breaker._waiting == 0
            assert not breaker._leading.locked()
            assert not breaker._probing.locked()
        assert not self.budget._turn.locked()
        assert self.recorder.in_flight == self.recorder.waiting == 0

    def over(self, ids: Source[LeadId]) -> "Run":
        run_virtual(self.main(ids))
        return self

    def kinds(self) -> Counter[str]:
        return Counter(type(outcome).__name__ for outcome in self.outcomes)
