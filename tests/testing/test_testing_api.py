"""What the fake decides, without sockets and with injected times."""

from typing import Any

import msgspec
import pytest

from instantly_async.testing import (
    DEFAULT_API_KEY,
    TRANSIENT_FAULTS,
    Behaviour,
    Fault,
    lead_ids,
    lead_json,
)
from instantly_async.testing.answers import Answer, Delivery
from instantly_async.testing.api import FakeApi
from instantly_async.testing.call import Call

LEAD_ID, OTHER_ID = lead_ids(2)


def api(**settings: Any) -> FakeApi:
    return FakeApi(Behaviour(**settings), log_size=1000)


def call(lead_id: str = LEAD_ID, **parts: Any) -> Call:
    defaults = {
        "method": "GET",
        "path": f"/api/v2/leads/{lead_id}",
        "authorization": f"Bearer {DEFAULT_API_KEY}",
        "user_agent": "tests/1",
    }
    return Call(**(defaults | parts))


def error_of(answer: Answer) -> tuple[int, str, str]:
    """Return the three parts of a JSON error, which repeats its status."""
    decoded = msgspec.json.decode(answer.body)
    assert decoded.keys() == {"statusCode", "error", "message"}
    assert decoded["statusCode"] == answer.status
    return answer.status, decoded["error"], decoded["message"]


def test_a_lead_is_the_one_made_from_its_id() -> None:
    assert api().answer(call(), 0.0) == Answer(body=lead_json(LEAD_ID))
    assert api().answer(call(LEAD_ID.upper() + "?x=1"), 0.0).body == lead_json(LEAD_ID)


@pytest.mark.parametrize(
    ("settings", "parts", "expected"),
    [
        ({}, {"authorization": None}, (401, "Unauthorized", "Missing Authorization header")),
        ({}, {"authorization": "Bearer no"}, (401, "Unauthorized", "Invalid API key")),
        (
            {"paid_plan": False},
            {},
            (402, "Payment Required", "Workspace does not have an active paid plan"),
        ),
        ({"scopes": ["emails:read"]}, {}, (403, "Forbidden", "API key lacks the required scope")),
        ({"unknown": {LEAD_ID}}, {}, (404, "Not Found", "Resource not found")),
        ({"known": {OTHER_ID}}, {}, (404, "Not Found", "Resource not found")),
        ({"unknown": LEAD_ID.__eq__}, {}, (404, "Not Found", "Resource not found")),
        ({"rate_limit": (0, 9)}, {}, (429, "Too Many Requests", "Rate limit exceeded")),
        ({"rate_limit": (9, 0)}, {}, (429, "Too Many Requests", "Rate limit exceeded")),
        ({"down": True}, {}, (503, "Service Unavailable", "Service unavailable")),
        (
            {"broken": {LEAD_ID}},
            {},
            (500, "Internal Server Error", "Internal server error"),
        ),
        (
            {},
            {"path": "/api/v2/leads/not-a-uuid"},
            (400, "Bad Request", 'params/id must match format "uuid"'),
        ),
    ],
)
def test_refusals(
    settings: dict[str, Any], parts: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    """401, 402, 404 and 429 are word for word what the vendor documents."""
    answer = api(**settings).answer(call(**parts), 0.0)
    assert error_of(answer) == expected
    assert not answer.headers


@pytest.mark.parametrize("scope", ["leads:read", "leads:all", "all:read", "all:all"])
def test_any_reading_scope_will_do(scope: str) -> None:
    assert api(scopes={scope}).answer(call(), 0.0).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/x"),
        ("GET", "/api/v2/leads/"),
        ("GET", f"/api/v2/leads/{LEAD_ID}/emails"),
        ("GET", "/api/v2/leads/../v2/api-keys"),
        ("PATCH", f"/api/v2/leads/{LEAD_ID}"),
        ("POST", "/api/v2/leads"),
    ],
)
def test_other_routes_do_not_exist(method: str, path: str) -> None:
    answer = api().answer(call(method=method, path=path), 0.0)
    assert error_of(answer) == (404, "Not Found", f"Route {method}:{path} not found")


@pytest.mark.parametrize("agent", [None, "", "Python-urllib/3.11"])
def test_the_edge_blocks_agents_that_say_nothing(agent: str | None) -> None:
    """It comes first: a good key does not help, and no JSON is sent."""
    answer = api().answer(call(user_agent=agent), 0.0)
    assert (answer.status, answer.body) == (403, b"error code: 1010")
    assert answer.content_type.startswith("text/plain")
    assert ("Server", "cloudflare") in answer.headers


def test_both_windows_slide() -> None:
    fake = api(rate_limit=(2, 3))
    statuses = [fake.answer(call(), t).status for t in (0.0, 0.9, 0.9, 2.0, 59.9, 60.0, 62.5)]
    assert statuses == [200, 200, 429, 429, 429, 429, 200]


def test_unauthorized_requests_leave_the_limit_alone() -> None:
    fake = api(rate_limit=(1, 1))
    assert fake.answer(call(authorization=None), 0.0).status == 401
    assert fake.answer(call(), 0.0).status == 200


def test_each_workspace_has_its_own_limit() -> None:
    fake = api(rate_limit=(1, 1))
    for workspace in (None, "a", "b"):
        assert fake.answer(call(workspace=workspace), 0.0).status == 200
        assert fake.answer(call(workspace=workspace), 0.0).status == 429


@pytest.mark.parametrize("value", [2, 0.5, "soon", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_retry_after_is_sent_as_it_is(value: float | str) -> None:
    limited = api(rate_limit=(0, 0), retry_after=value).answer(call(), 0.0)
    scripted = api()
    scripted.script_all((Fault.throttle(value),))
    assert limited.headers == (("Retry-After", str(value)),)
    assert scripted.answer(call(), 0.0) == limited


def test_scripts_strike_once_each_and_in_order() -> None:
    fake = api()
    fake.script_lead(LEAD_ID.upper(), (Fault.status(500), Fault.status(502)))
    fake.script_all((Fault.status(503),))
    assert [fake.answer(call(), 0.0).status for _ in range(4)] == [500, 502, 503, 200]
    assert [request.fault for request in fake.requests()] == [
        "status 500",
        "status 502",
        "status 503",
        None,
    ]


def test_a_rejected_request_uses_up_no_fault() -> None:
    fake = api(rate_limit=(1, 60))
    fake.script_lead(LEAD_ID, (Fault.status(500),))
    assert fake.answer(call(authorization=None), 0.0).status == 401
    assert fake.answer(call(OTHER_ID), 0.0).status == 200
    assert fake.answer(call(), 0.0).status == 429
    assert fake.answer(call(), 0.5).status == 429
    assert fake.answer(call(), 1.5).status == 500


def test_an_outage_is_whatever_fault_it_is_set_to() -> None:
    behaviour = Behaviour(down=Fault.stall(5))
    fake = FakeApi(behaviour, 10)
    answer = fake.answer(call(authorization=None), 0.0)
    assert (answer.status, answer.delay_s) == (503, 5)
    behaviour.down = Fault.reset()
    assert fake.answer(call(), 0.0).delivery is Delivery.RESET
    behaviour.down = False
    assert fake.answer(call(), 0.0).status == 200


def test_random_faults_are_seeded() -> None:
    """Same seed, same faults, before and after a reset; jitter does not affect them."""
    fake, again = api(fault_rate=0.3, seed=7), api(fault_rate=0.3, seed=7, jitter_s=0.01)
    other = api(fault_rate=0.3, seed=8)
    first = [fake.answer(call(), float(n)).logged_status for n in range(200)]
    assert 30 < sum(status != 200 for status in first) < 90
    assert [again.answer(call(), float(n)).logged_status for n in range(200)] == first
    assert [other.answer(call(), float(n)).logged_status for n in range(200)] != first
    fake.reset()
    assert [fake.answer(call(), float(n)).logged_status for n in range(200)] == first


def test_every_transient_fault_gets_drawn() -> None:
    fake = api(fault_rate=1.0, rate_limit=None)
    for _ in range(200):
        fake.answer(call(), 0.0)
    assert {request.fault for request in fake.requests()} == {f.name for f in TRANSIENT_FAULTS}


def test_latency_adds_up_and_is_never_negative() -> None:
    fake = api(latency_s=1.0, jitter_s=0.25)
    delays = [fake.answer(call(), float(n)).delay_s for n in range(50)]
    assert all(0.75 <= delay <= 1.25 for delay in delays)
    assert len(set(delays)) == 50
    fake.script_all((Fault.stall(10),))
    assert 10.75 <= fake.answer(call(), 60.0).delay_s <= 11.25
    assert api(jitter_s=1e-9).answer(call(), 0.0).delay_s <= 1e-9


def test_the_list_has_a_latency_of_its_own() -> None:
    page = call(method="POST", path="/api/v2/leads/list")
    assert api(latency_s=1.0).answer(page, 0.0).delay_s == 1.0
    assert api(latency_s=1.0, list_latency_s=2.0).answer(page, 0.0).delay_s == 2.0


def test_the_log_keeps_the_last_and_counts_all() -> None:
    fake = FakeApi(Behaviour(unknown={OTHER_ID}), log_size=2)
    for n, lead_id in enumerate((LEAD_ID, LEAD_ID, OTHER_ID)):
        fake.answer(call(lead_id, workspace="w"), float(n))
    assert [request.time for request in fake.requests()] == [1.0, 2.0]
    assert fake.counts() == {200: 2, 404: 1}
    last = fake.requests()[-1]
    assert (last.method, last.path) == ("GET", f"/api/v2/leads/{OTHER_ID}")
    assert (last.lead_id, last.status, last.authorized) == (OTHER_ID, 404, True)
    assert (last.workspace, last.user_agent, last.fault) == ("w", "tests/1", None)


def test_the_log_never_holds_the_key() -> None:
    """Wherever a client puts it."""
    fake, key = api(), DEFAULT_API_KEY
    fake.answer(call(key, user_agent=f"a {key}", workspace=key), 0.0)
    fake.answer(call(authorization=None, path=f"/{key}?k={key}"), 0.0)
    assert key not in repr(fake.requests())
    assert [request.authorized for request in fake.requests()] == [True, False]


def test_worst_windows_come_from_the_log() -> None:
    fake = api(rate_limit=None)
    for now in (0.0, 0.5, 0.9, 1.4, 30.0, 60.0, 61.0):
        fake.answer(call(), now)
    assert fake.worst_windows() == (3, 5)


def test_reset_forgets_everything_but_the_settings() -> None:
    fake = api(rate_limit=(1, 1))
    fake.script_lead(LEAD_ID, (Fault.status(500),) * 2)
    fake.script_list((Fault.status(500),))
    fake.script_all((Fault.status(500),))
    fake.answer(call(), 0.0)
    fake.reset()
    assert (fake.requests(), fake.counts(), fake.worst_windows()) == ([], {}, (0, 0))
    assert fake.answer(call(), 0.0).status == 200
    assert fake.answer(call(), 0.0).status == 429


def test_a_predicate_may_look_at_the_log() -> None:
    """The lock is re-entrant; a plain one would hang here."""
    behaviour = Behaviour()
    fake = FakeApi(behaviour, 10)
    behaviour.unknown = lambda _: bool(fake.requests())
    assert [fake.answer(call(), 0.0).status for _ in range(2)] == [200, 404]
