"""Requests for *List leads* of a fake that has no socket."""

from typing import Any

import msgspec

from instantly_async.testing import DEFAULT_API_KEY, Behaviour
from instantly_async.testing.answers import Answer
from instantly_async.testing.api import FakeApi
from instantly_async.testing.call import Call


def call(body: Any, **parts: Any) -> Call:
    defaults = {
        "method": "POST",
        "path": "/api/v2/leads/list",
        "authorization": f"Bearer {DEFAULT_API_KEY}",
        "user_agent": "tests/1",
        "content_type": "application/json",
        "body": body if isinstance(body, bytes | None) else msgspec.json.encode(body),
    }
    return Call(**(defaults | parts))


def ask(body: Any, /, parts: dict[str, Any] | None = None, **settings: Any) -> Answer:
    return FakeApi(Behaviour(**settings), 10).answer(call(body, **(parts or {})), 0.0)


def items(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body
    leads: list[dict[str, Any]] = msgspec.json.decode(answer.body)["items"]
    return leads


def page(body: Any, /, **settings: Any) -> tuple[list[str], str | None]:
    """Return the ids of a page, and the cursor that it names."""
    answer = ask(body, **settings)
    cursor = msgspec.json.decode(answer.body).get("next_starting_after")
    return [lead["id"] for lead in items(answer)], cursor


def pages(body: dict[str, Any], /, **settings: Any) -> list[list[str]]:
    """Return the ids of all pages up to the empty one, each after the last id of the one before."""
    fake, found = FakeApi(Behaviour(rate_limit=None, **settings), 10), list[list[str]]()
    while True:
        after = {"starting_after": found[-1][-1]} if found else {}
        answer = fake.answer(call({**body, **after}), 0.0)
        if not (ids := [lead["id"] for lead in items(answer)]):
            return found
        found.append(ids)


def message(answer: Answer) -> str:
    text: str = msgspec.json.decode(answer.body)["message"]
    return text
