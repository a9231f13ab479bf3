"""The list strategy on a virtual clock: what it requests, what it trusts, how it falls back."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from virtual_api import Answer, Run, failing, found, page
from virtual_loop import run_virtual, worst_window

from instantly_async import (
    AuthenticationError,
    DecodeError,
    Failed,
    Found,
    LeadId,
    NotFound,
    RateLimit,
    ServerError,
    ServiceUnavailableError,
    errors,
)
from instantly_async._http import Response
from instantly_async.testing import lead_ids, lead_json

STRANGER = next(lead_ids(1, seed=99))


def by_list(**settings: Any) -> Run:
    return Run(strategy="list", **settings)


def absent(wire: str, _: float) -> Answer:
    return failing(404)


def items(*parts: bytes) -> Response:
    return Response(200, {}, b'{"items": [' + b", ".join(parts) + b"]}")


def gets(run: Run) -> list[str]:
    return [wire for _, wire in run.transport.sent if wire != "list"]


def test_a_hundred_ids_a_request() -> None:
    run = by_list().over(lead_ids(1234))
    assert run.kinds() == {"Found": 1234}
    assert sorted(o.index for o in run.outcomes) == list(range(1234))
    assert [len(ids) for ids in run.transport.listed] == [100] * 12 + [34]
    assert gets(run) == []
    assert run.recorder.requests == 13
    assert run.recorder.fallbacks == 0
    assert all(isinstance(o, Found) and o.attempts == 1 for o in run.outcomes)
    assert run.transport.most_in_flight == 8


def test_pages_keep_the_rate_limit() -> None:
    """One token a page: 30,000 leads in a bit over 3 s."""
    run = by_list(rate_limit=RateLimit(), limit=100).over(lead_ids(30_000))
    assert run.kinds() == {"Found": 30_000}
    assert worst_window(run.transport.times, 1.0) <= 99
    assert run.ended_at < 3.3


def test_each_lead_goes_to_the_id_that_asked_for_it() -> None:
    """Duplicates, another letter case, UUIDs and white space: one outcome per input, in order."""
    one, two, three = lead_ids(3)
    ids: list[LeadId] = [one, two.upper(), f" {one}\n", UUID(three), "no id", one.upper(), three]
    run = by_list(ordered=True).over(ids)
    assert [o.lead_id for o in run.outcomes] == ids
    assert [o.index for o in run.outcomes] == list(range(7))
    wires = [o.lead.id if isinstance(o, Found) else None for o in run.outcomes]
    assert wires == [one, two, one, three, None, one, three]
    assert run.transport.listed == [[one, two, three]]
    assert run.recorder.requested == 7
    assert run.recorder.failed == {"InvalidLeadIdError": 1}


def test_a_page_in_another_letter_case() -> None:
    ids = list(lead_ids(5))

    def pages(wires: list[str], _: float) -> Answer:
        return items(
            *(lead_json(wire).replace(wire.encode(), wire.upper().encode()) for wire in wires)
        )

    run = by_list(pages=pages).over(ids)
    assert run.kinds() == {"Found": 5}
    assert gets(run) == []


def test_an_empty_input_sends_nothing() -> None:
    assert by_list().over([]).transport.sent == []


def test_what_is_no_id_sends_nothing() -> None:
    run = by_list().over(["../../v2/api-keys", "", "%2e"])
    assert run.transport.sent == []
    assert run.recorder.failed == {"InvalidLeadIdError": 3}


def test_missing_ids_are_confirmed_one_by_one() -> None:
    """A 404 is a 404 in both strategies; what the page only forgot is found."""
    ids = list(lead_ids(250))
    gone, forgotten = set(ids[::50]), set(ids[1::50])

    def pages(wires: list[str], _: float) -> Answer:
        return page(set(wires) - gone - forgotten)

    run = by_list(pages=pages, world=lambda w, _: failing(404) if w in gone else found(w)).over(ids)
    assert run.kinds() == {"Found": 245, "NotFound": 5}
    assert {o.lead_id for o in run.outcomes if isinstance(o, NotFound)} == gone
    assert set(gets(run)) == gone | forgotten
    assert {o.attempts for o in run.outcomes if o.lead_id in gone | forgotten} == {2}
    assert run.recorder.fallbacks == 10


def test_the_absence_can_be_trusted() -> None:
    ids = list(lead_ids(150))
    gone = set(ids[:3])
    run = by_list(pages=lambda w, _: page(set(w) - gone), confirm_missing=False).over(ids)
    assert run.kinds() == {"Found": 147, "NotFound": 3}
    assert gets(run) == []


@pytest.mark.parametrize("answer", [page([]), page([], next_starting_after=STRANGER)])
def test_an_empty_page(answer: Response) -> None:
    run = by_list(pages=lambda *_: answer, world=absent).over(lead_ids(30))
    assert run.kinds() == {"NotFound": 30}
    assert len(gets(run)) == 30


def test_a_cursor_on_the_page_means_nothing() -> None:
    run = by_list(pages=lambda w, _: page(w, next_starting_after=w[-1])).over(lead_ids(300))
    assert run.kinds() == {"Found": 300}
    assert len(run.transport.sent) == 3


@pytest.mark.parametrize("confirm_missing", [True, False])
def test_a_stranger_ends_the_strategy_for_the_run(
    confirm_missing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A filter that is ignored: all goes by GET, and one warning says so."""
    foreign = list(lead_ids(100, seed=5))
    caplog.set_level(logging.WARNING)
    run = by_list(pages=lambda *_: page(foreign), confirm_missing=confirm_missing)
    run.over(lead_ids(2500))
    assert run.kinds() == {"Found": 2500}
    assert len(run.transport.listed) == 8  # those that were on their way
    assert len(gets(run)) == 2500
    assert run.recorder.list_distrusted
    assert run.recorder.fallbacks == 2500
    assert len(caplog.records) == 1
    assert "not requested" in caplog.text


def test_one_stranger_among_the_right_ones_is_enough() -> None:
    """Nothing of such a page is used, not even the requested leads."""
    run = by_list(pages=lambda w, _: page([*w, STRANGER]), world=absent).over(lead_ids(50))
    assert run.kinds() == {"NotFound": 50}
    assert run.recorder.list_distrusted
    assert {o.attempts for o in run.outcomes} == {2}


def test_with_distrust_no_absence_is_trusted_any_more() -> None:
    """Also on a page that was in flight when another one held a stranger."""
    first = next(lead_ids(1))

    def pages(wires: list[str], _: float) -> Answer:
        return page([STRANGER]) if first in wires else page([])

    run = by_list(pages=pages, confirm_missing=False).over(lead_ids(200))
    assert run.kinds() == {"Found": 200}


@pytest.mark.parametrize("keep_raw", [True, False])
@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"email":"', b'"email":"\xff'), (b"}", b',"unknown":"\xc3"}')],
)
def test_an_item_that_does_not_decode_is_asked_for_alone(
    old: bytes, new: bytes, keep_raw: bool
) -> None:
    """One bad byte costs one more request, and no lead."""
    bad = list(lead_ids(60))[7]

    def pages(wires: list[str], _: float) -> Answer:
        spoilt = new.join(lead_json(bad).rsplit(old, 1))
        return items(*(spoilt if w == bad else lead_json(w) for w in wires))

    run = by_list(pages=pages, keep_raw=keep_raw, confirm_missing=False).over(lead_ids(60))
    assert run.kinds() == {"Found": 60}
    unseen = b"unknown" in new and not keep_raw  # no caller gets that byte
    assert gets(run) == ([] if unseen else [bad])
    assert [o.attempts for o in run.outcomes if o.lead_id == bad] == [1 if unseen else 2]
    if keep_raw:
        assert all(
            isinstance(o, Found) and o.raw == lead_json(str(o.lead_id)) for o in run.outcomes
        )


def test_an_item_without_id_makes_every_absence_doubtful() -> None:
    ids = list(lead_ids(10))
    run = by_list(
        pages=lambda w, _: items(*map(lead_json, w[1:]), b'{"email": "a@b.example"}'),
        confirm_missing=False,
    ).over(ids)
    assert run.kinds() == {"Found": 10}
    assert gets(run) == ids[:1]


def test_an_odd_field_is_salvaged_on_a_page_too() -> None:
    ids = list(lead_ids(20))

    def pages(wires: list[str], _: float) -> Answer:
        odd = msgspec.json.decode(lead_json(wires[3])) | {"email": "cut \ud83d"[:3], "status": "1"}
        body = msgspec.json.encode(odd).replace(b'"cut"', rb'"cut \ud83d"')
        return items(*(body if i == 3 else lead_json(w) for i, w in enumerate(wires)))

    run = by_list(pages=pages).over(ids)
    assert run.kinds() == {"Found": 20}
    (odd,) = (o for o in run.outcomes if isinstance(o, Found) and o.problems)
    assert odd.lead_id == ids[3]
    assert set(odd.problems) == {"email", "status"}
    assert odd.lead.email == "cut \N{REPLACEMENT CHARACTER}"
    assert odd.raw is not None
    assert rb"\ud83d" in odd.raw
    assert gets(run) == []


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (Response(200, {}, b"<html>"), 5),
        (Response(200, {}, b'{"items": ['), 3),
        (Response(200, {}, b'{"statusCode": 500, "error": "x", "message": "y"}'), 5),
        (Response(200, {}, b'{"items": {}}'), 2),
        (Response(204, {}, b""), 5),
        (failing(404), 1),
        (Response(404, {}, b"<html>"), 5),
        (failing(405), 1),
        (errors.DecodeError("too large", reason="oversized"), 1),
        (failing(500), 5),
        (errors.RequestTimeoutError("slow"), 5),
    ],
)
def test_a_page_that_fails_goes_one_by_one(answer: Answer, requests: int) -> None:
    """Never 100 failures for one page; a 404 of the endpoint is not a lead's 404."""
    run = by_list(pages=lambda *_: answer).over(lead_ids(40))
    assert run.kinds() == {"Found": 40}
    assert len(run.transport.listed) == requests
    assert {o.attempts for o in run.outcomes} == {requests + 1}
    assert run.recorder.fallbacks == 40


def test_an_id_fails_only_by_its_own_fault() -> None:
    """A lead that spoils every page it is on and fails alone too is one ``Failed``."""
    ids = list(lead_ids(500))
    bad = ids[250]

    def pages(wires: list[str], _: float) -> Answer:
        return failing(500) if bad in wires else page(wires)

    run = by_list(pages=pages, world=lambda w, _: failing(500) if w == bad else found(w)).over(ids)
    assert run.kinds() == {"Found": 499, "Failed": 1}
    (failed,) = (o for o in run.outcomes if isinstance(o, Failed))
    assert isinstance(failed.error, ServerError)
    assert (failed.lead_id, failed.error.lead_id) == (bad, bad)


def test_duplicates_of_a_failed_id_have_errors_of_their_own() -> None:
    bad = next(lead_ids(1))
    world = {bad: Response(200, {}, b"<html>")}
    run = by_list(pages=lambda *_: page([]), world=lambda w, _: world.get(w, found(w)))
    run.over([bad, bad.upper(), *lead_ids(3, seed=4)])
    one, two = (o.error for o in run.outcomes if isinstance(o, Failed))
    assert isinstance(one, DecodeError)
    assert one is not two
    assert {one.lead_id, two.lead_id} == {bad, bad.upper()}
    assert run.recorder.failed == {"DecodeError": 2}


@pytest.mark.parametrize("listed", [True, False])
def test_duplicates_have_leads_of_their_own(*, listed: bool) -> None:
    """Whether their lead was on the page or was requested alone."""
    twice = next(lead_ids(1))
    run = by_list(pages=lambda wires, _: page(wires if listed else []))
    run.over([twice, twice.upper(), twice])
    leads: list[Any] = [o.lead for o in run.outcomes if isinstance(o, Found)]
    first, *others = leads
    assert leads == [first] * 3
    first.payload["x"] = "changed"
    assert all("x" not in lead.payload for lead in others)
    assert others[0].payload is not others[1].payload


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize(("most", "size"), [(99, 50), (50, 50), (49, 25), (12, 12), (2, 1), (1, 1)])
def test_too_many_ids_halve_the_chunks_of_the_run(status: int, most: int, size: int) -> None:
    def pages(wires: list[str], _: float) -> Answer:
        return page(wires) if len(wires) <= most else failing(status)

    run = by_list(pages=pages).over(lead_ids(3000))
    assert run.kinds() == {"Found": 3000}
    lengths = [len(ids) for ids in run.transport.listed]
    assert max((n for n in lengths if n <= most), default=1) == size
    assert sum(n > most for n in lengths) <= 8 * 7
    # Of the chunks on their way, a last id may still be requested as a page of its own.
    assert len(gets(run)) >= 2900 if size == 1 else not gets(run)


def test_an_id_is_charged_only_for_the_pages_that_it_was_on() -> None:
    """Of a page that is cut, each piece is one more request for its own ids only."""
    run = by_list(pages=lambda wires, _: page(wires) if len(wires) <= 25 else failing(413))
    run.over(lead_ids(100))
    # With 100, 50 and 25 ids; the other half is not tried with 50 any more.
    assert sorted(outcome.attempts for outcome in run.outcomes) == [2] * 50 + [3] * 50


def test_one_id_that_the_list_refuses_does_not_shorten_the_run() -> None:
    """Lists of this length were accepted before, so it is not the length: bisect, then GET."""
    ids = list(lead_ids(5000))
    bad = ids[3333]

    def pages(wires: list[str], _: float) -> Answer:
        return failing(400) if bad in wires else page(wires)

    run = by_list(pages=pages).over(ids)
    assert run.kinds() == {"Found": 5000}
    assert gets(run) == [bad]
    assert len(run.transport.listed) <= 50 + 20


@pytest.mark.soak
def test_a_list_that_begins_to_refuse_everything_is_left() -> None:
    """Pages of that length were accepted before, but that does not count forever."""

    def pages(wires: list[str], now: float) -> Answer:
        return page(wires) if now < 0.2 else failing(400)

    run = by_list(pages=pages).over(lead_ids(10_000))
    assert run.kinds() == {"Found": 10_000}
    assert len(run.transport.listed) < 300


def test_one_bad_id_in_the_first_page_does_not_end_the_strategy() -> None:
    ids = list(lead_ids(5000))

    def pages(wires: list[str], _: float) -> Answer:
        return failing(400) if ids[99] in wires else page(wires)

    for limit in (1, None):
        run = by_list(pages=pages, limit=limit).over(ids)
        assert run.kinds() == {"Found": 5000}
        assert gets(run) == [ids[99]]
        assert len(run.transport.listed) < 130


def test_an_id_with_a_bad_byte_is_no_stranger() -> None:
    """It has no usable id, so ids that the page leaves out are requested alone."""
    ids = list(lead_ids(300))
    bad = ids[7].encode()

    def pages(wires: list[str], _: float) -> Answer:
        return items(*(lead_json(w).replace(bad, b"\xff" + bad[1:]) for w in wires))

    run = by_list(pages=pages, confirm_missing=False).over(ids)
    assert run.kinds() == {"Found": 300}
    assert gets(run) == [ids[7]]
    assert not run.recorder.list_distrusted


def test_a_list_that_takes_few_ids_or_none_is_no_slower_than_get() -> None:
    for strategy in ("get", "list"):
        run = Run(strategy=strategy, pages=lambda *_: failing(400), rate_limit=RateLimit())
        run.over(lead_ids(2000))
        assert run.ended_at < 2000 / 95 + 2
        assert run.transport.most_in_flight > 5


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_an_outage_without_end_is_given_up_in_time(concurrency: int) -> None:
    """The ids of a chunk come one after another: that does not restart the breaker's patience."""

    def world(wire: str, now: float) -> Answer:
        return found(wire) if now < 0.3 else failing(503)

    def pages(wires: list[str], now: float) -> Answer:
        return page(wires) if now < 0.3 else failing(503)

    run = by_list(world=world, pages=pages, limit=concurrency, concurrency=concurrency)
    run.over(lead_ids(20_000))
    assert isinstance(run.error, ServiceUnavailableError)
    assert run.ended_at < 200


@pytest.mark.parametrize("ordered", [True, False])
def test_a_stray_cancellation_loses_no_id_in_silence(ordered: bool) -> None:
    """It ends the run; a task group alone would treat it as a normal end."""
    ids = list(lead_ids(300))

    def world(wire: str, _: float) -> Answer:
        if wire == ids[42]:
            raise asyncio.CancelledError("from within")
        return found(wire)

    run = by_list(pages=lambda *_: page([]), world=world, ordered=ordered)
    with pytest.raises(asyncio.CancelledError):
        run.over(ids)


@pytest.mark.soak
def test_a_list_endpoint_that_is_down_does_not_end_the_run() -> None:
    """The breaker opens, a single id goes first as a probe, and shows that GET works."""
    for concurrency in (None, 1, 40):
        run = by_list(pages=lambda *_: failing(500), rate_limit=RateLimit(), limit=concurrency)
        run.over(lead_ids(2000))
        assert run.error is None
        assert run.kinds() == {"Found": 2000}
        assert len(run.transport.listed) < 300
        if concurrency != 1:
            assert run.ended_at < 2000 / 95 + 15


@pytest.mark.soak
def test_an_outage_in_the_middle_fails_no_lead() -> None:
    def world(wire: str, now: float) -> Answer:
        return failing(503) if 1 <= now < 21 else found(wire)

    def pages(wires: list[str], now: float) -> Answer:
        return failing(503) if 1 <= now < 21 else page(wires)

    for concurrency in (None, 1, 30):
        run = by_list(world=world, pages=pages, rate_limit=RateLimit(), limit=concurrency)
        run.over(lead_ids(20_000))
        assert run.kinds() == {"Found": 20_000}
        assert sum(3 < at < 21 for at in run.transport.times) <= 10
        assert run.ended_at < 21 + 31 + 25


def test_a_fatal_answer_stops_the_run() -> None:
    """To a page, and to one of many single ids; what was finished is kept."""
    run = by_list(pages=lambda w, now: page(w) if now < 0.1 else failing(401)).over(lead_ids(5000))
    assert isinstance(run.error, AuthenticationError)
    assert set(run.kinds()) == {"Found"}
    run = by_list(pages=lambda *_: page([]), world=lambda *_: failing(401)).over(lead_ids(50))
    assert isinstance(run.error, AuthenticationError)
    assert run.error.__context__ is None


def test_an_error_that_ends_an_outage_refers_to_no_other() -> None:
    """*Get lead* stays down, and the question whether *List leads* is up shows a bad key."""
    run = by_list(
        world=lambda *_: failing(503), pages=lambda *_: page([]), check=lambda _: failing(401)
    ).over(lead_ids(30))
    assert isinstance(run.error, AuthenticationError)
    assert run.error.__context__ is None


@pytest.mark.parametrize("limit", [1, 3, None])
def test_requests_in_flight_are_bounded(limit: int | None) -> None:
    """By the stream's ``concurrency``, pages and single ids together."""
    run = by_list(pages=lambda *_: page([]), limit=limit, concurrency=20, slots=20)
    run.over(lead_ids(1000))
    assert run.kinds() == {"Found": 1000}
    assert run.transport.most_in_flight == (limit or 20)


def test_in_order_with_what_pages_leave_out() -> None:
    ids = list(lead_ids(2000))
    rng = random.Random(4)
    run = by_list(pages=lambda w, _: page(x for x in w if rng.random() < 0.9), ordered=True)
    run.over(ids)
    assert [o.lead_id for o in run.outcomes] == ids


def test_a_slow_input_is_not_held_back() -> None:
    """Ids that trickle in go after the flush time, in small chunks, and the input is not cut."""

    async def trickle() -> AsyncIterator[str]:
        for lead_id in lead_ids(12):
            await asyncio.sleep(0.02)
            yield lead_id
        await asyncio.sleep(5)
        for lead_id in lead_ids(150, seed=2):
            yield lead_id

    run = by_list().over(trickle())
    assert run.kinds() == {"Found": 162}
    sizes = [len(ids) for ids in run.transport.listed]
    assert max(sizes[:-2]) <= 4
    assert sizes[-2:] == [100, 50]
    assert run.transport.times[0] < 0.02 + 0.06


Q = st.sampled_from(["found", "forgotten", "gone", "odd", "bad"])


@given(
    kinds=st.lists(Q, max_size=60),
    repeats=st.integers(1, 3),
    troubles=st.lists(
        st.sampled_from([200, 200, 200, 400, 413, 429, 500, 503, 0, 1, 2]), min_size=1
    ),
    confirm=st.booleans(),
    ordered=st.booleans(),
    limit=st.integers(1, 12),
)
@example(
    kinds=["bad", "bad"], repeats=1, troubles=[400], confirm=False, ordered=False, limit=1
)  # nothing is recognized as the API, except a probe
@settings(deadline=None, max_examples=120)
def test_law(  # noqa: PLR0917 - one parameter per dimension of the law
    kinds: list[str], repeats: int, troubles: list[int], confirm: bool, ordered: bool, limit: int
) -> None:
    """Whatever pages do, each input gets the outcome it gets by GET; nothing is left over."""
    ids = list(lead_ids(len(kinds)))
    kind_of = dict(zip(ids, kinds, strict=True))
    rng = random.Random(repr(troubles))

    def world(wire: str, _: float) -> Answer:
        if kind_of.get(wire) == "gone":
            return failing(404)
        return Response(200, {}, b"<html>") if kind_of.get(wire) == "bad" else found(wire)

    def listed(wire: str) -> bytes | None:
        body = lead_json(wire)
        return {
            "found": body,
            "forgotten": None if confirm else body,
            "gone": None,
            "odd": body[:-1] + rb', "status": "7", "email": "\ud83d"}',
            "bad": body[:-1] + b', "email": "\xff"}',
        }[kind_of[wire]]

    def pages(wires: list[str], _: float) -> Answer:
        status = rng.choice(troubles)
        parts = [part for part in map(listed, wires) if part is not None]
        if status == 0:
            return Response(200, {}, b'{"items": [{"id": "')
        if status == 1:
            return items(*parts, lead_json(STRANGER))
        if status == 2:
            return errors.ConnectionFailedError("reset")
        return items(*parts) if status == 200 else failing(status)

    run = by_list(
        world=world, pages=pages, confirm_missing=confirm, ordered=ordered, limit=limit
    ).over(ids * repeats)
    assert run.error is None
    names = {"gone": "NotFound", "bad": "Failed"}
    assert sorted(o.index for o in run.outcomes) == list(range(len(ids) * repeats))
    for outcome in run.outcomes:
        assert outcome.lead_id == ids[outcome.index % len(ids)]
        assert type(outcome).__name__ == names.get(kind_of[str(outcome.lead_id)], "Found")
        assert not isinstance(outcome, Found) or outcome.lead.id == outcome.lead_id
    if ordered:
        assert [o.index for o in run.outcomes] == list(range(len(ids) * repeats))
    assert run.transport.most_in_flight <= limit


def test_leaving_at_any_instant_leaves_nothing() -> None:
    """``main`` asserts that no probe, waiter or id in flight is left."""
    rng = random.Random(8)

    def world(wire: str, _: float) -> Answer:
        return rng.choice([found(wire), failing(500), failing(429, Retry_After="1")])

    def pages(wires: list[str], _: float) -> Answer:
        return rng.choice([page(wires), page([]), failing(500), failing(413)])

    for _ in range(30):
        run = by_list(world=world, pages=pages, rate_limit=RateLimit(), limit=rng.choice([1, 8]))

        async def main(run: Run = run) -> None:
            task = asyncio.create_task(run.main(lead_ids(2000)))
            await asyncio.sleep(rng.random() * 20)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            run.require_clean()

        run_virtual(main())
