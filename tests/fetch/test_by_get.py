"""Lookups by GET through pipeline, pace and retries, on a virtual clock."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from virtual_api import Answer, Run, failing, found
from virtual_loop import run_virtual, worst_window

from instantly_async import (
    AuthenticationError,
    Failed,
    Found,
    NotFound,
    RateLimit,
    RateLimitPauseError,
    RetryPolicy,
    RunError,
    ServerError,
    ServiceUnavailableError,
    errors,
)
from instantly_async._http import Response
from instantly_async.testing import lead_ids, lead_json
from instantly_async.testing.answers import error_body


def test_every_id_is_found_with_one_request_each() -> None:
    run = Run(lambda wire, _: found(wire), RateLimit()).over(lead_ids(1200))
    assert run.kinds() == {"Found": 1200}
    assert len(run.transport.sent) == run.recorder.requests == 1200
    assert all(isinstance(o, Found) and o.attempts == 1 for o in run.outcomes)
    assert worst_window(run.transport.times, 1.0) <= 99
    assert 1200 / run.ended_at > 94


@pytest.mark.soak
def test_soak_with_random_transient_faults() -> None:
    """5 % faults: every id found, wire attempts <= 1.2·N + 100."""
    rng = random.Random(7)
    faults: list[Callable[[], Answer]] = [
        lambda: failing(503),
        lambda: failing(502),
        lambda: errors.ConnectionFailedError("reset"),
        lambda: errors.RequestTimeoutError("slow"),
        lambda: errors.ProtocolError("no HTTP"),
        lambda: Response(200, {}, b'{"id": "cut'),
    ]

    def world(wire: str, _: float) -> Answer:
        return rng.choice(faults)() if rng.random() < 0.05 else found(wire)

    run = Run(world, RateLimit()).over(lead_ids(10_000))
    assert run.kinds() == {"Found": 10_000}
    assert len(run.transport.sent) <= 1.2 * 10_000 + 100
    assert run.recorder.retries == len(run.transport.sent) - 10_000


@pytest.mark.parametrize("concurrency", [1, 5, 100])
def test_an_outage_in_the_middle_fails_no_lead(concurrency: int) -> None:
    """20 s of nothing but failures: only probes meanwhile, and back within 31 s after."""
    outage = (10.0, 30.0)

    def world(wire: str, now: float) -> Answer:
        return failing(503) if outage[0] <= now < outage[1] else found(wire)

    count = min(20 * concurrency, 95) * 20
    run = Run(world, RateLimit(), concurrency=concurrency).over(lead_ids(count))
    assert run.kinds() == {"Found": count}
    during = [at for at in run.transport.times if outage[0] + 3 < at < outage[1]]
    assert len(during) <= 6
    after = [at for at in run.transport.times if at >= outage[1]]
    assert after
    assert after[0] <= outage[1] + 31
    rate_then = sum(after[0] + 1 <= at < after[0] + 2 for at in after)
    if concurrency == 100:
        assert rate_then > 80


def test_attempts_stay_within_the_budget_when_most_fail() -> None:
    """Law: wire attempts, probes apart, <= 1.2·N + 100, even when 60 % fail."""
    rng = random.Random(3)

    def world(wire: str, _: float) -> Answer:
        return failing(500) if rng.random() < 0.6 else found(wire)

    run = Run(world, retry=RetryPolicy(attempts=30, max_elapsed_s=1e6)).over(lead_ids(500))
    probes = len(run.transport.sent) - 500 - (100 + 0.2 * 500)
    assert run.kinds() == {"Found": 500}
    assert probes > 0  # the budget was used up, and probes continued
    gaps = [b - a for a, b in zip(run.transport.times, run.transport.times[1:], strict=False)]
    assert max(gaps) < 40


def test_an_outage_without_end_is_given_up() -> None:
    """After 120 s the run ends, with what was finished, and says what happened last."""

    def world(wire: str, now: float) -> Answer:
        return found(wire) if now < 1 else failing(503)

    run = Run(world, RateLimit()).over(lead_ids(1000))
    assert isinstance(run.error, ServiceUnavailableError)
    assert "HTTP 503" in str(run.error)
    assert set(run.kinds()) == {"Found"}
    assert 120 <= run.ended_at <= 130
    assert sum(at > 3 for at in run.transport.times) <= 10


def test_a_server_that_never_answered_is_given_up_too() -> None:
    """Also with one id in flight, which runs out of attempts before the breaker's 20."""
    run = Run(lambda *_: errors.ConnectionFailedError("refused"), concurrency=1).over(lead_ids(3))
    assert isinstance(run.error, ServiceUnavailableError)
    assert run.outcomes == []
    assert len(run.transport.sent) <= 25


def test_a_run_after_a_given_up_one_may_find_the_service_again() -> None:
    """The breaker stays open, but the next run's first id goes out as a probe."""
    state = {"up": False}
    run = Run(lambda wire, _: found(wire) if state["up"] else failing(500), concurrency=3)

    async def main() -> None:
        await run.main(lead_ids(10))
        assert isinstance(run.error, ServiceUnavailableError)
        state["up"] = True
        run.error = None
        await run.main(lead_ids(10))

    run_virtual(main())
    assert run.error is None
    assert run.kinds() == {"Found": 10}


def test_one_bad_id_fails_alone() -> None:
    bad = list(lead_ids(200))[50]
    run = Run(lambda wire, _: failing(500) if wire == bad else found(wire), RateLimit())
    run.over(lead_ids(200))
    assert run.kinds() == {"Found": 199, "Failed": 1}
    (failed,) = (o for o in run.outcomes if isinstance(o, Failed))
    assert isinstance(failed.error, ServerError)
    assert (failed.lead_id, failed.attempts, failed.error.attempts) == (bad, 5, 5)
    assert failed.error.lead_id == bad
    assert failed.error.last == "HTTP 500"
    assert failed.error.__traceback__ is None
    assert run.recorder.failed == {"ServerError": 1}


@pytest.mark.parametrize(
    ("answer", "attempts", "kind"),
    [
        (Response(404, {}, error_body(404, "Not found")), 1, "NotFound"),
        (Response(404, {}, b"<html>"), 21, "ProtocolError"),
        (failing(400), 1, "RequestRejectedError"),
        (failing(422), 1, "RequestRejectedError"),
        (Response(204, {}, b""), 21, "ProtocolError"),
        (Response(302, {"Location": "/"}, b""), 21, "ProtocolError"),
        (Response(200, {}, b"<html>"), 21, "DecodeError"),
        (Response(200, {}, b""), 21, "DecodeError"),
        (Response(200, {}, lead_json(next(lead_ids(1)))[:-9]), 3, "DecodeError"),
        (Response(200, {}, lead_json(next(lead_ids(1, seed=9)))), 2, "DecodeError"),
        (errors.DecodeError("too large", reason="oversized"), 1, "DecodeError"),
        (errors.RequestTimeoutError("slow"), 5, "RequestTimeoutError"),
    ],
)
def test_what_is_repeated_how_often(answer: Answer, attempts: int, kind: str) -> None:
    bad = next(lead_ids(1))
    run = Run(lambda wire, _: answer if wire == bad else found(wire), concurrency=2)
    run.over([bad, *lead_ids(100, seed=5)])
    (outcome,) = (outcome for outcome in run.outcomes if outcome.lead_id == bad)
    assert outcome.attempts == attempts
    if kind == "NotFound":
        assert isinstance(outcome, NotFound)
    else:
        assert isinstance(outcome, Failed)
        assert type(outcome.error).__name__ == kind


@pytest.mark.parametrize("concurrency", [1, 100])
@pytest.mark.parametrize("bad_count", [1, 2, 3, 5])
def test_bad_ids_at_the_end_fail_alone_too(bad_count: int, concurrency: int) -> None:
    """No other id is left to show that the service is alive; a minute of probes at most decides."""
    ids = list(lead_ids(50))
    good, bad = ids[:-bad_count], set(ids[-bad_count:])
    run = Run(lambda w, _: failing(500) if w in bad else found(w), concurrency=concurrency)
    run.over([*good, *bad])
    assert run.error is None
    assert run.kinds() == {"Found": len(good), "Failed": bad_count}
    if concurrency > 1:
        assert run.ended_at < 70


def test_a_breaker_that_was_left_open_does_not_refuse_the_next_run() -> None:
    """Its patience counts only while somebody waits."""
    state = {"up": False}
    run = Run(lambda wire, _: found(wire) if state["up"] else failing(500), patient=False)

    async def main() -> None:
        for _ in range(5):
            await run.main(lead_ids(1))
            run.error = None
        assert run.breaker.is_open
        await asyncio.sleep(300)
        state["up"], run.patient = True, True
        await run.main(lead_ids(50))

    run_virtual(main())
    assert run.error is None
    assert run.kinds()["Found"] == 50


def test_who_waited_for_its_turn_sees_that_the_breaker_has_opened() -> None:
    """At 8/s most of the hundred workers wait for their turn then, and none of them sends."""

    def world(wire: str, now: float) -> Answer:
        return failing(503) if 5.0 <= now < 40.0 else found(wire)

    run = Run(world, RateLimit(share=0.1)).over(lead_ids(300))
    assert run.kinds() == {"Found": 300}
    during = [at for at in run.transport.times if 8.5 <= at < 40.0]
    assert 1 <= len(during) <= 8  # probes, and the two that were near


def test_who_waited_for_a_slot_sees_that_the_breaker_has_opened() -> None:
    run = Run(lambda *_: failing(500), patient=False, slots=5, concurrency=500)
    run.over(lead_ids(500))
    assert isinstance(run.error, ServiceUnavailableError)
    assert len(run.transport.sent) <= 30


def test_a_pause_holds_without_a_rate_limit_too() -> None:
    first = next(lead_ids(1))

    def world(wire: str, now: float) -> Answer:
        return failing(429, Retry_After="2") if wire == first and now < 1 else found(wire)

    run = Run(world, slots=1).over(lead_ids(5))
    assert run.kinds() == {"Found": 5}
    assert not any(0.06 < at < 2 for at in run.transport.times)


def test_ids_that_are_no_uuid_make_no_request() -> None:
    hostile: list[Any] = ["../../v2/api-keys", "", None, 7, "%2e%2e"]
    run = Run(lambda wire, _: found(wire)).over(hostile)
    assert run.recorder.failed == {"InvalidLeadIdError": 5}
    assert run.transport.sent == []
    assert {o.attempts for o in run.outcomes} == {0}


def test_a_429_cuts_the_rate_and_is_repeated() -> None:
    """429s are free of budget and breaker, and nobody sends during the pause."""

    def world(wire: str, now: float) -> Answer:
        return failing(429) if 2.0 <= now < 2.02 else found(wire)

    run = Run(world, RateLimit()).over(lead_ids(1000))
    assert run.kinds() == {"Found": 1000}
    assert 1 <= run.recorder.throttled <= 8
    assert run.budget._level > 95
    assert not any(2.2 < at < 2.5 for at in run.transport.times)


def test_a_429_without_end_fails_the_id() -> None:
    run = Run(lambda *_: failing(429), concurrency=2).over(lead_ids(2))
    assert run.recorder.failed == {"RateLimitedError": 2}
    assert {o.attempts for o in run.outcomes} == {11}


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_pauses_everything(status: int) -> None:
    first = next(lead_ids(1))
    asked: list[float] = []

    def world(wire: str, now: float) -> Answer:
        if wire == first and not asked:
            asked.append(now)
            return failing(status, Retry_After="7")
        return found(wire)

    run = Run(world, RateLimit()).over(lead_ids(300))
    assert run.kinds() == {"Found": 300}
    answered = asked[0] + 0.05
    assert not any(answered < at < answered + 7 for at in run.transport.times)


@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_longer_than_the_cap_ends_the_run(status: int) -> None:
    run = Run(lambda *_: failing(status, Retry_After="1e9"), RateLimit()).over(lead_ids(9))
    assert isinstance(run.error, RateLimitPauseError)
    assert run.error.retry_after_s == 1e9
    assert len(run.transport.sent) <= 10
    assert run.ended_at < 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationError),
        (402, errors.PaymentRequiredError),
        (403, errors.PermissionDeniedError),
        (407, errors.ProxyError),
    ],
)
def test_a_fatal_answer_stops_the_run_within_a_second(status: int, kind: type[RunError]) -> None:
    """At most what is in flight is spent; what was finished before is kept."""

    def world(wire: str, now: float) -> Answer:
        return found(wire) if now < 1 else failing(status)

    run = Run(world, RateLimit()).over(lead_ids(5000))
    assert type(run.error) is kind
    assert run.ended_at < 2
    assert set(run.kinds()) == {"Found"}
    assert sum(at >= 1 for at in run.transport.times) < 20


def test_fatal_answers_to_probes_leave_nothing_stuck() -> None:
    """A probe that ends in a fatal error, a long pause or a 404 frees its place."""
    for answer in (failing(401), failing(503, Retry_After="1e9"), failing(404)):

        def world(_: str, now: float, answer: Answer = answer) -> Answer:
            return failing(500) if now < 20 else answer

        Run(world).over(lead_ids(40))  # ``main`` asserts that nothing is stuck


def test_a_page_of_html_for_everything_ends() -> None:
    """It is an outage, and no lead's failure."""
    run = Run(lambda *_: Response(200, {}, b"<html>maintenance")).over(lead_ids(300))
    assert isinstance(run.error, ServiceUnavailableError)
    assert "an HTML page" in str(run.error)
    assert run.outcomes == []
    assert run.ended_at < 130


def test_a_single_lookup_fails_at_once_while_the_breaker_is_open() -> None:
    """Impatient callers get ``ServiceUnavailableError``; one of them may be the probe."""
    run = Run(lambda *_: failing(500), patient=False, concurrency=1)

    async def main() -> None:
        for _ in range(6):
            await run.main(lead_ids(1))
        began = asyncio.get_running_loop().time()
        for _ in range(5):
            run.error = None
            await run.main(lead_ids(1))
            assert isinstance(run.error, ServiceUnavailableError)
        assert asyncio.get_running_loop().time() - began < 2

    run_virtual(main())
    assert run.recorder.failed["ServerError"] == 4  # 5 attempts each, and 20 open the breaker


def test_cancelling_while_waiting_as_a_probe_frees_it() -> None:
    """Leave at random instants during an outage with pauses: ``main`` asserts the rest."""
    rng = random.Random(11)

    def world(wire: str, now: float) -> Answer:
        if rng.random() < 0.2:
            return failing(503, Retry_After="3")
        return failing(500) if rng.random() < 0.8 else found(wire)

    for _ in range(30):
        run = Run(world, RateLimit(), concurrency=rng.choice([1, 3, 40]))

        async def main(run: Run = run) -> None:
            task = asyncio.create_task(run.main(lead_ids(400)))
            await asyncio.sleep(rng.random() * 30)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            run.require_clean()

        run_virtual(main())


def test_other_errors_of_the_transport_pass_through() -> None:
    """A closed client is not an outcome of an id."""
    run = Run(lambda *_: errors.ClosedError("closed"))
    with pytest.raises(errors.ClosedError):
        run.over(lead_ids(3))
