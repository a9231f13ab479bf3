"""Leads by email on a virtual clock: what is searched, what is trusted, what is tried again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_api import failing
from virtual_leads import OTHER_CAMPAIGN, Browse, lead, lead_id, leads, matches, page_of

from instantly_async import (
    ConfigurationError,
    DecodeError,
    EmailMatch,
    FilterIgnoredError,
    InvalidEmailError,
    RateLimit,
    RequestRejectedError,
    ServerError,
)
from instantly_async._fetch import EmailOptions
from instantly_async._http import Response

Body = dict[str, Any]


def emails(*numbers: int) -> list[str]:
    return [f"person{number}@example.com" for number in numbers]


def found_in(run: Browse) -> dict[int, list[str]]:
    """Return the ids that were found, by the index of their email."""
    return {match.index: [found.lead_id for found in match.found] for match in run.outcomes}


def test_each_email_gets_one_match() -> None:
    run = Browse(leads=leads(300)).search(emails(5, 7, 400))
    assert found_in(run) == {0: [lead_id(5)], 1: [lead_id(7)], 2: []}
    first = run.outcomes[0]
    assert isinstance(first, EmailMatch)
    assert first.leads[0].email == first.email == "person5@example.com"
    assert first.found[0].index == 0
    assert {match.error for match in run.outcomes} == {None}
    assert run.recorder.found == 2
    assert run.recorder.not_found == 1
    assert repr(first) == "<EmailMatch index=0 email='…@example.com' leads=1 attempts=2>"


def test_an_email_can_be_several_leads() -> None:
    """Documented: one per campaign or list."""
    twice = [lead(1), lead(2, email="PERSON1@Example.com", campaign=OTHER_CAMPAIGN), lead(3)]
    run = Browse(leads=twice).search(emails(1))
    assert found_in(run) == {0: [lead_id(1), lead_id(2)]}
    assert [each.campaign for each in run.outcomes[0].leads][1] == OTHER_CAMPAIGN


def test_what_is_sent() -> None:
    """98 emails and the sentinel, which is the last; paged until an empty page."""
    run = Browse(leads=leads(300)).search(emails(*range(1, 251)))
    assert [len(contacts) for contacts in run.searches] == [99, 99, 55, 99, 99, 55]
    assert {contacts[-1] for contacts in run.searches} == {"person0@example.com"}
    canary = next(body for body in run.transport.bodies if body["limit"] == 1)
    assert canary["contacts"][0].endswith("@example.invalid")
    assert sum(body == {"limit": 100} for body in run.transport.bodies) == 1
    assert found_in(run) == {number - 1: [lead_id(number)] for number in range(1, 251)}
    assert all(match.attempts == 2 for match in run.outcomes)


def test_ten_thousand_emails_in_three_seconds() -> None:
    """Within the documented limits, with 50 ms for each answer."""
    run = Browse(leads=leads(500), rate_limit=RateLimit(), ordered=True)
    run.search(f"person{number % 500}@example.com" for number in range(9_999))
    assert len(run.outcomes) == 9_999
    assert run.recorder.requests == 2 + 2 * 103
    assert run.ended_at < 3.0


def test_more_leads_than_a_page() -> None:
    there = [lead(number, email="many@example.com") for number in range(250)]
    run = Browse(leads=[*there, lead(999)]).search(["Many@example.com", *emails(999)])
    assert found_in(run) == {0: [each["id"] for each in there], 1: [lead_id(999)]}


def test_case_does_not_count() -> None:
    """As it is spelled and in lower case, because it is unknown how the API compares."""
    exact = [lead(1, email="Ada@Example.com"), lead(2, email="bob@example.com"), lead(3)]

    def reply(body: Body, _: object) -> Response | None:
        if "contacts" not in body or "starting_after" in body:
            return page_of([]) if "starting_after" in body else None
        return page_of([each for each in exact if each["email"] in body["contacts"]])

    run = Browse(leads=exact, hooks={"reply": reply})
    run.search(["Ada@Example.com", "ada@example.COM", "Bob@Example.com"])
    one, two = [lead_id(1)], [lead_id(2)]
    assert found_in(run) == {0: one, 1: one, 2: two}
    first, second, _ = (match.found[0].lead for match in run.outcomes)
    assert first is not second  # each consumer may change its own


def test_at_most_a_hundred_contacts() -> None:
    """Two spellings of an email count twice."""
    run = Browse(leads=leads(200)).search(f"Person{number}@Example.com" for number in range(200))
    assert max(map(len, run.searches)) <= 100
    assert found_in(run) == {number: [lead_id(number)] for number in range(200)}


@pytest.mark.parametrize("bad", ["", "ada", "a@b, c@d", None, 7, lead_id(1)])
def test_what_is_no_email_is_never_sent(bad: Any) -> None:
    run = Browse(leads=leads(9)).search([*emails(1), bad])
    assert found_in(run) == {0: [lead_id(1)], 1: []}
    error = next(match.error for match in run.outcomes if match.index == 1)
    assert type(error) is InvalidEmailError
    assert all(bad not in contacts for contacts in run.searches)
    assert run.recorder.failed == {"InvalidEmailError": 1}


def test_only_invalid_emails_need_no_request() -> None:
    run = Browse(leads=leads(9)).search(["ada", "bob"])
    assert len(run.outcomes) == 2
    assert run.recorder.requests == 0


def test_an_ignored_filter_ends_the_run_before_anything_is_given() -> None:
    def ask(body: Body) -> Body:
        return {key: value for key, value in body.items() if key != "contacts"}

    run = Browse(leads=leads(300), hooks={"ask": ask}).search(emails(*range(250)))
    assert run.outcomes == []
    assert isinstance(run.error, FilterIgnoredError)
    assert "contacts" in str(run.error)
    assert "@" not in str(run.error)


def test_a_filter_that_is_read_in_part_is_noticed() -> None:
    """Unknown: how many emails a call takes. Those left out must not seem to have no leads."""

    def ask(body: Body) -> Body:
        return body | {"contacts": body["contacts"][:20]} if "contacts" in body else body

    run = Browse(leads=leads(300), hooks={"ask": ask}, limit=1, ordered=True)
    run.search(emails(*range(1, 251)))
    assert found_in(run) == {number - 1: [lead_id(number)] for number in range(1, 251)}
    assert run.error is None
    sizes = [len(contacts) for contacts in run.searches]
    assert max(sizes[20:]) <= 20  # it has learned how many


def test_a_filter_that_is_ignored_if_it_is_long_is_noticed() -> None:
    def ask(body: Body) -> Body:
        is_long = len(body.get("contacts", ())) > 30
        return {key: value for key, value in body.items() if not (is_long and key == "contacts")}

    run = Browse(leads=leads(300), hooks={"ask": ask}).search(emails(*range(1, 251)))
    assert found_in(run) == {number - 1: [lead_id(number)] for number in range(1, 251)}


def test_too_many_contacts_are_rejected() -> None:
    def reply(body: Body, _: object) -> Response | None:
        return failing(400) if len(body.get("contacts", ())) > 30 else None

    run = Browse(leads=leads(300), hooks={"reply": reply}, limit=1)
    run.search(emails(*range(1, 251)))
    assert found_in(run) == {number - 1: [lead_id(number)] for number in range(1, 251)}
    assert [len(each) for each in run.searches].count(99) == 1


def test_one_bad_email_does_not_take_others_with_it() -> None:
    def reply(body: Body, _: object) -> Response | None:
        return failing(400) if "person42@example.com" in body.get("contacts", ()) else None

    run = Browse(leads=leads(300), hooks={"reply": reply}).search(emails(*range(1, 251)))
    errors = {match.index: match.error for match in run.outcomes if match.error}
    assert list(errors) == [41]
    assert type(errors[41]) is RequestRejectedError
    assert errors[41].attempts == next(m.attempts for m in run.outcomes if m.error) > 1
    assert "@" not in str(errors[41])
    assert run.recorder.found == 249


def test_a_deleted_sentinel_is_replaced() -> None:
    """Its lead may be deleted while a long search runs; that says nothing of the filter."""
    there = leads(300)

    def reply(body: Body, _: object) -> None:
        if len(run.transport.bodies) == 6:
            del there[0]

    run = Browse(leads=there, hooks={"reply": reply}, limit=1)
    run.search(emails(*range(1, 251)))
    assert found_in(run) == {number - 1: [lead_id(number)] for number in range(1, 251)}
    assert run.error is None
    last = dict.fromkeys(contacts[-1] for contacts in run.searches)
    assert list(last)[:2] == emails(0, 98)  # the second was found, and is farther behind


def test_an_api_that_finds_nobody_is_noticed() -> None:
    """Without the sentinel, all emails would seem to have no lead."""

    def reply(body: Body, _: object) -> Response | None:
        return page_of([]) if "contacts" in body else None

    run = Browse(leads=leads(300), hooks={"reply": reply}).search(emails(*range(9)))
    assert run.outcomes == []
    assert isinstance(run.error, FilterIgnoredError)


def test_an_empty_workspace() -> None:
    run = Browse(leads=[]).search(emails(1, 2))
    assert found_in(run) == {0: [], 1: []}
    assert run.error is None


def test_pages_that_leave_the_email_out() -> None:
    """Reported of some workspaces: *Get lead* shows it, so the lead is no stranger."""

    def show(each: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in each.items() if key != "email"}

    run = Browse(leads=leads(9), hooks={"show": show}).search(emails(3, 4, 77))
    assert found_in(run) == {0: [lead_id(3)], 1: [lead_id(4)], 2: []}
    assert lead_id(3) in run.transport.gets


class Narrow(msgspec.Struct):
    website: str | None = None


def test_a_type_without_email_is_checked_all_the_same() -> None:
    run = Browse(leads=leads(9), lead_type=Narrow).search(emails(3, 77))
    assert found_in(run) == {0: [lead_id(3)], 1: []}
    assert [type(each) for each in run.outcomes[0].leads] == [Narrow]


def test_an_item_that_cannot_be_read_fails_its_email_only() -> None:
    """Which email it has is not known until it is searched alone."""

    def show(each: dict[str, Any]) -> Any:
        return "no lead" if each["id"] == lead_id(42) else each

    run = Browse(leads=leads(300), hooks={"show": show}).search(emails(*range(1, 120)))
    failed = [match for match in run.outcomes if match.error]
    assert [match.index for match in failed] == [41]
    assert run.recorder.found == 118


def test_the_same_page_again_and_again_is_an_error() -> None:
    there = [lead(number, email="many@example.com") for number in range(250)]

    def ask(body: Body) -> Body:
        return {key: value for key, value in body.items() if key != "starting_after"}

    run = Browse(leads=there, hooks={"ask": ask}).search(["many@example.com"])
    assert isinstance(run.error, FilterIgnoredError)


def test_a_failing_search_is_cut_until_it_is_known_why() -> None:
    def reply(body: Body, _: object) -> Response | None:
        return failing(500) if "person9@example.com" in body.get("contacts", ()) else None

    run = Browse(leads=leads(30), hooks={"reply": reply}).search(emails(*range(1, 20)))
    assert {m.index for m in run.outcomes if isinstance(m.error, ServerError)} == {8}
    assert run.recorder.found == 18


def test_a_proof_that_fails_fails_those_emails_only() -> None:
    """It is tried again with the next emails."""
    failures = iter(range(5))

    def reply(body: Body, _: object) -> Response | None:
        is_canary = body.get("contacts", [""])[0].endswith("@example.invalid")
        return failing(500) if is_canary and next(failures, None) is not None else None

    run = Browse(leads=leads(300), limit=1, hooks={"reply": reply}, ordered=True)
    run.search(emails(*range(1, 151)))
    assert run.error is None
    assert [match.index for match in run.outcomes if match.error] == list(range(98))
    assert {match.attempts for match in run.outcomes[:98]} == {5}
    assert found_in(run)[98] == [lead_id(99)]


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 40), max_size=150),
    st.sampled_from([None, 1, 7, 98]),
    st.booleans(),
    st.sets(st.integers(0, 40)),
)
def test_every_email_has_one_outcome(
    asked: list[int], reads: int | None, ordered: bool, absent: set[int]
) -> None:
    """Law: one match per email, with all of its leads, however many contacts the API reads."""
    there = [
        lead(2 * number + half, email=f"person{number}@example.com")
        for number in range(41)
        for half in range(1 + number % 2)
        if number not in absent
    ]

    def ask(body: Body) -> Body:
        return body | {"contacts": body["contacts"][:reads]} if "contacts" in body else body

    run = Browse(leads=there, hooks={"ask": ask}, ordered=ordered).search(emails(*asked))
    if reads == 1 and len(asked) and there and run.error is not None:
        return  # with the sentinel, it cannot be asked for one email
    assert run.error is None
    expected = {
        index: [each["id"] for each in there if matches(each, {"contacts": emails(number)})]
        for index, number in enumerate(asked)
    }
    assert found_in(run) == expected
    if ordered:
        assert [match.index for match in run.outcomes] == list(range(len(asked)))


async def late(count: int) -> AsyncIterator[str]:
    for number in range(count):
        await asyncio.sleep(0)
        yield f"person{number}@example.com"


def test_emails_may_come_late() -> None:
    run = Browse(leads=leads(300)).search(late(250))  # type: ignore[arg-type]
    assert len(run.outcomes) == 250


def test_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="concurrency"):
        EmailOptions(ordered=False, concurrency=0, keep_raw=False)


@pytest.mark.parametrize("spelled", ["Person0@example.com", "PERSON0@EXAMPLE.COM"])
def test_the_sentinel_is_last_in_all_its_spellings(spelled: str) -> None:
    """Otherwise it would be found although the emails behind it were not read."""

    def ask(body: Body) -> Body:
        return body | {"contacts": body["contacts"][:50]} if "contacts" in body else body

    run = Browse(leads=leads(200), hooks={"ask": ask}).search([spelled, *emails(*range(1, 98))])
    assert found_in(run) == {number: [lead_id(number)] for number in range(98)}


@pytest.mark.parametrize("first", [0, 10, 150, 450])
def test_a_sentinel_is_looked_for(first: int) -> None:
    """The first leads may have no email. Without a sentinel, emails are searched one by one."""
    there = [lead(number, **({"email": None} if number < first else {})) for number in range(500)]

    def ask(body: Body) -> Body:
        return body | {"contacts": body["contacts"][:10]} if "contacts" in body else body

    run = Browse(leads=there, hooks={"ask": ask}).search(emails(*range(460, 490)))
    assert found_in(run) == {number: [lead_id(460 + number)] for number in range(30)}


def test_emails_are_searched_alone_until_one_is_found() -> None:
    there = [lead(number, **({"email": None} if number < 600 else {})) for number in range(700)]
    run = Browse(leads=there, limit=1).search(emails(*range(590, 690)))
    assert {len(contacts) for contacts in run.searches[:11]} == {1}
    assert max(map(len, run.searches)) > 1
    assert found_in(run) == {i: [lead_id(590 + i)] * (i >= 10) for i in range(100)}


def test_a_lookup_that_fails_is_no_reason_to_search_without_a_sentinel() -> None:
    def show(each: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in each.items() if key != "email"}

    run = Browse(leads=leads(300), hooks={"show": show}, limit=1)
    answer, failures = run.transport.answer, iter(range(5))

    def answering(wire: str, body: bytes | None, now: float) -> Any:
        fails = body is None and next(failures, None) is not None
        return failing(500) if fails else answer(wire, body, now)

    run.transport.answer = answering  # type: ignore[method-assign]
    run.search(emails(*range(1, 4)))
    assert run.error is None
    assert {contacts[-1] for contacts in run.searches} == set(emails(1))


def test_similar_letters_are_other_emails() -> None:
    """*straße* is not *strasse*, though both are the same by ``casefold``."""
    there = [lead(1, email="strasse@example.com"), lead(2)]
    run = Browse(leads=there).search(["straße@example.com"])
    assert found_in(run) == {0: []}


def test_a_lead_that_is_deleted_at_the_end_of_a_full_page() -> None:
    """What is behind it then is unknown; here nothing."""
    there = [lead(number, email="many@example.com") for number in range(250)]

    def reply(body: Body, items: list[dict[str, Any]]) -> None:
        if "contacts" in body and "starting_after" not in body and len(items) == 100:
            run.transport.leads[:] = [e for e in run.transport.leads if e["id"] != lead_id(99)]

    run = Browse(leads=[*there, lead(999)])
    run.transport.reply = reply
    run.search(["many@example.com", *emails(999)])
    assert len(found_in(run)[0]) == 250
    assert found_in(run)[1] == [lead_id(999)]


class Strict(msgspec.Struct):
    """A caller's own type with a field that not all leads have."""

    email: str
    website: str


def test_an_unreadable_lead_fails_its_own_email_only() -> None:
    """Also if it is the sentinel's. Each is fetched once more, and not once per half."""
    there = [lead(n, **({"website": "x"} if n not in (0, 42) else {})) for n in range(100)]
    run = Browse(leads=there, lead_type=Strict).search(emails(*range(1, 99)))
    failed = [match for match in run.outcomes if match.error]
    assert [match.index for match in failed] == [41]
    assert type(failed[0].error) is DecodeError
    assert run.recorder.requests < 12


def test_a_sentinel_that_searches_do_not_find_is_not_chosen_again() -> None:
    """Listed, but not found: an index may lag behind."""

    def reply(body: Body, items: list[dict[str, Any]]) -> Response | None:
        return (
            page_of(items[items[0]["id"] == lead_id(0) :])
            if body.get("contacts") and items
            else None
        )

    run = Browse(leads=leads(300), hooks={"reply": reply}).search(emails(5, 6))
    assert found_in(run) == {0: [lead_id(5)], 1: [lead_id(6)]}


def test_a_search_that_always_fails_is_given_up_soon() -> None:
    """Only searches fail, so this is no outage. The emails fail, after tens of requests."""

    def reply(body: Body, _: object) -> Response | None:
        contacts = body.get("contacts", ["@example.invalid"])
        return None if contacts[0].endswith("@example.invalid") else failing(500)

    run = Browse(leads=leads(300), hooks={"reply": reply}, limit=1).search(emails(*range(98)))
    assert {type(match.error) for match in run.outcomes} == {ServerError}
    assert len(run.outcomes) == 98
    assert run.recorder.requests < 80


def test_what_is_no_text_prints() -> None:
    run = Browse(leads=[]).search([None, 5, b"ada@example.com"])
    assert ["email='…' " in repr(match) for match in run.outcomes[:2]] == [True] * 2
    assert "ada" not in repr(run.outcomes[2])


def test_one_stream_has_no_more_requests_in_flight_than_allowed() -> None:
    """Also if each lead has to be looked up."""

    def show(each: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in each.items() if key != "email"}

    run = Browse(leads=leads(300), hooks={"show": show}, limit=2).search(emails(*range(250)))
    assert len(run.outcomes) == 250
    assert run.transport.most_in_flight <= 2
