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
    assert repr(first) == "EmailMatch(email='…@example.com', index=0, leads=1)"


def test_an_email_can_be_several_leads() -> None:
    """Documented: one per campaign or list."""
    twice = [lead(1), lead(2, email="PERSON1@Example.com", campaign=OTHER_CAMPAIGN), lead(3)]
    run = Browse(leads=twice).search(emails(1))
    assert found_in(run) == {0: [lead_id(1), lead_id(2)]}
    assert [each.campaign for each in run.outcomes[0].leads][1] == OTHER_CAMPAIGN


def test_what_is_sent() -> None:
    """99 emails and the sentinel, which is the last; paged until an empty page."""
    run = Browse(leads=leads(300)).search(emails(*range(1, 251)))
    assert [len(contacts) for contacts in run.searches] == [100, 100, 53, 100, 100, 53]
    assert {contacts[-1] for contacts in run.searches} == {"person0@example.com"}
    canary = next(body for body in run.transport.bodies if body["limit"] == 1)
    assert canary["contacts"][0].endswith("@example.invalid")
    assert sum(body == {"limit": 10} for body in run.transport.bodies) == 1
    assert found_in(run) == {number - 1: [lead_id(number)] for number in range(1, 251)}
    assert all(match.attempts == 2 for match in run.outcomes)


def test_ten_thousand_emails_in_three_seconds() -> None:
    """Within the documented limits, with 50 ms for each answer."""
    run = Browse(leads=leads(500), rate_limit=RateLimit(), ordered=True)
    run.search(f"person{number % 500}@example.com" for number in range(9_999))
    assert len(run.outcomes) == 9_999
    assert run.recorder.requests == 2 + 2 * 101
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
    assert [len(each) for each in run.searches].count(100) == 1


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
    assert {contacts[-1] for contacts in run.searches} == set(emails(0, 1))


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
    assert [match.index for match in run.outcomes if match.error] == list(range(99))
    assert {match.attempts for match in run.outcomes[:99]} == {5}
    assert found_in(run)[99] == [lead_id(100)]


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
