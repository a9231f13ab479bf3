"""Verdicts about the whole run that contradict what was seen before, on a virtual clock."""

import asyncio
from collections import Counter

import pytest
from virtual_api import Answer, Run, failing, found, page
from virtual_loop import run_virtual

from instantly_async import RateLimit, RunError, ServiceUnavailableError, Strategy, errors
from instantly_async.testing import lead_ids

IDS = list(lead_ids(300))

VERDICTS: dict[str, tuple[Answer, type[RunError]]] = {
    "401": (failing(401), errors.AuthenticationError),
    "402": (failing(402), errors.PaymentRequiredError),
    "403": (failing(403), errors.PermissionDeniedError),
    "TLS": (errors.TLSError("not trusted"), errors.TLSError),
    "proxy": (errors.ProxyError(), errors.ProxyError),
}


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("limit", [RateLimit(), None])
def test_one_is_not_believed(verdict: str, limit: RateLimit | None) -> None:
    """Not even if several requests get one each, at the same time or one after the other."""
    answer, _ = VERDICTS[verdict]
    spurious = set(IDS[100:110]) | set(IDS[150::20])
    asked: Counter[str] = Counter()

    def world(wire: str, _: float) -> Answer:
        asked[wire] += 1
        return answer if wire in spurious and asked[wire] == 1 else found(wire)

    run = Run(world, limit, concurrency=20).over(IDS)
    assert run.error is None
    assert run.kinds() == {"Found": 300}
    assert run.recorder.retries == len(spurious)
    assert all(o.attempts == 1 + (o.lead_id in spurious) for o in run.outcomes)
    assert run.budget._level == 100


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("strategy", ["get", "list"])
def test_it_is_confirmed_once_while_everything_else_waits(verdict: str, strategy: Strategy) -> None:
    answer, kind = VERDICTS[verdict]
    run = Run(
        lambda wire, now: found(wire) if now < 1 else answer,
        RateLimit(),
        pages=lambda wires, now: page(wires) if now < 1 else answer,
        strategy=strategy,
    ).over(lead_ids(40_000 if strategy == "list" else 2_000))
    assert type(run.error) is kind
    assert set(run.kinds()) == {"Found"}
    assert run.ended_at < 2
    assert sum(1 <= at < 1.2 for at in run.transport.times) < 12  # what was in flight
    # One asks. As soon as it has its answer, a few leave before the run is over.
    assert 1 <= sum(at >= 1.2 for at in run.transport.times) < 5


@pytest.mark.parametrize("verdict", VERDICTS)
def test_without_a_success_before_it_is_believed_at_once(verdict: str) -> None:
    answer, kind = VERDICTS[verdict]
    run = Run(lambda *_: answer, concurrency=1).over(IDS)
    assert type(run.error) is kind
    assert len(run.transport.sent) == 1


def test_a_request_that_alone_is_refused_ends_the_run() -> None:
    """Such as one that a firewall takes for an attack: as before, but asked twice."""
    run = Run(lambda wire, _: failing(403) if wire == IDS[200] else found(wire), RateLimit())
    run.over(IDS)
    assert isinstance(run.error, errors.PermissionDeniedError)
    assert [wire for _, wire in run.transport.sent].count(IDS[200]) == 2


def test_a_key_that_was_refused_twice_is_not_trusted_any_more() -> None:
    """Other runs of this client do not ask again; after a success, they do."""
    revoked_at = 5.0
    run = Run(
        lambda wire, now: found(wire) if not revoked_at <= now < 50 else failing(401),
        RateLimit(),
    )
    workspace = run.workspace()
    run.workspace = lambda: workspace  # type: ignore[method-assign]  # one client, many runs

    async def count(ids: list[str]) -> int:
        before = len(run.transport.sent)
        run.error = None
        await run.main(ids)
        return len(run.transport.sent) - before

    async def main() -> None:
        assert await count(IDS[:1]) == 1
        await asyncio.sleep(10.0)
        assert await count(IDS[:1]) == 2
        assert isinstance(run.error, RunError)
        assert await count(IDS[:1]) == 1
        assert isinstance(run.error, RunError)
        await asyncio.sleep(60.0)
        assert await count(IDS[:1]) == 1
        assert run.error is None

    run_virtual(main())


def test_a_probe_asks_once_more_too() -> None:
    """During an outage: it neither waits for itself nor holds up others."""
    refused: list[float] = []

    def world(wire: str, now: float) -> Answer:
        if now >= 5 and not refused:
            refused.append(now)
            return failing(401)
        return failing(500) if 1 <= now < 5 else found(wire)

    run = Run(world, RateLimit()).over(IDS)
    assert run.error is None
    assert run.kinds() == {"Found": 300}
    assert len(refused) == 1
    run = Run(lambda w, now: found(w) if now < 1 else failing(500 if now < 5 else 401), RateLimit())
    run.over(IDS)
    assert isinstance(run.error, errors.AuthenticationError)
    assert run.ended_at < 20


def test_who_asks_may_be_cancelled() -> None:
    """Then the next one asks."""
    run = Run(lambda wire, now: found(wire) if now < 1 else failing(401), concurrency=3)

    async def main() -> None:
        task = asyncio.create_task(run.main(lead_ids(1000)))
        await asyncio.sleep(1.2)
        task.cancel()
        await asyncio.wait([task])
        run.require_clean()
        run.error = None
        await run.main(IDS[:5])
        assert isinstance(run.error, errors.AuthenticationError)

    run_virtual(main())


def test_an_outage_that_begins_while_one_asks() -> None:
    """It asks past the open breaker, and gets an answer that says nothing about the key."""

    def world(wire: str, now: float) -> Answer:
        if now < 1:
            return found(wire)
        return failing(401) if now < 1.02 else errors.ConnectionFailedError("reset")

    run = Run(world, RateLimit()).over(IDS)
    assert isinstance(run.error, ServiceUnavailableError)
    assert run.ended_at < 140
