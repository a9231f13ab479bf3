"""Answers that are not from this API, through every layer, on a virtual clock.

They come from something in front of it: a page of a maintenance or a login, a redirect to one, a
gateway's own JSON. They say nothing about a lead, so no lead may be lost because of them.
"""

import random

import pytest
from virtual_api import Answer, Run, failing, found, page

from instantly_async import (
    Failed,
    Found,
    RateLimit,
    RateLimitPauseError,
    RetryPolicy,
    ServiceUnavailableError,
    Strategy,
    errors,
)
from instantly_async._http import Response
from instantly_async.testing import lead_ids
from instantly_async.testing.answers import error_body

KINDS = {
    "maintenance": Response(200, {}, b"<!DOCTYPE html><title>Down for maintenance</title>"),
    "empty": Response(200, {}, b""),
    "null": Response(200, {}, b"null"),
    "other JSON": Response(200, {}, b'{"status":"maintenance"}'),
    "other id": Response(200, {}, b'{"id":"req_1","error":"busy"}'),
    "other UUID": Response(
        200, {}, b'{"id":"6f9619ff-8b86-4d01-b42d-00cf4fc964ff","error":"busy"}'
    ),
    "login": Response(302, {"Location": "/login"}, b""),
    "no content": Response(204, {}, b""),
    "no route": Response(404, {}, b"<html>"),
    "captive portal": Response(511, {}, b"<html>Sign in"),
    "gone": Response(410, {}, b"Gone"),
    "bad request": Response(400, {}, b"<html>"),
    "bad request, 200": Response(200, {}, b'{"statusCode":400,"message":"x"}'),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", ["get", "list"])
def test_nothing_else_is_answered(kind: str, strategy: Strategy) -> None:
    """It is another server: the run ends at once, and no id has an outcome."""
    foreign = KINDS[kind]
    run = Run(
        lambda *_: foreign,
        RateLimit(),
        pages=lambda *_: foreign,
        strategy=strategy,
        retry=RetryPolicy(breaker_patience_s=60),
    ).over(lead_ids(500))
    assert isinstance(run.error, ServiceUnavailableError)
    assert "What answers is not the Instantly API" in str(run.error)
    assert run.outcomes == []
    assert run.ended_at < 5
    assert len(run.transport.sent) < 150  # by list, a 400 first makes the pages smaller


@pytest.mark.parametrize("kind", KINDS)
def test_after_one_answer_it_is_an_outage(kind: str) -> None:
    """It ends within the patience, and no other id has an outcome."""
    foreign = KINDS[kind]
    first, *_ = ids = list(lead_ids(500))
    run = Run(
        lambda lead_id, now, *_: found(lead_id) if now < 0.01 else foreign,
        RateLimit(),
        pages=lambda *_: foreign,
        retry=RetryPolicy(breaker_patience_s=60),
        concurrency=1,
    ).over(ids)
    assert isinstance(run.error, ServiceUnavailableError)
    assert [outcome.lead_id for outcome in run.outcomes] == [first]
    assert 60 < run.ended_at < 60 + 40


@pytest.mark.parametrize("kind", KINDS)
def test_forty_percent_of_them_cost_no_lead(kind: str) -> None:
    rng = random.Random(kind)
    foreign = KINDS[kind]

    def world(wire: str, _: float) -> Answer:
        return foreign if rng.random() < 0.4 else found(wire)

    def pages(wires: list[str], _: float) -> Answer:
        return foreign if rng.random() < 0.4 else page(wires)

    by_get = Run(world, RateLimit()).over(lead_ids(600))
    assert by_get.kinds() == {"Found": 600}
    assert by_get.ended_at < 3 * 600 / 95
    assert by_get.budget._level == 100  # no token was taken
    by_list = Run(world, RateLimit(), pages=pages, strategy="list").over(lead_ids(2000))
    assert by_list.kinds() == {"Found": 2000}


@pytest.mark.parametrize("strategy", ["get", "list"])
def test_a_maintenance_in_the_middle_costs_time_only(strategy: Strategy) -> None:
    def is_down(now: float) -> bool:
        return 1 <= now < 90

    run = Run(
        lambda wire, now: KINDS["maintenance"] if is_down(now) else found(wire),
        RateLimit(),
        pages=lambda wires, now: KINDS["maintenance"] if is_down(now) else page(wires),
        strategy=strategy,
    ).over(lead_ids(30_000 if strategy == "list" else 500))
    assert set(run.kinds()) == {"Found"}
    assert run.error is None
    assert 90 < run.ended_at < 150


@pytest.mark.parametrize("concurrency", [1, 100])
def test_an_id_that_never_gets_anything_else_fails_alone(concurrency: int) -> None:
    """Also if it is one of the last: a probe shows that the API itself is well."""
    ids = list(lead_ids(150))
    bad = {*ids[:2], *ids[-30:]}
    run = Run(
        lambda wire, _: KINDS["maintenance"] if wire in bad else found(wire),
        RateLimit(),
        concurrency=concurrency,
    ).over(ids)
    assert run.error is None
    assert run.kinds() == {"Found": 118, "Failed": 32}
    for outcome in run.outcomes:
        if isinstance(outcome, Failed):
            assert isinstance(outcome.error, errors.DecodeError)
            assert outcome.error.reason == "foreign"
            assert outcome.attempts == 21


def test_an_api_that_ends_each_body_early_is_down() -> None:
    """The leads are named in what arrives, but not one of them is whole."""
    run = Run(lambda wire, _: Response(200, {}, found(wire).body[:-20]), RateLimit())
    run.over(lead_ids(300))
    assert isinstance(run.error, ServiceUnavailableError)
    assert run.outcomes == []


def test_one_who_does_not_wait_gets_the_failure() -> None:
    run = Run(lambda *_: KINDS["maintenance"], patient=False, concurrency=1).over(lead_ids(3))
    assert isinstance(run.error, ServiceUnavailableError)
    assert "an HTML page" in str(run.error)
    assert run.ended_at < 25


@pytest.mark.parametrize("strategy", ["get", "list"])
def test_a_429_with_status_200_reduces_the_rate(strategy: Strategy) -> None:
    throttled = Response(200, {}, error_body(429, "Rate limit exceeded"))
    run = Run(
        lambda wire, now: throttled if now < 0.5 else found(wire),
        RateLimit(),
        pages=lambda wires, now: throttled if now < 0.5 else page(wires),
        strategy=strategy,
    ).over(lead_ids(200))
    assert run.kinds() == {"Found": 200}
    assert run.recorder.throttled > 0
    assert all(isinstance(o, Found) for o in run.outcomes)


def test_its_retry_after_is_obeyed_too() -> None:
    busy = Response(200, {"Retry-After": "7"}, error_body(503, "Busy"))
    run = Run(lambda wire, now: busy if now < 0.5 else found(wire), RateLimit())
    run.over(lead_ids(50))
    assert run.kinds() == {"Found": 50}
    assert run.ended_at > 7
    long = Response(200, {"Retry-After": "9999"}, error_body(429, "Busy"))
    run = Run(lambda *_: long, RateLimit()).over(lead_ids(50))
    assert isinstance(run.error, RateLimitPauseError)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, errors.AuthenticationError), (402, errors.PaymentRequiredError)],
)
def test_a_verdict_with_status_200_ends_the_run(status: int, kind: type[errors.RunError]) -> None:
    answer = Response(200, {}, error_body(status, "No"))
    run = Run(lambda *_: answer).over(lead_ids(50))
    assert type(run.error) is kind
    run = Run(lambda *_: failing(status)).over(lead_ids(50))
    assert type(run.error) is kind
