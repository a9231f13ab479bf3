"""The filters of the fake's *List leads*, and the quirks around them."""

from collections.abc import Iterable
from itertools import chain, pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from list_calls import ask, call, items, message, page, pages

from instantly_async.testing import (
    Behaviour,
    campaign_ids,
    email_of,
    lead_ids,
    list_ids,
    make_lead,
)
from instantly_async.testing.api import FakeApi
from instantly_async.testing.leads import lead_id_at

SIZE = 60
IDS = list(lead_ids(SIZE))
ELSEWHERE = list(lead_ids(3, seed=9))
CAMPAIGN, LIST = campaign_ids()[0], list_ids()[0]
STRANGE = "ffffffff-ffff-7fff-bfff-ffffffffffff"
EMAILS = [email_of(each) for each in IDS]

SOME_IDS = st.sampled_from([*IDS[:12], *ELSEWHERE])
OWN_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "campaign": st.sampled_from([None, CAMPAIGN, STRANGE]),
        "list_id": st.sampled_from([None, LIST, STRANGE]),
        "email": st.sampled_from([None, "ADA@example.com", EMAILS[0], EMAILS[1].upper()]),
    },
)
QUERIES = st.fixed_dictionaries(
    {"limit": st.integers(1, 100)},
    optional={
        "campaign": st.sampled_from([CAMPAIGN, CAMPAIGN.upper(), campaign_ids()[1], STRANGE]),
        "list_id": st.sampled_from([LIST, list_ids()[1], STRANGE]),
        "contacts": st.lists(
            st.sampled_from(
                [*EMAILS[:12], EMAILS[3].upper(), email_of(ELSEWHERE[0]), "ada@example.com", ""]
            )
        ),
        "ids": st.lists(SOME_IDS),
    },
)


def expected(query: dict[str, Any], fields: dict[str, dict[str, Any]]) -> list[str]:
    """Return the ids that a search of the whole workspace finds."""
    ids = query.get("ids") or {*IDS, *fields}
    leads = (make_lead(each) | fields.get(each, {}) for each in sorted(set(ids)))
    return [lead["id"] for lead in leads if fits(lead, query)]


def fits(lead: dict[str, Any], query: dict[str, Any]) -> bool:
    contacts = {each.lower() for each in query.get("contacts", ())}
    return (
        ("campaign" not in query or lead["campaign"] == query["campaign"].lower())
        and ("list_id" not in query or lead["list_id"] == query["list_id"])
        and (not contacts or (lead["email"] or "\0").lower() in contacts)
    )


def flat(found: Iterable[Iterable[str]]) -> list[str]:
    return list(chain.from_iterable(found))


@given(query=QUERIES, fields=st.dictionaries(SOME_IDS, OWN_FIELDS, max_size=6))
def test_pages_hold_what_a_search_of_the_workspace_finds(
    query: dict[str, Any], fields: dict[str, dict[str, Any]]
) -> None:
    """Any filters, together or alone, also for leads with fields of their own."""
    found = pages(query, fields=fields, workspace_size=SIZE)
    assert flat(found) == expected(query, fields)
    assert {len(each) for each in found[:-1]} <= {query["limit"]}


def test_each_campaign_and_list_has_leads() -> None:
    shares = [len(flat(pages({"campaign": each}, workspace_size=400))) for each in campaign_ids()]
    assert sum(shares) == 400
    assert all(70 < share < 130 for share in shares)
    shares = [len(flat(pages({"list_id": each}, workspace_size=400))) for each in list_ids()]
    assert all(70 < share < 130 for share in shares)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"campaign": CAMPAIGN},
        {"list_id": LIST},
        {"campaign": STRANGE},
        {"contacts": [email_of(lead_id_at(10**12 - 5)), "nobody@example.com"]},
        {"ids": IDS},
    ],
)
@pytest.mark.parametrize("shift", [0, 5])
def test_a_page_deep_in_a_large_workspace_touches_few_leads(
    query: dict[str, Any], shift: int
) -> None:
    """A list of these leads would not fit into memory, and a search would not end."""
    touched = []

    def known(lead_id: str) -> bool:
        touched.append(lead_id)
        return True

    body = {"limit": 50, "starting_after": lead_id_at(10**12 // 2), **query}
    page(body, workspace_size=10**12, known=known, list_shift=shift)
    assert len(touched) < 1000


def test_contacts_find_leads_of_the_workspace_only() -> None:
    assert page({"contacts": EMAILS}, workspace_size=2)[0] == IDS[:2]
    assert page({"contacts": EMAILS[:1]}, unknown={IDS[0]}) == ([], None)
    assert page({"contacts": [email_of(ELSEWHERE[0])]}) == ([], None)


@pytest.mark.parametrize("odd", [f"x+{'-' * 36}@example.com", "+@example.com", "", "\0", "a" * 999])
def test_any_text_is_a_contact(odd: str) -> None:
    assert page({"contacts": [odd, EMAILS[0]]})[0] == IDS[:1]


def test_keys_of_filters_that_are_not_documented_are_ignored() -> None:
    """As reported: the whole workspace comes back."""
    for wrong in ({"campaign_id": CAMPAIGN}, {"lead_list_id": LIST}, {"emails": EMAILS[:1]}):
        assert page({"limit": 100, **wrong}, workspace_size=SIZE)[0] == IDS


# --- fields of single leads -------------------------------------------------------------------


def test_fields_are_in_both_endpoints() -> None:
    own = {"email": "ada@example.com", "payload": {"tier": 1}, "status": None}
    fake = FakeApi(Behaviour(fields={IDS[0]: own}), 10)
    (listed,) = items(fake.answer(call({"ids": IDS[:1]}), 0.0))
    path = f"/api/v2/leads/{IDS[0].upper()}"
    got = msgspec.json.decode(fake.answer(call(b"", method="GET", path=path), 0.0).body)
    assert listed == got == make_lead(IDS[0]) | own


def test_a_lead_with_fields_exists() -> None:
    """Even if it is not ``known``, but not if it is ``unknown``; it is a part of the workspace."""
    fields: dict[str, dict[str, Any]] = {each: {} for each in ELSEWHERE}
    settings = {"fields": fields, "known": {IDS[0]}, "unknown": {ELSEWHERE[2]}}
    assert page({}, **settings)[0] == sorted([IDS[0], *ELSEWHERE[:2]])


def test_two_leads_have_one_email() -> None:
    fields = {IDS[4]: {"email": "ada@example.com"}, IDS[9]: {"email": "Ada@Example.com"}}
    assert page({"contacts": ["ADA@example.com"]}, fields=fields)[0] == [IDS[4], IDS[9]]
    assert page({"contacts": [EMAILS[4]]}, fields=fields)[0] == []


# --- switches ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query", [{"ids": IDS[:2]}, {"campaign": STRANGE}, {"list_id": LIST}, {"contacts": EMAILS[:1]}]
)
def test_every_filter_can_be_ignored(query: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"workspace_size": SIZE}
    assert page({"limit": 100, **query}, **settings)[0] != IDS
    assert page({"limit": 100, **query}, list_ignores_filter=True, **settings)[0] == IDS


def test_contacts_can_be_compared_with_case() -> None:
    for contact in (EMAILS[0].upper(), EMAILS[0]):
        assert page({"contacts": [contact]})[0] == IDS[:1]
    assert page({"contacts": [EMAILS[0].upper()]}, contacts_match_case=True)[0] == []
    assert page({"contacts": [EMAILS[0]]}, contacts_match_case=True)[0] == IDS[:1]


def test_contacts_can_be_limited_with_an_error_or_in_silence() -> None:
    query = {"contacts": EMAILS[:5], "limit": 100}
    assert ask(query, max_contacts=5).status == 200
    assert message(ask(query, max_contacts=4)) == "body/contacts must NOT have more than 4 items"
    assert page(query, reads_contacts=2)[0] == IDS[:2]
    assert page(query, reads_contacts=5)[0] == IDS[:5]


def test_a_limit_over_100_gets_an_error_or_an_empty_page() -> None:
    assert message(ask({"limit": 101})) == "body/limit must be <= 100"
    assert page({"limit": 101}, list_limit_is_silent=True) == ([], None)
    assert len(page({"limit": 100}, list_limit_is_silent=True)[0]) == 100
    assert len(page({"limit": 100.0})[0]) == 100


def test_list_answers_can_lack_fields() -> None:
    """They are left out of what is sent: the filters see them all the same."""
    fake = FakeApi(Behaviour(list_omits_fields={"email", "campaign"}), 10)
    (lead,) = items(fake.answer(call({"contacts": EMAILS[:1]}), 0.0))
    assert make_lead(IDS[0]).keys() - lead.keys() == {"email", "campaign"}
    get = fake.answer(call(b"", method="GET", path=f"/api/v2/leads/{IDS[0]}"), 0.0)
    assert b'"email":"' in get.body


def test_pages_can_repeat_leads_of_the_page_before() -> None:
    """Of the matching leads, and only on pages that have new ones, too: so there is an end."""
    fields = {each: {"campaign": CAMPAIGN} for each in [*IDS[::7], *ELSEWHERE]}
    settings: dict[str, Any] = {"fields": fields, "workspace_size": SIZE}
    found = pages({"limit": 4, "campaign": CAMPAIGN}, list_shift=2, **settings)
    assert len(found) > 3
    for before, after in pairwise(found):
        assert after[:2] == before[-2:]
    assert list(dict.fromkeys(flat(found))) == expected({"campaign": CAMPAIGN}, fields)


def test_pages_can_skip_leads() -> None:
    found = pages({"limit": 10}, list_shift=-3, workspace_size=30)
    assert found == [IDS[:10], IDS[13:23], IDS[26:30]]


def test_leads_are_left_out_and_added_with_every_filter() -> None:
    query = {"contacts": EMAILS[:3], "limit": 100}
    assert page(query, list_omits={IDS[1]})[0] == [IDS[0], IDS[2]]
    assert page(query, list_injects=STRANGE) == ([*IDS[:3], STRANGE], IDS[2])
    everyone = expected({"campaign": CAMPAIGN}, {})
    left = page({"campaign": CAMPAIGN, "limit": 100}, list_omits={everyone[0]}, workspace_size=SIZE)
    assert left[0] == everyone[1:]


# --- what is recorded -------------------------------------------------------------------------


def test_the_log_names_filters_and_counts_emails() -> None:
    fake = FakeApi(Behaviour(), 10)
    body = {"list_id": LIST, "contacts": EMAILS[:3], "limit": 7, "starting_after": IDS[1]}
    fake.answer(call(body), 0.0)
    fake.answer(call({"starting_after": EMAILS[0], "campaign": None}), 0.0)
    fake.answer(call({"limit": 0, "campaign": CAMPAIGN}), 0.0)
    first, second, third = fake.requests()
    assert (first.filters, first.contacts, first.ids) == (("contacts", "list_id"), 3, ())
    assert (first.limit, first.starting_after) == (7, IDS[1])
    assert (second.filters, second.contacts, second.limit) == ((), 0, 10)
    assert second.starting_after == "<not an id>"
    assert (third.filters, third.contacts, third.limit) == ((), 0, None)
    assert "example.com" not in repr(fake.requests())
