"""A virtual workspace that can be listed: by campaign, list and email, on a virtual clock.

Its leads are small dicts, so that each test sees what it is about. Nothing here has a socket.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
from virtual_api import Answer, Run, VirtualTransport, failing
from virtual_loop import run_virtual

from instantly_async import Lead, Timeouts
from instantly_async._api import Endpoints, LeadFilter
from instantly_async._fetch import (
    EmailOptions,
    Listing,
    Pipeline,
    make_email_pipeline,
    make_listing_pipeline,
)
from instantly_async._http import Response

CAMPAIGN, OTHER_CAMPAIGN = str(UUID(int=0xC1)), str(UUID(int=0xC2))
LIST = str(UUID(int=0x11))

Body = dict[str, Any]
LeadDict = dict[str, Any]


def lead_id(number: int) -> str:
    return str(UUID(int=1000 + number))


def lead(number: int, **fields: Any) -> LeadDict:
    """Return a lead of the campaign and the list, with an email of its own."""
    return {
        "id": lead_id(number),
        "campaign": CAMPAIGN,
        "list_id": LIST,
        "email": f"person{number}@example.com",
    } | fields


def leads(count: int, **fields: Any) -> list[LeadDict]:
    return [lead(number, **fields) for number in range(count)]


def matches(each: LeadDict, body: Body) -> bool:
    """Whether the API returns a lead: emails are compared without case."""
    contacts = body.get("contacts")
    emails = None if contacts is None else {contact.lower() for contact in contacts}
    return all(each.get(key) == body[key] for key in ("campaign", "list_id") if key in body) and (
        emails is None or (each.get("email") or "").lower() in emails
    )


@dataclass
class LeadTransport(VirtualTransport):
    """Lists ``leads`` as documented, unless a hook does something else.

    ``ask(body)`` may change what is asked for, ``show(lead)`` what a page shows of a lead, and
    ``reply(body, items)`` the whole answer. ``bodies`` are those seen.
    """

    leads: list[LeadDict] = field(default_factory=list)
    ask: Callable[[Body], Body] = lambda body: body
    show: Callable[[LeadDict], Any] = lambda each: each
    reply: Callable[[Body, list[LeadDict]], Answer | None] = lambda body, items: None
    bodies: list[Body] = field(default_factory=list)

    def answer(self, wire: str, body: bytes | None, now: float) -> Answer:
        if body is None:
            each = next((each for each in self.leads if each["id"] == wire), None)
            return failing(404) if each is None else Response(200, {}, msgspec.json.encode(each))
        asked = msgspec.json.decode(body)
        self.bodies.append(asked)
        asked = self.ask(asked)
        ids = [each["id"] for each in self.leads]
        after = asked.get("starting_after")
        start = 0 if after is None else ids.index(after) + 1 if after in ids else len(ids)
        items = [each for each in self.leads[start:] if matches(each, asked)][: asked["limit"]]
        own = self.reply(asked, items)
        return page_of(map(self.show, items)) if own is None else own

    @property
    def gets(self) -> list[str]:
        return [wire for _, wire in self.sent if wire != "list"]


def page_of(items: Iterable[Any]) -> Response:
    return Response(200, {}, msgspec.json.encode({"items": list(items)}))


@dataclass
class Browse(Run):
    """A listing or a search over a virtual workspace, and what came of it."""

    leads: list[LeadDict] = field(default_factory=list)
    hooks: dict[str, Any] = field(default_factory=dict)
    lead_type: Any = Lead

    def __post_init__(self) -> None:
        super().__post_init__()
        self.transport: LeadTransport = LeadTransport(
            self.world, self.pages, leads=self.leads, **self.hooks
        )
        self.outcomes: list[Any] = []

    def listing(self, wanted: LeadFilter, after: str | None = None) -> "Browse":
        """List the leads that pass a filter."""
        endpoints = Endpoints(self.lead_type, Timeouts(), self.retry)
        listing = Listing(
            wanted, after, endpoints, self.workspace(), self.recorder, keep_raw=self.keep_raw
        )
        run_virtual(self.drain(lambda: make_listing_pipeline(listing, on_end=lambda: None)))
        return self

    def search(self, emails: Iterable[Any]) -> "Browse":
        """Find the leads of these emails."""
        endpoints = Endpoints(self.lead_type, Timeouts(), self.retry)
        options = EmailOptions(ordered=self.ordered, concurrency=self.limit, keep_raw=self.keep_raw)

        def make() -> Pipeline[Any, Any]:
            return make_email_pipeline(
                emails,
                options,
                endpoints,
                self.workspace(),
                self.recorder,
                most=self.concurrency,
                on_end=lambda: None,
            )

        run_virtual(self.drain(make))
        return self

    @property
    def ids(self) -> list[str]:
        return [outcome.lead_id for outcome in self.outcomes]

    @property
    def searches(self) -> list[list[str]]:
        """The emails of each request that had any, but of no canary."""
        asked = [body["contacts"] for body in self.transport.bodies if "contacts" in body]
        return [each for each in asked if not each[0].endswith("@example.invalid")]
