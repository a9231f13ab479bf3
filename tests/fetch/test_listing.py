"""A listing on a virtual clock: what it requests, what it trusts, where it ends."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_api import failing
from virtual_leads import (
    CAMPAIGN,
    LIST,
    OTHER_CAMPAIGN,
    Browse,
    lead,
    lead_id,
    leads,
    page_of,
)

from instantly_async import (
    DecodeError,
    Failed,
    FilterIgnoredError,
    Found,
    ListingError,
    RateLimit,
    ServiceUnavailableError,
)
from instantly_async._api import LeadFilter
from instantly_async._http import Response

BY_CAMPAIGN = LeadFilter.by_id("campaign", CAMPAIGN)
BY_LIST = LeadFilter.by_id("list_id", LIST)
ALL = LeadFilter.everything()


def browse(count: int = 250, **settings: Any) -> Browse:
    """Return a run over a workspace in which every other lead is of another campaign."""
    there = [
        each | ({"campaign": OTHER_CAMPAIGN} if number % 2 else {})
        for number, each in enumerate(leads(2 * count))
    ]
    return Browse(leads=there, **settings)


EVEN = [lead_id(number) for number in range(0, 500, 2)]


def test_a_campaign_page_by_page() -> None:
    """In the API's order, behind the last lead of each page, until an empty page."""
    run = browse().listing(BY_CAMPAIGN)
    assert run.ids == EVEN
    assert [outcome.index for outcome in run.outcomes] == list(range(250))
    canary, *pages = run.transport.bodies
    assert canary["limit"] == 1
    assert UUID(canary["campaign"]).version == 4
    cursors = [None, EVEN[99], EVEN[199], EVEN[249]]
    assert [body.get("starting_after") for body in pages] == cursors
    assert {body["campaign"] for body in pages} == {CAMPAIGN}
    assert {body["limit"] for body in pages} == {100}
    assert run.recorder.found == run.recorder.requested == 250
    assert run.recorder.requests == 6
    assert run.transport.gets == [EVEN[249]]  # whether the lead of the last cursor is there
    assert all(outcome.attempts == 1 for outcome in run.outcomes)
    assert run.error is None


def test_a_list() -> None:
    run = Browse(leads=[lead(1), lead(2, list_id=None), lead(3)]).listing(BY_LIST)
    assert run.ids == [lead_id(1), lead_id(3)]
    assert [list(body) for body in run.transport.bodies[1:]] == [
        ["list_id", "limit"],
        ["list_id", "limit", "starting_after"],
    ]


def test_the_workspace_needs_no_proof() -> None:
    run = browse(100).listing(ALL)
    assert len(run.ids) == 200
    assert [body for body in run.transport.bodies if len(body) > 2] == []
    assert run.recorder.requests == 4


def test_it_goes_on_behind_a_lead() -> None:
    run = browse().listing(BY_CAMPAIGN, after=EVEN[120])
    assert run.ids == EVEN[121:]


def test_an_empty_campaign() -> None:
    run = Browse(leads=leads(3)).listing(LeadFilter.by_id("campaign", OTHER_CAMPAIGN))
    assert run.outcomes == []
    assert run.error is None


def test_the_next_page_is_requested_meanwhile() -> None:
    """100 pages in the time of 103 requests, although each waits for the one before."""
    run = Browse(leads=leads(10_000), rate_limit=RateLimit()).listing(BY_CAMPAIGN)
    assert len(run.outcomes) == 10_000
    assert run.ended_at == pytest.approx(103 * 0.05, rel=0.01)


def ignoring(body: dict[str, Any]) -> dict[str, Any]:
    return {key: body[key] for key in ("limit", "starting_after") if key in body}


@pytest.mark.parametrize("wanted", [BY_CAMPAIGN, BY_LIST])
def test_an_ignored_filter_is_noticed_before_anything_is_given(wanted: LeadFilter) -> None:
    """Reported: a filter is ignored, and the whole workspace comes back."""
    run = browse(hooks={"ask": ignoring}).listing(wanted)
    assert run.outcomes == []
    assert isinstance(run.error, FilterIgnoredError)
    assert wanted.name in str(run.error)
    assert run.recorder.requests == 2  # one wrong answer may be that to another request


def test_a_stranger_on_a_later_page_ends_the_listing() -> None:
    """What came before is kept; nothing of that page is used, also if it comes again."""

    def reply(body: dict[str, Any], items: list[dict[str, Any]]) -> Response | None:
        strange = body.get("starting_after") == EVEN[99]
        return page_of([*items[:50], lead(999, campaign=OTHER_CAMPAIGN)]) if strange else None

    run = browse(hooks={"reply": reply}).listing(BY_CAMPAIGN)
    assert run.ids == EVEN[:100]
    assert isinstance(run.error, FilterIgnoredError)
    assert sum(body.get("starting_after") == EVEN[99] for body in run.transport.bodies) == 2


def test_one_misdelivered_page_is_repeated() -> None:
    answers = iter([page_of([lead(999, campaign=OTHER_CAMPAIGN)])])

    def reply(body: dict[str, Any], items: list[dict[str, Any]]) -> Response | None:
        return next(answers, None) if "starting_after" in body else None

    run = browse(hooks={"reply": reply}).listing(BY_CAMPAIGN)
    assert run.ids == EVEN
    assert run.error is None


def test_a_canary_that_is_rejected_has_been_read() -> None:
    """What the API says of a campaign that does not exist is unknown."""
    for status in (400, 404, 422):

        def reply(body: dict[str, Any], _: object, status: int = status) -> Response | None:
            return None if body["campaign"] == CAMPAIGN else failing(status)

        assert browse(hooks={"reply": reply}).listing(BY_CAMPAIGN).ids == EVEN


def test_a_page_that_leaves_the_field_out_is_confirmed_by_get_lead() -> None:
    """Reported of ``email``; whatever the field, the lead is not taken on trust."""

    def show(each: dict[str, Any]) -> dict[str, Any]:
        hidden = each["id"] in EVEN[:2]
        return {key: value for key, value in each.items() if not (hidden and key == "campaign")}

    run = browse(hooks={"show": show}).listing(BY_CAMPAIGN)
    assert run.ids == EVEN
    assert run.transport.gets == [*EVEN[:2], EVEN[249]]
    assert [outcome.attempts for outcome in run.outcomes[:3]] == [2, 2, 1]
    assert all(outcome.lead.campaign == CAMPAIGN for outcome in run.outcomes)


def test_a_lead_whose_campaign_get_lead_does_not_show_either_is_a_stranger() -> None:
    def reply(body: dict[str, Any], _: object) -> Response | None:
        return page_of([lead(1, campaign=None)]) if body["campaign"] == CAMPAIGN else None

    run = Browse(leads=[lead(1, campaign=None)], hooks={"reply": reply}).listing(BY_CAMPAIGN)
    assert run.outcomes == []
    assert isinstance(run.error, FilterIgnoredError)


def test_a_lead_that_is_deleted_before_it_is_confirmed_is_left_out() -> None:
    def reply(body: dict[str, Any], items: list[dict[str, Any]]) -> Response | None:
        hidden = [{"id": lead_id(7)}] if body["campaign"] == CAMPAIGN and items else []
        return page_of([*items, *hidden])

    run = Browse(leads=leads(3), hooks={"reply": reply}).listing(BY_CAMPAIGN)
    assert run.ids == [lead_id(0), lead_id(1), lead_id(2)]
    assert run.error is None


class Narrow(msgspec.Struct):
    """A caller's own type, without the fields that are compared."""

    website: str | None = None


def test_a_type_without_the_field_is_checked_all_the_same() -> None:
    run = browse(lead_type=Narrow).listing(BY_CAMPAIGN)
    assert run.ids == EVEN
    assert {type(outcome.lead) for outcome in run.outcomes} == {Narrow}
    assert all(outcome.raw is None for outcome in run.outcomes)
    assert browse(lead_type=Narrow, hooks={"ask": ignoring}).listing(BY_CAMPAIGN).outcomes == []


def test_raw_is_kept_on_request() -> None:
    run = browse(keep_raw=True).listing(BY_CAMPAIGN)
    assert {msgspec.json.decode(outcome.raw)["campaign"] for outcome in run.outcomes} == {CAMPAIGN}


def test_repeated_leads_are_given_once() -> None:
    """Reported while leads change: a page begins with leads of the page before, also the last."""
    there = leads(250)

    def reply(body: dict[str, Any], _: object) -> Response | None:
        if body["campaign"] != CAMPAIGN:
            return None
        ids = [each["id"] for each in there]
        after = body.get("starting_after")
        start = 0 if after is None else max(0, ids.index(after) + 1 - 7)
        return page_of(there[start : start + 100])

    run = Browse(leads=there, hooks={"reply": reply}).listing(BY_CAMPAIGN)
    assert run.ids == [each["id"] for each in there]
    assert run.error is None


def test_the_same_page_again_and_again_is_an_error() -> None:
    """Reported: an offset is ignored. A cursor could be."""

    def ask(body: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in body.items() if key != "starting_after"}

    run = browse(hooks={"ask": ask}).listing(BY_CAMPAIGN)
    assert run.ids == EVEN[:100]
    assert isinstance(run.error, FilterIgnoredError)
    assert "the same leads again" in str(run.error)


@given(st.permutations(range(130)))
def test_ids_that_do_not_ascend_are_no_error(order: list[int]) -> None:
    """Documented: ascending; but *older leads may be out of sequence*."""
    there = [lead(number) for number in order]
    run = Browse(leads=there).listing(BY_CAMPAIGN)
    assert run.ids == [each["id"] for each in there]
    assert run.error is None


def test_items_that_do_not_decode() -> None:
    """By *Get lead* if they have an id; otherwise a failure without one. Nothing is left out."""

    def show(each: dict[str, Any]) -> Any:
        if each["id"] == EVEN[3]:
            return {"id": each["id"], "campaign": CAMPAIGN, "payload": {"x": [1] * 10}, "email": 1}
        return "no lead" if each["id"] == EVEN[5] else each

    run = browse(hooks={"show": show}).listing(BY_CAMPAIGN)
    failed = [outcome for outcome in run.outcomes if isinstance(outcome, Failed)]
    assert [(each.lead_id, type(each.error)) for each in failed] == [("", DecodeError)]
    found = [outcome.lead_id for outcome in run.outcomes if isinstance(outcome, Found)]
    assert found == [each for each in EVEN if each != EVEN[5]]
    assert str(failed[0].error) == "An item of a page is no lead with an id (1 attempt)"


def test_an_id_that_is_no_uuid_is_never_put_into_a_path() -> None:
    def show(each: dict[str, Any]) -> dict[str, Any]:
        return {"id": "../../v2/api-keys"} if each["id"] == EVEN[0] else each

    run = browse(hooks={"show": show}).listing(BY_CAMPAIGN)
    assert run.transport.gets == [EVEN[249]]
    assert [type(outcome) for outcome in run.outcomes].count(Failed) == 1


def test_a_page_that_fails_is_tried_shorter() -> None:
    """One lead may be the reason, or the size of the page."""

    def reply(body: dict[str, Any], items: list[dict[str, Any]]) -> Response | None:
        return failing(500) if EVEN[42] in [each["id"] for each in items[1:]] else None

    run = browse(hooks={"reply": reply}).listing(BY_CAMPAIGN)
    assert run.ids == EVEN
    asked = [body for body in run.transport.bodies[1:] if "campaign" in body]
    limits = dict.fromkeys(body["limit"] for body in asked)
    assert list(limits) == [100, 50, 25, 12, 6, 3, 1]


def test_a_lead_that_cannot_be_listed_ends_the_listing() -> None:
    """It cannot be skipped, because its id is not known."""

    def reply(body: dict[str, Any], items: list[dict[str, Any]]) -> Response | None:
        return failing(500) if EVEN[42] in [each["id"] for each in items] else None

    run = browse(hooks={"reply": reply}).listing(BY_CAMPAIGN)
    assert run.ids == EVEN[:42]
    assert isinstance(run.error, ListingError)
    assert str(run.error) == (
        f"The page behind lead {EVEN[41]} cannot be fetched: HTTP 500; try again later."
    )
    assert run.error.reason is not None
    assert run.error.reason.attempts > 5


def test_a_rejected_listing_is_not_repeated() -> None:
    run = browse(hooks={"reply": lambda body, _: failing(400)}).listing(ALL)
    assert isinstance(run.error, ListingError)
    assert run.recorder.requests == 1


def test_404_is_an_empty_page() -> None:
    """How the API says that it has no leads, or no more, is unknown."""
    run = browse(hooks={"reply": lambda body, items: None if items else failing(404)})
    assert run.listing(BY_CAMPAIGN).ids == EVEN
    assert run.error is None
    run = browse(hooks={"reply": lambda body, _: failing(404)}).listing(BY_CAMPAIGN)
    assert run.ids == []
    assert run.error is None


def test_an_outage_is_waited_for() -> None:
    class Down:
        until = 60.0
        now = 0.0

    run = browse()
    answer = run.transport.answer

    def answering(wire: str, body: bytes | None, now: float) -> Any:
        return failing(503) if 0.2 < now < Down.until else answer(wire, body, now)

    run.transport.answer = answering  # type: ignore[method-assign]
    assert run.listing(BY_CAMPAIGN).ids == EVEN
    Down.until = 1e9
    run = browse()
    answer = run.transport.answer
    run.transport.answer = answering  # type: ignore[method-assign]
    assert isinstance(run.listing(BY_CAMPAIGN).error, ServiceUnavailableError)


def deleting(run: Browse, after: str | None, gone: set[str]) -> None:
    """Delete these leads when the page behind a cursor has been answered."""

    def reply(body: dict[str, Any], items: list[dict[str, Any]]) -> None:
        if body.get("starting_after") == after and body["limit"] > 1:
            there = run.transport.leads
            there[:] = [each for each in there if each["id"] not in gone]

    run.transport.reply = reply


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_leads_that_are_deleted_meanwhile(count: int) -> None:
    """Unknown: what is behind the cursor then. Here nothing, which must not pass for the end."""
    run = browse()
    deleting(run, None, set(EVEN[100 - count : 100]))
    run.listing(BY_CAMPAIGN)
    assert run.ids == EVEN
    assert run.error is None
    # Behind an earlier lead, or from the first one if too many have gone.
    assert run.recorder.requests <= 15


@pytest.mark.parametrize("status", [400, 404])
def test_a_cursor_that_is_rejected_because_its_lead_has_gone(status: int) -> None:
    run = browse()
    deleting(run, None, {EVEN[99]})
    there, answer = run.transport.leads, run.transport.answer

    def answering(wire: str, body: bytes | None, now: float) -> Any:
        after = msgspec.json.decode(body or b"{}").get("starting_after")
        if after is not None and all(each["id"] != after for each in there):
            return failing(status)
        return answer(wire, body, now)

    run.transport.answer = answering  # type: ignore[method-assign]
    assert run.listing(BY_CAMPAIGN).ids == EVEN
    assert run.error is None


@pytest.mark.parametrize("gone", [{EVEN[120]}, {EVEN[120], EVEN[200]}, set(EVEN)])
def test_it_goes_on_although_its_lead_has_gone(gone: set[str]) -> None:
    """The last lead of last night's file may have been deleted."""
    run = browse()
    there = run.transport.leads
    there[:] = [each for each in there if each["id"] not in gone]
    run.listing(BY_CAMPAIGN, after=EVEN[120])
    assert run.ids == [each for each in EVEN[121:] if each not in gone]
    assert run.error is None


def test_a_lead_that_has_moved_to_another_campaign_is_no_cursor() -> None:
    run = browse()
    run.transport.leads[240]["campaign"] = OTHER_CAMPAIGN  # EVEN[120]

    def reply(body: dict[str, Any], _: object) -> Response | None:
        return page_of([]) if body.get("starting_after") == EVEN[120] else None

    run.transport.reply = reply
    assert run.listing(BY_CAMPAIGN, after=EVEN[120]).ids == EVEN[121:]


def test_the_end_is_looked_up_once() -> None:
    """A finished listing that finds nothing new costs three requests."""
    run = browse().listing(BY_CAMPAIGN, after=EVEN[249])
    assert run.ids == []
    assert run.recorder.requests == 3


def test_a_last_lead_that_get_lead_cannot_read_is_no_reason_to_begin_again() -> None:
    unreadable = browse()
    answer = unreadable.transport.answer

    def answering(wire: str, body: bytes | None, now: float) -> Any:
        return failing(500) if body is None else answer(wire, body, now)

    unreadable.transport.answer = answering  # type: ignore[method-assign]
    assert unreadable.listing(BY_CAMPAIGN).ids == EVEN


def test_repetitions_in_the_middle_are_passed_over() -> None:
    """One page without a new lead is not the end, however short it is."""
    answers = iter([page_of([lead(number) for number in range(20, 40, 2)])])

    def reply(body: dict[str, Any], _: object) -> Response | None:
        return next(answers, None) if body.get("starting_after") == EVEN[99] else None

    run = browse(hooks={"reply": reply}).listing(BY_CAMPAIGN)
    assert run.ids == EVEN
    assert run.error is None


@pytest.mark.parametrize("length", [1, 40, 99, 100])
def test_a_cursor_that_is_ignored_is_an_error_whatever_the_length_of_the_page(length: int) -> None:
    def reply(body: dict[str, Any], items: list[dict[str, Any]]) -> Response | None:
        if body["campaign"] != CAMPAIGN or "starting_after" not in body:
            return None
        return page_of([lead(number) for number in range(0, 2 * length, 2)])

    run = browse(hooks={"reply": reply}).listing(BY_CAMPAIGN)
    assert run.ids == EVEN[:100]
    assert isinstance(run.error, FilterIgnoredError)


@pytest.mark.parametrize("count", [1, 2, 100, 101, 250])
def test_a_cursor_that_includes_its_lead(count: int) -> None:
    """Documented otherwise; but then a listing never has an empty page."""
    there = leads(count)

    def reply(body: dict[str, Any], _: object) -> Response | None:
        if body["campaign"] != CAMPAIGN:
            return None
        ids = [each["id"] for each in there]
        start = ids.index(body["starting_after"]) if "starting_after" in body else 0
        return page_of(there[start : start + body["limit"]])

    run = Browse(leads=there, hooks={"reply": reply}).listing(BY_CAMPAIGN)
    assert run.ids == [each["id"] for each in there]
    assert run.error is None


def test_a_page_that_names_no_ids_is_not_the_end() -> None:
    """Each of its items is a failure; what is behind them cannot be known."""

    def show(each: dict[str, Any]) -> dict[str, Any]:
        return {"id": 5, "campaign": CAMPAIGN} if each["id"] in EVEN[100:200] else each

    run = browse(hooks={"show": show}).listing(BY_CAMPAIGN)
    assert [outcome.lead_id for outcome in run.outcomes] == EVEN[:100] + [""] * 100
    assert isinstance(run.error, ListingError)
    assert "No lead is left behind which to go on" in str(run.error)


def empty(cursor: str) -> Response:
    return Response(200, {}, msgspec.json.encode({"items": [], "next_starting_after": cursor}))


def test_an_empty_page_with_a_cursor_is_looked_behind() -> None:
    """Documented: an empty page is the end. But a cursor on it says otherwise."""

    def reply(body: dict[str, Any], _: object) -> Response | None:
        return empty(EVEN[104]) if body.get("starting_after") == EVEN[99] else None

    run = browse(hooks={"reply": reply}).listing(BY_CAMPAIGN)
    assert run.ids == EVEN[:100] + EVEN[105:]

    def endless(body: dict[str, Any], items: list[dict[str, Any]]) -> Response | None:
        return None if items else empty(EVEN[0])

    run = browse(hooks={"reply": endless}).listing(BY_CAMPAIGN)
    assert run.ids == EVEN
    assert run.error is None


def test_a_consumer_that_deletes_what_it_gets() -> None:
    """Each pass begins again, and gives what is left."""
    run = browse()
    there = run.transport.leads

    def reply(body: dict[str, Any], items: list[dict[str, Any]]) -> Response | None:
        if body["campaign"] != CAMPAIGN or "starting_after" in body:
            return None
        gone = [each["id"] for each in items]
        there[:] = [each for each in there if each["id"] not in gone]
        return page_of(items)

    run.transport.reply = reply
    assert run.listing(BY_CAMPAIGN).ids == EVEN
    assert run.error is None


def test_leads_that_get_lead_denies_do_not_go_round_for_ever() -> None:
    run = browse()
    answer = run.transport.answer

    def answering(wire: str, body: bytes | None, now: float) -> Any:
        return failing(404) if body is None else answer(wire, body, now)

    run.transport.answer = answering  # type: ignore[method-assign]
    assert run.listing(BY_CAMPAIGN).ids == EVEN
    assert isinstance(run.error, ListingError)
    assert run.recorder.requests < 40


def test_a_page_with_more_leads_than_were_asked_for() -> None:
    """Of thousands, only the first thousand are read; the rest comes behind them."""
    there = leads(3000)

    def reply(body: dict[str, Any], _: object) -> Response | None:
        if body["campaign"] != CAMPAIGN:
            return None
        ids = [each["id"] for each in there]
        start = ids.index(body["starting_after"]) + 1 if "starting_after" in body else 0
        return page_of(there[start:])

    run = Browse(leads=there, hooks={"reply": reply}).listing(BY_CAMPAIGN)
    assert run.ids == [each["id"] for each in there]
