"""*List leads* of the fake: paging, checks and the quirks that can be turned on."""

import random
from typing import Any

import msgspec
import pytest
from list_calls import ask, call, message, page

from instantly_async.testing import Behaviour, Fault, lead_ids, make_lead
from instantly_async.testing.api import FakeApi

IDS = list(lead_ids(30))
FOREIGN = "ffffffff-ffff-7fff-bfff-ffffffffffff"


def test_ids_come_back_once_each_in_order_of_id() -> None:
    asked = [i.upper() for i in IDS[:20]] + IDS[:20]
    random.Random(0).shuffle(asked)
    assert page({"ids": asked, "limit": 100}) == (IDS[:20], IDS[19])


def test_missing_leads_are_left_out() -> None:
    settings = {"unknown": set(IDS[:5]), "list_omits": set(IDS[5:10])}
    assert page({"ids": IDS[:12], "limit": 100}, **settings) == (IDS[10:12], IDS[11])


def test_pages_follow_the_cursor_to_an_empty_page() -> None:
    """The last page with data still has a cursor: only an empty one is the end."""
    for filtered in ({}, {"ids": IDS}):
        pages, cursor = [], ""
        while True:
            body = {"limit": 12, "starting_after": cursor, **filtered}
            ids, after = page(body, workspace_size=30)
            pages.append(ids)
            if after is None:
                break
            cursor = after
        assert pages == [IDS[:12], IDS[12:24], IDS[24:], []]


def test_the_last_cursor_can_be_turned_off() -> None:
    assert page({"ids": IDS[:2]}, list_last_cursor=False) == (IDS[:2], None)
    assert page({"ids": IDS[:2], "limit": 1}, list_last_cursor=False) == (IDS[:1], IDS[0])


def test_nothing_asked_for_is_the_whole_workspace() -> None:
    assert page({"limit": 100}, workspace_size=30)[0] == IDS
    assert page({"ids": [], "limit": 100}, workspace_size=30)[0] == IDS
    assert page({"limit": 5}, workspace_seed=3)[0] == list(lead_ids(5, seed=3))
    assert page({}, workspace_size=0) == ([], None)
    assert len(page({})[0]) == 10


def test_keys_that_are_not_documented_are_ignored() -> None:
    """``lead_ids`` for ``ids``: the filter is dropped, and all leads are returned."""
    assert page({"lead_ids": IDS[:1], "limit": 100}, workspace_size=30)[0] == IDS


def test_documented_filters_that_are_not_modelled_are_refused() -> None:
    answer = ask({"ids": IDS, "search": "x", "in_campaign": True})
    assert answer.status == 400
    assert message(answer).endswith("does not model: in_campaign, search")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        [],
        {"limit": 0},
        {"limit": 101},
        {"limit": "9"},
        {"ids": "x"},
        {"ids": ["not-a-uuid"]},
        {"starting_after": 5},
        {"limit": 1.5},
        {"campaign": "Spring"},
        {"list_id": 5},
        {"contacts": "ada@example.com"},
        {"contacts": [None]},
    ],
)
def test_bodies_that_do_not_fit_get_400(body: Any) -> None:
    assert ask(body).status == 400


def test_other_content_and_large_bodies_are_refused() -> None:
    assert ask({}, {"content_type": "text/plain"}).status == 415
    assert ask(None).status == 413


def test_too_many_ids_get_400() -> None:
    assert ask({"ids": IDS}, max_list_ids=29).status == 400
    assert ask({"ids": IDS}, max_list_ids=30).status == 200


def test_a_lead_nobody_asked_for_can_be_injected() -> None:
    """It changes nothing else, not even the cursor."""
    assert page({"ids": IDS[:2]}, list_injects=FOREIGN) == ([*IDS[:2], FOREIGN], IDS[1])


def test_payload_keys_differ_from_those_of_get() -> None:
    lead = next(lead for lead in map(make_lead, IDS) if lead["payload"])
    expected = lead["payload"]["person_linkedIn"]
    renamed = ask({"ids": [lead["id"]]})
    same = ask({"ids": [lead["id"]]}, list_payload_keys={})
    for answer, key in ((renamed, "LinkedIn_personURL"), (same, "person_linkedIn")):
        (item,) = msgspec.json.decode(answer.body)["items"]
        assert item["payload"][key] == expected
        assert len(item["payload"]) == len(lead["payload"])


def test_scripts_of_the_list_and_of_leads_are_apart() -> None:
    fake = FakeApi(Behaviour(), 10)
    fake.script_list((Fault.status(500), Fault.wrong_id()))
    get = call(b"", method="GET", path=f"/api/v2/leads/{IDS[0]}")
    assert fake.answer(get, 0.0).status == 200
    assert fake.answer(call({"ids": IDS[:2]}), 0.0).status == 500
    items = msgspec.json.decode(fake.answer(call({"ids": IDS[:2]}), 0.0).body)["items"]
    assert items[0]["id"] not in IDS
    assert items[1]["id"] == IDS[1]
    assert [request.ids for request in fake.requests()] == [(), tuple(IDS[:2]), tuple(IDS[:2])]


def test_a_patch_of_an_empty_page_or_an_error_changes_nothing() -> None:
    fake = FakeApi(Behaviour(workspace_size=0, unknown=set(IDS)), 10)
    fake.script_all((Fault.patch(email="x"),) * 2)
    assert msgspec.json.decode(fake.answer(call({}), 0.0).body) == {"items": []}
    answer = fake.answer(call(b"", method="GET", path=f"/api/v2/leads/{IDS[0]}"), 0.0)
    assert "email" not in msgspec.json.decode(answer.body)


def test_the_list_endpoint_can_be_down_alone() -> None:
    assert ask({"limit": 1}, list_down=True).status == 503
    assert ask({"limit": 1}, list_down=Fault.status(500)).status == 500
    get = call(b"", method="GET", path=f"/api/v2/leads/{IDS[0]}")
    assert FakeApi(Behaviour(list_down=True), 10).answer(get, 0.0).status == 200
