"""What leads, outcomes, batches and counters look like where people print them."""

import copy
import pickle
from collections.abc import Callable
from html.parser import HTMLParser
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from instantly_async import (
    EmailMatch,
    Failed,
    Found,
    Lead,
    LeadBatch,
    LeadStatus,
    NotFound,
    Outcome,
    RequestRejectedError,
    RunError,
    Stats,
    UploadMethod,
)
from instantly_async._recorder import Recorder
from instantly_async.testing import lead_ids

LEAD_ID, CAMPAIGN = lead_ids(2)
LEAD = Lead(
    id=LEAD_ID, email="ada@example.com", status=LeadStatus.ACTIVE, campaign=CAMPAIGN,
    first_name="Ada", phone="+44 1", payload={"secret": 1}, upload_method=UploadMethod.API,
)  # fmt: skip
SHOWN = f"<Lead id='{LEAD_ID}' email='…@example.com' status=ACTIVE campaign='{CAMPAIGN}'>"
STATS = Recorder().snapshot(0.0, allowed_rate=95.0)


class Own(msgspec.Struct):
    id: str
    email: str


def found(index: int = 0, lead: Any = LEAD, lead_id: Any = LEAD_ID, **more: Any) -> Found[Any]:
    return Found(lead_id=lead_id, index=index, lead=lead, attempts=1, elapsed_s=0.1, **more)


def missing(index: int = 0, lead_id: Any = LEAD_ID) -> NotFound:
    return NotFound(lead_id=lead_id, index=index, attempts=1, elapsed_s=0.1)


def failed(text: str = "Bad request", lead_id: Any = LEAD_ID) -> Failed:
    error = RequestRejectedError(text)
    return Failed(lead_id=lead_id, index=0, error=error, attempts=1, elapsed_s=0.1)


def batch_of(*outcomes: Outcome[Any]) -> LeadBatch[Any]:
    return LeadBatch(outcomes=outcomes, stats=STATS)


@pytest.fixture(
    params=[repr, lambda value: pretty_repr(value, max_width=1000)], ids=["repr", "rich"]
)
def shown(request: pytest.FixtureRequest) -> Callable[[object], str]:
    """Python's own repr, and what rich prints: msgspec tells it to print all fields."""
    show: Callable[[object], str] = request.param
    return show


# --- leads and outcomes --------------------------------------------------------------------


def test_a_lead_shows_little(shown: Callable[[object], str]) -> None:
    """Also inside of containers, and of a class of the caller's own."""
    assert shown(LEAD) == SHOWN
    assert shown([{"a": LEAD}]) == f"[{{'a': {SHOWN}}}]"
    assert shown(Lead(id=LEAD_ID)) == f"<Lead id='{LEAD_ID}'>"
    assert shown(Lead(id="x", email="nobody")) == "<Lead id='x' email='…'>"
    assert shown(Lead(id="x", status=LeadStatus(17))) == "<Lead id='x' status=UNKNOWN_17>"


@pytest.mark.parametrize("text", ["a\x1b[2J\n\u202e", "\ud800", "x" * 10**6, "\0" * 10**6])
def test_hostile_values_stay_short(shown: Callable[[object], str], text: str) -> None:
    lead = Lead(id=text, email=f"a@{text}", campaign=text)
    line = shown([lead, found(lead=lead, lead_id=text, problems=(text,)), failed(text, text)])
    assert len(line) < 900
    assert line.isprintable()
    line.encode()


@given(st.builds(Lead, id=st.text(), email=st.text(), campaign=st.text(), status=st.integers()))
def test_any_lead_prints_on_one_short_line(lead: Lead) -> None:
    assert repr(lead).isprintable()
    assert len(repr(lead)) < 350


def test_a_lead_is_still_a_value() -> None:
    again = pickle.loads(pickle.dumps(LEAD))  # noqa: S301 - our own bytes
    assert again == LEAD == copy.deepcopy(LEAD)
    assert hash(Lead(id="x")) == hash(Lead(id="x"))
    assert LEAD.to_dict()["email"] == "ada@example.com"


def test_outcomes_show_what_became_of_an_id(shown: Callable[[object], str]) -> None:
    where = f"index=0 lead_id='{LEAD_ID}' attempts=1"
    assert shown(found()) == f"<Found {where} lead={SHOWN}>"
    assert shown(found(raw=b"12", problems=("a",))) == (
        f"<Found {where} lead={SHOWN} problems=('a',) raw=<2 bytes>>"
    )
    assert shown(found(lead=Own(LEAD_ID, "ada@example.com"))) == f"<Found {where} lead=<Own>>"
    assert shown(missing()) == f"<NotFound {where}>"
    assert shown(failed()) == f"<Failed {where} error=RequestRejectedError('Bad request')>"


def test_matches_show_the_domain_only(shown: Callable[[object], str]) -> None:
    match: EmailMatch[Lead] = EmailMatch(
        email="ada@example.com", index=3, error=None, attempts=2, elapsed_s=0.1
    )
    assert shown(match) == "<EmailMatch index=3 email='…@example.com' leads=0 attempts=2>"


@pytest.mark.parametrize(
    ("lead_id", "text"),
    [
        (UUID(LEAD_ID), LEAD_ID),
        (f"{{{LEAD_ID.upper()}}}", f"{{{LEAD_ID.upper()}}}"),
        ("ada@example.com", "…"),
        ("4111111111111111", "…"),
        (["ada@example.com"], "…"),
        (None, "…"),
    ],
)
def test_only_ids_are_shown_as_ids(lead_id: Any, text: str) -> None:
    """A caller may have passed emails by mistake."""
    for outcome in (found(lead_id=lead_id), missing(lead_id=lead_id), failed(lead_id=lead_id)):
        assert f" lead_id={text!r} " in repr(outcome).replace(">", " ")


def test_what_is_no_domain_is_not_shown() -> None:
    """A malformed address may have anything behind its ``@``."""
    for email in ("<jane@example.com> +49170", "a@b c", "jane@"):
        assert repr(Lead(id=LEAD_ID, email=email)) == f"<Lead id={LEAD_ID!r} email='…'>"


# --- batches -------------------------------------------------------------------------------

BIG = batch_of(*(found(each) for each in range(9_985)), *[missing()] * 12, *[failed()] * 3)


def test_a_batch_is_one_line(shown: Callable[[object], str]) -> None:
    assert shown(BIG) == "<LeadBatch 9,985 found, 12 not found, 3 failed>"
    error = RunError("Stopped")
    error.partial = BIG
    assert shown({"error": error, "partial": error.partial}) == (
        f"{{'error': RunError('Stopped'), 'partial': {BIG!r}}}"
    )


def test_a_batch_is_a_collection_of_its_outcomes() -> None:
    batch = batch_of(missing(0), found(1))
    assert (len(batch), list(batch)) == (2, list(batch.outcomes))
    assert not batch_of()


def test_outcomes_by_id() -> None:
    """By what was passed; of an id that was given twice, the lead counts."""
    upper = LEAD_ID.upper()
    outcomes = (
        missing(0),
        found(1),
        found(2),
        missing(3, upper),
        failed(lead_id=["list"]),
        failed(lead_id=(["list"],)),
    )
    batch = batch_of(*outcomes)
    assert dict(batch.by_id) == {LEAD_ID: outcomes[1], upper: outcomes[3]}
    assert batch.by_id is batch.by_id
    assert isinstance(batch.by_id, MappingProxyType)
    for again in (pickle.loads(pickle.dumps(batch_of(found()))), copy.deepcopy(batch)):  # noqa: S301
        assert again.by_id[LEAD_ID] == found(again.by_id[LEAD_ID].index)


def test_a_batch_equals_another_however_it_was_used() -> None:
    used = batch_of(found(), missing(1))
    assert used.by_id
    assert used == batch_of(found(), missing(1)) != batch_of(found())
    assert pickle.loads(pickle.dumps(used)) == used  # noqa: S301 - our own bytes


class Tags(HTMLParser):
    """Checks that tags are closed in order; collects the texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert attrs in ([], [("style", "overflow-x: auto; white-space: nowrap")])
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_batch_in_a_notebook() -> None:
    html = BIG._repr_html_()
    tags = Tags(html)
    assert len(html) < 3000
    assert tags.seen.count("tr") == 11
    assert tags.texts[:9] == [
        "9,985 found, 12 not found, 3 failed", "id", "email", "status", "campaign",
        LEAD_ID, "…@example.com", "Active", CAMPAIGN,
    ]  # fmt: skip
    assert tags.texts[-1] == "… and 9,975 more"
    assert Tags(batch_of()._repr_html_()).texts == ["0 found, 0 not found, 0 failed"]


def test_a_batch_of_the_caller_s_own_type_shows_ids() -> None:
    html = batch_of(found(lead=Own(LEAD_ID, "ada@example.com")))._repr_html_()
    assert LEAD_ID in html
    assert "example" not in html


@given(st.text(), st.integers())
def test_any_lead_is_escaped(text: str, status: int) -> None:
    lead = Lead(id=text, email=f"@{text}", campaign=text, status=LeadStatus(status))
    hostile = Lead(id=f"<script>{text}", email="a@<b>", campaign="&lt;\0\ud800")
    tags = Tags(batch_of(found(lead=lead), found(lead=hostile))._repr_html_())
    assert set(tags.seen) <= {"div", "p", "table", "thead", "tbody", "tr", "th", "td"}
    assert all(each.isprintable() for each in tags.texts)


# --- counters ------------------------------------------------------------------------------


def recorder() -> Recorder:
    made = Recorder(requested=1000, found=995, not_found=2, requests=1012, retries=12, throttled=4)
    made.failed["ServerError"] = 1
    made.in_flight, made.started_at = 2, 0.0
    made.meter.count(10.0, 400)
    return made


HEAD = "998 of 1,000 done: 995 found, 2 not found, 1 failed (1 ServerError), 2 in flight\n"
SENT = "1,012 requests in 10.5 s, 12 retries, 4 × 429, 88.9/s (95.0/s allowed)"
NONE = "0 of 0 done\n0 requests in 0.0 s, 0 × 429"


@pytest.mark.parametrize(
    ("state", "end"),
    [
        ({}, ""),
        ({"paused_s": 2.1}, ", paused for 3 s"),
        ({"breaker_open": True}, ", API is down"),
        ({"breaker_open": True, "gives_up_s": 99.5}, ", API is down, giving up in 100 s"),
    ],
)
def test_counters_are_two_lines(state: dict[str, Any], end: str) -> None:
    assert str(recorder().snapshot(10.5, allowed_rate=95.0, **state)) == HEAD + SENT + end


def test_counters_of_other_runs() -> None:
    assert str(STATS) == NONE
    done = Recorder(requested=1, found=1, requests=1, retries=1, started_at=0.0)
    done.latency.record(0.05)
    assert str(done.snapshot(2.0, allowed_rate=None)) == (
        "1 of 1 done: 1 found\n"
        "1 request in 2.0 s, 1 retry, 0 × 429, 0.0/s (no limit), p50 48 ms, p95 48 ms"
    )


def test_counters_are_one_line_in_a_repr(shown: Callable[[object], str]) -> None:
    stats: Stats = recorder().snapshot(10.5, allowed_rate=95.0)
    assert shown(stats) == (
        "<Stats 998 of 1,000 done: 995 found, 2 not found, 1 failed; "
        "1,012 requests, 4 × 429, 10.5 s>"
    )
    assert shown(STATS) == "<Stats 0 of 0 done; 0 requests, 0 × 429, 0.0 s>"
