"""How a fake behaves: every switch, with its meaning and its default.

The switches are plain attributes that may be changed while the fake runs; they are read again
for every request. No decision is made here.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .faults import TRANSIENT_FAULTS, Fault

LeadSet = Container[str] | Callable[[str], bool]
"""Lead ids (lower-case strings; a ``set`` is fast), or a function from an id to ``bool``."""

DEFAULT_API_KEY = "fake-key-for-tests"
"""The accepted key unless another one is set. It is not a real key."""


@dataclass(kw_only=True, eq=False, repr=False)
class Behaviour:
    """The switches of ``FakeInstantly``.

    Who may read:
        api_key: the only accepted key; another one gets 401.
        paid_plan: ``False``: every authorized request gets 402.
        scopes: those of the key; if none of them reads leads, requests get 403.

    Which leads there are:
        known: ids that exist; ``None``: every UUID is a lead.
        unknown: ids that do not (404), even if they are ``known``.
        fields: fields of single leads (lower-case id to field to value) that replace the
            invented ones, in both endpoints and for the filters. These leads exist unless they are
            ``unknown``, and belong to the workspace. Use it to give two leads one email.
        workspace_size, workspace_seed: *List leads* without ``ids`` finds the leads of
            ``lead_ids(workspace_size, workspace_seed)`` and of ``fields``.

    How fast and how often:
        latency_s, jitter_s: seconds before an answer, plus or minus up to ``jitter_s``.
        list_latency_s: the same for *List leads*; ``None``: ``latency_s``.
        rate_limit: requests per second and per 60 s and workspace; ``None``: no limit.
        count_rejected: whether a request that gets 429 counts against the limit too.
        retry_after: ``Retry-After`` of a 429, sent unchanged; ``None``: no such header.

    What goes wrong:
        down: ``True``: every request gets 503; a ``Fault``: every request gets it.
        list_down: the same, for *List leads* only.
        broken: leads for which *Get lead* always answers 500.
        fault_rate, fault_kinds: share of requests (0 to 1) that get a fault drawn
            from these.
        seed: of jitter and faults.

    Quirks of List leads:
        max_list_ids: more ``ids`` than this get 400; ``None``: any number.
        max_contacts: the same for ``contacts``.
        reads_contacts: only this many ``contacts`` are read, without an error;
            ``None``: all.
        contacts_match_case: ``contacts`` are compared with upper and lower case.
        list_ignores_filter: every filter is ignored, and the whole workspace is returned.
        list_omits: leads that *Get lead* has and *List leads* leaves out.
        list_omits_fields: names of fields that *Get lead* has and *List leads* leaves out.
        list_injects: the id of a lead that is added to every page, requested or not.
        list_shift: each page after the first begins with this many leads of the page
            before, as if leads were added meanwhile; if negative, it skips as many.
            The end is an empty page all the same.
        list_last_cursor: the last page that holds data still carries a cursor.
        list_limit_is_silent: a ``limit`` over 100 gets an empty page in place of 400.
        list_payload_keys: ``payload`` keys named differently, by their *Get lead* name.
    """

    api_key: str = DEFAULT_API_KEY
    paid_plan: bool = True
    scopes: Container[str] = frozenset({"leads:read"})

    known: LeadSet | None = None
    unknown: LeadSet = ()
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    workspace_size: int = 250
    workspace_seed: int = 0

    latency_s: float = 0.0
    jitter_s: float = 0.0
    list_latency_s: float | None = None
    rate_limit: tuple[int, int] | None = (100, 6000)
    count_rejected: bool = True
    retry_after: float | str | None = None

    down: bool | Fault = False
    list_down: bool | Fault = False
    broken: LeadSet = ()
    fault_rate: float = 0.0
    fault_kinds: Sequence[Fault] = TRANSIENT_FAULTS
    seed: int = 0

    max_list_ids: int | None = None
    max_contacts: int | None = None
    reads_contacts: int | None = None
    contacts_match_case: bool = False
    list_ignores_filter: bool = False
    list_omits: LeadSet = ()
    list_omits_fields: Container[str] = ()
    list_injects: str | None = None
    list_shift: int = 0
    list_last_cursor: bool = True
    list_limit_is_silent: bool = False
    list_payload_keys: Mapping[str, str] = field(
        # Reported by users of the API, not documented.
        default_factory=lambda: {"person_linkedIn": "LinkedIn_personURL"}
    )

    def has_lead(self, lead_id: str) -> bool:
        """Whether a lead with this (lower-case) id exists."""
        known = self.known is None or lead_id in self.fields or contains(self.known, lead_id)
        return known and not contains(self.unknown, lead_id)


def contains(leads: LeadSet, lead_id: str) -> bool:
    """Whether the id is in a ``LeadSet``."""
    return leads(lead_id) if callable(leads) else lead_id in leads
