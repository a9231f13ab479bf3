"""The outcome of one id: ``Found``, ``NotFound`` or ``Failed``; a batch; the leads of an email."""

from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from .errors import LeadError, NotFoundError
from .models import plain
from .stats import Stats

LeadId = str | UUID
"""A lead's id as callers pass it: a ``UUID``, or text in a spelling of RFC 9562 or of ``uuid``.

With hyphens or none, in either case, in ``{…}``, or behind ``urn:uuid:``. White space and invisible
characters around it are ignored. Requests have it in lower case, with hyphens.
"""

L = TypeVar("L")


class Found(msgspec.Struct, Generic[L], frozen=True, kw_only=True, gc=False):
    """The lead was fetched.

    ``lead_id`` is what the caller passed, ``index`` its position in the input, ``attempts``
    the requests made for it, and ``elapsed_s`` the seconds from the start of work on it to its
    outcome. ``problems`` names the fields that had to be converted or left out. ``raw`` is the
    server's own JSON if there are problems, or with ``keep_raw``; otherwise ``None``.
    """

    lead_id: LeadId
    index: int
    lead: L
    attempts: int
    elapsed_s: float
    problems: tuple[str, ...] = ()
    raw: bytes | None = None

    def __repr__(self) -> str:
        raw = "" if self.raw is None else f", raw=<{len(self.raw)} bytes>"
        problems = f", problems={self.problems!r}" if self.problems else ""
        where = f"lead_id={self.lead_id!r}, index={self.index}"
        return f"Found({where}, lead={self.lead!r}, attempts={self.attempts}{problems}{raw})"


class NotFound(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The workspace has no such lead. Fields as in ``Found``."""

    lead_id: LeadId
    index: int
    attempts: int
    elapsed_s: float


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The lead could not be fetched; ``error`` says why. Other fields as in ``Found``."""

    lead_id: LeadId
    index: int
    error: LeadError
    attempts: int
    elapsed_s: float


Outcome = Found[L] | NotFound | Failed
"""What became of an id: the lead, or that there is none, or why it could not be fetched.

Every id gets exactly one. Use ``match``, or ``isinstance``. The fields ``lead_id``, ``index``,
``attempts`` and ``elapsed_s`` are the same in all three.
"""


class EmailMatch(msgspec.Struct, Generic[L], frozen=True, kw_only=True):
    """The leads of one email: one per campaign or list that has it, or none.

    ``email`` is what the caller passed, ``index`` its position in the input. Each of ``found`` has
    the id of its lead, and the index of the email. With an ``error``, the leads are not known, and
    ``found`` is empty. Other fields as in ``Found``.
    """

    email: str
    index: int
    found: tuple[Found[L], ...] = ()
    error: LeadError | None = None
    attempts: int
    elapsed_s: float

    @property
    def leads(self) -> list[L]:
        """The leads, in the order of the API; empty if there are none."""
        return [found.lead for found in self.found]

    def __repr__(self) -> str:
        error = "" if self.error is None else f", error={self.error!r}"
        _, at, domain = str(self.email).rpartition("@")
        email = f"…@{domain[:100]}" if at else "…"
        what = f"index={self.index}, leads={len(self.found)}{error}"
        return f"EmailMatch(email={email!r}, {what})"


def lead_or_raise(outcome: Outcome[L]) -> L:
    """Return the lead of an outcome.

    Raises:
        NotFoundError: the workspace has no such lead.
        LeadError: the error of a ``Failed`` outcome.
    """
    if isinstance(outcome, Found):
        return outcome.lead
    if isinstance(outcome, Failed):
        raise outcome.error
    error = NotFoundError("The workspace has no such lead")
    error.lead_id, error.attempts = outcome.lead_id, outcome.attempts
    raise error


class LeadBatch(msgspec.Struct, Generic[L], frozen=True, kw_only=True):
    """The outcomes of ``get_leads``, one per id in input order, and the run's ``stats``."""

    outcomes: tuple[Outcome[L], ...]
    stats: Stats

    @property
    def leads(self) -> list[L]:
        """The leads that were found, in input order."""
        return [outcome.lead for outcome in self.outcomes if isinstance(outcome, Found)]

    @property
    def not_found(self) -> list[LeadId]:
        """The ids, as passed, of leads that the workspace does not have."""
        return [outcome.lead_id for outcome in self.outcomes if isinstance(outcome, NotFound)]

    @property
    def failed(self) -> list[Failed]:
        """The failures, in input order."""
        return [outcome for outcome in self.outcomes if isinstance(outcome, Failed)]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the leads that were found as plain data, in input order.

        For data frames and web frameworks; see ``Lead.to_dict``, also for a type of your own.
        """
        return [plain(lead) for lead in self.leads]

    def raise_for_failures(self) -> None:
        """Raise the first failure, with a note that counts the others.

        ``NotFound`` is not a failure.

        Raises:
            LeadError: the error of the first ``Failed`` outcome.
        """
        failed = self.failed
        if not failed:
            return
        error = failed[0].error
        note = f"{len(failed)} of {len(self.outcomes)} leads failed; this is the first."
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise error
