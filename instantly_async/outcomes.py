"""The outcome of one id: ``Found``, ``NotFound`` or ``Failed``; a batch; the leads of an email."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from uuid import UUID

from ._reprs import Brief, angular, cut_repr, email_domain, shown_error, shown_id
from .errors import LeadError, NotFoundError
from .models import Lead, plain
from .stats import Stats

LeadId = str | UUID
"""A lead's id as callers pass it: a ``UUID``, or text in a spelling of RFC 9562 or of ``uuid``.

With hyphens or none, in either case, in ``{…}``, or behind ``urn:uuid:``. White space and invisible
characters around it are ignored. Requests have it in lower case, with hyphens.
"""

L = TypeVar("L")


class Found(Brief, Generic[L], frozen=True, kw_only=True, gc=False):
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
        # A type of the caller's own may have any personal data in its repr.
        lead = repr(self.lead) if isinstance(self.lead, Lead) else f"<{type(self.lead).__name__}>"
        parts = {
            "lead": lead,
            "problems": cut_repr(self.problems) if self.problems else "",
            "raw": "" if self.raw is None else f"<{len(self.raw):,} bytes>",
        }
        return _outcome_repr(self, parts)


class NotFound(Brief, frozen=True, kw_only=True, gc=False):
    """The workspace has no such lead. Fields as in ``Found``."""

    lead_id: LeadId
    index: int
    attempts: int
    elapsed_s: float

    def __repr__(self) -> str:
        return _outcome_repr(self, {})


class Failed(Brief, frozen=True, kw_only=True):
    """The lead could not be fetched; ``error`` says why. Other fields as in ``Found``."""

    lead_id: LeadId
    index: int
    error: LeadError
    attempts: int
    elapsed_s: float

    def __repr__(self) -> str:
        return _outcome_repr(self, {"error": shown_error(self.error)})


Outcome = Found[L] | NotFound | Failed
"""What became of an id: the lead, or that there is none, or why it could not be fetched.

Every id gets exactly one. Use ``match``, or ``isinstance``. The fields ``lead_id``, ``index``,
``attempts`` and ``elapsed_s`` are the same in all three.
"""


class EmailMatch(Brief, Generic[L], frozen=True, kw_only=True):
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
        parts = {
            "index": str(self.index),
            "email": cut_repr(email_domain(self.email)),
            "leads": str(len(self.found)),
            "attempts": str(self.attempts),
            "error": "" if self.error is None else shown_error(self.error),
        }
        return angular("EmailMatch", parts)


def _outcome_repr(outcome: Found[Any] | NotFound | Failed, parts: dict[str, str]) -> str:
    where = {
        "index": str(outcome.index),
        "lead_id": repr(shown_id(outcome.lead_id)),
        "attempts": str(outcome.attempts),
    }
    return angular(type(outcome).__name__, where | parts)


_HTML_ROWS = 10


def _html_row(outcome: Found[Any]) -> tuple[str, ...]:
    """Return the cells of a lead; of a type of the caller's own, only its id."""
    lead = outcome.lead
    if not isinstance(lead, Lead):
        return (shown_id(outcome.lead_id), "", "", "")
    email = "" if lead.email is None else email_domain(lead.email)
    status = "" if lead.status is None else str(getattr(lead.status, "label", lead.status))
    return (str(lead.id), email, status, lead.campaign or "")


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


class LeadBatch(Brief, Generic[L], frozen=True, kw_only=True, dict=True):
    """The outcomes of ``get_leads``, one per id in input order, and the run's ``stats``.

    ``len`` counts the outcomes, and iterating yields them, so an empty batch is false. A notebook
    shows the counts and the first ten leads. For data frames, see ``to_arrow``.
    """

    outcomes: tuple[Outcome[L], ...]
    stats: Stats

    def __repr__(self) -> str:
        return f"<LeadBatch {self._counts()}>"

    def _counts(self) -> str:
        kinds = Counter(map(type, self.outcomes))
        found, missing, failed = kinds[Found], kinds[NotFound], kinds[Failed]
        return f"{found:,} found, {missing:,} not found, {failed:,} failed"

    def _repr_html_(self) -> str:
        from ._html import lead_table  # noqa: PLC0415 - only notebooks need it

        found = [outcome for outcome in self.outcomes if isinstance(outcome, Found)]
        rows = [_html_row(outcome) for outcome in found[:_HTML_ROWS]]
        return lead_table(self._counts(), rows, more=len(found) - len(rows))

    def __len__(self) -> int:
        return len(self.outcomes)

    def __iter__(self) -> Iterator[Outcome[L]]:
        return iter(self.outcomes)

    @cached_property
    def by_id(self) -> Mapping[LeadId, Outcome[L]]:
        """The outcome of each id, as it was passed; read-only.

        If an id was given twice: the ``Found`` that came first, or else the first outcome.
        """
        outcomes: dict[LeadId, Outcome[L]] = {}
        for outcome in self.outcomes:
            try:
                first = outcomes.setdefault(outcome.lead_id, outcome)
            except TypeError:
                continue  # a list that was passed by mistake: it has failed
            if isinstance(outcome, Found) and not isinstance(first, Found):
                outcomes[outcome.lead_id] = outcome
        return MappingProxyType(outcomes)

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

    def to_arrow(self) -> Any:
        """Return the leads that were found as a ``pyarrow.Table``, in input order.

        Needs the extra ``parquet``. pandas, Polars and DuckDB read the table. Polars also takes the
        batch itself: ``polars.DataFrame(batch)``. Columns and values are those of the command's
        Parquet files. Only ``payload`` and the status summaries, which are JSON texts, may differ
        from what the server sent: in white space, escapes and the spelling of numbers, and a
        summary has its documented keys only, ``null`` if they were missing. With ``keep_raw``,
        they are the server's own.

        Leads of your own type have a column for each of their fields, whose Arrow type follows
        from the field's type; what is not a text, number, boolean or ``datetime`` becomes text, or
        JSON. Without any lead, the table has the columns of ``Lead``, and no rows.

        It works without a pause, so for many leads in an event loop, use ``asyncio.to_thread``.

        Raises:
            ConfigurationError: pyarrow is not installed.
        """
        from ._arrow import lead_table  # noqa: PLC0415 - few programs need it

        found = [outcome for outcome in self.outcomes if isinstance(outcome, Found)]
        lead_type: Any = type(found[0].lead) if found else Lead
        return lead_table(lead_type, [each.lead for each in found], [each.raw for each in found])

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

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
