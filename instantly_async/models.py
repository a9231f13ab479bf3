"""The ``Lead`` as the vendor's *Get lead* page describes it, and nothing else.

Only ``id`` is required; every other field is ``None`` when absent. Fields that the page does not
list are ignored. The codes are in ``enums``.

Source: https://developer.instantly.ai (API v2, GET /api/v2/leads/{id}).
"""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec

from ._reprs import Brief, angular, cut_repr, cut_text, email_domain
from .enums import (
    EnrichmentStatus,
    EsgCode,
    EspCode,
    InterestStatus,
    LeadStatus,
    OpenIntEnum,
    OpenStrEnum,
    UploadMethod,
    VerificationStatus,
)

__all__ = [
    "EnrichmentStatus",
    "EsgCode",
    "EspCode",
    "InterestStatus",
    "LastStep",
    "Lead",
    "LeadStatus",
    "OpenIntEnum",
    "OpenStrEnum",
    "StatusSummary",
    "SubsequenceStatusSummary",
    "Timestamp",
    "UploadMethod",
    "VerificationStatus",
    "plain",
]

Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]
"""An aware ``datetime``; the API sends RFC 3339 in UTC."""

_PLAIN = (bytes, date, datetime, time, timedelta, Decimal, UUID)


def plain(lead: Any) -> dict[str, Any]:
    """Return a struct as a dict; enums and structs inside become plain data, timestamps stay."""
    data: dict[str, Any] = msgspec.to_builtins(lead, builtin_types=_PLAIN)
    return data


class LastStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``status_summary.lastStep``: the last step that ran for the lead."""

    from_: str | None = msgspec.field(default=None, name="from")
    """Where the step comes from, such as ``campaign``."""
    step_id: str | None = msgspec.field(default=None, name="stepID")
    """Id of the step."""
    timestamp_executed: Timestamp | None = None
    """When the step ran."""


class StatusSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``Lead.status_summary``."""

    last_step: LastStep | None = msgspec.field(default=None, name="lastStep")
    """The last step that ran."""
    domain_complete: bool | None = None
    """The vendor does not describe it."""


class SubsequenceStatusSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``Lead.status_summary_subseq``: the same for the lead's subsequence."""

    from_: str | None = msgspec.field(default=None, name="from")
    """Where the step comes from, such as ``campaign``."""
    step_id: str | None = msgspec.field(default=None, name="stepID")
    """Id of the step."""
    timestamp_executed: Timestamp | None = msgspec.field(default=None, name="timestampExecuted")
    """When the step ran."""


class Lead(Brief, frozen=True, kw_only=True, gc=False):
    """One lead: 50 fields under the API's own names. Only ``id`` is always set.

    Ids are strings as the API sends them, counts and steps are integers, timestamps
    are aware. ``payload`` holds the customer's own variables, under any keys. Their values
    are strings, numbers, booleans or ``None``, and by the schema also objects. A lead is
    immutable except for its ``payload``, a ``dict`` of its own. Its ``repr`` shows little personal
    data: id, the email's domain, status and campaign; print ``lead.to_dict()`` to see all.
    """

    id: str
    """Id of the lead; a UUID."""
    timestamp_created: Timestamp | None = None
    """When the lead was created."""
    timestamp_updated: Timestamp | None = None
    """When the lead was last updated."""
    organization: str | None = None
    """Id of the workspace that the lead belongs to; a UUID."""
    campaign: str | None = None
    """Id of the campaign that the lead is in; a UUID."""
    status: LeadStatus | None = None
    """State of the lead in its campaign."""
    email: str | None = None
    """Email address."""
    personalization: str | None = None
    """Text that was written for this lead."""
    website: str | None = None
    """Website."""
    last_name: str | None = None
    """Last name."""
    first_name: str | None = None
    """First name."""
    company_name: str | None = None
    """Company name."""
    job_title: str | None = None
    """Job title."""
    phone: str | None = None
    """Phone number."""
    email_open_count: int | None = None
    """How often emails were opened."""
    email_reply_count: int | None = None
    """How often emails were replied to."""
    email_click_count: int | None = None
    """How often emails were clicked."""
    company_domain: str | None = None
    """Company domain."""
    status_summary: StatusSummary | None = None
    """Summary of the status in the campaign."""
    payload: dict[str, Any] | None = None
    """Custom variables, under any keys: strings, numbers, booleans or ``None``."""
    status_summary_subseq: SubsequenceStatusSummary | None = None
    """Summary of the status in the subsequence."""
    last_step_from: str | None = None
    """Source of the last step, such as ``campaign``."""
    last_step_id: str | None = None
    """Id of the last step; a UUID."""
    last_step_timestamp_executed: Timestamp | None = None
    """When the last step was executed."""
    email_opened_step: int | None = None
    """Last email step opened by the lead."""
    email_opened_variant: int | None = None
    """Last step variant opened by the lead."""
    email_replied_step: int | None = None
    """Last email step the lead has replied to."""
    email_replied_variant: int | None = None
    """Last step variant the lead has replied to."""
    email_clicked_step: int | None = None
    """Last email step the lead has clicked."""
    email_clicked_variant: int | None = None
    """Last step variant the lead has clicked."""
    lt_interest_status: InterestStatus | None = None
    """Interest; the documented codes, or one that the workspace has defined."""
    subsequence_id: str | None = None
    """Id of the subsequence that the lead is in."""
    verification_status: VerificationStatus | None = None
    """What is known of the email address."""
    pl_value_lead: str | None = None
    """Potential value, such as ``High``."""
    timestamp_added_subsequence: Timestamp | None = None
    """When the lead was added to the subsequence."""
    timestamp_last_contact: Timestamp | None = None
    """Time of the last contact with the lead."""
    timestamp_last_open: Timestamp | None = None
    """Time of the last email open."""
    timestamp_last_reply: Timestamp | None = None
    """Time of the last email reply."""
    timestamp_last_interest_change: Timestamp | None = None
    """Time of the last interest status change."""
    timestamp_last_click: Timestamp | None = None
    """Time of the last email click."""
    enrichment_status: EnrichmentStatus | None = None
    """Enrichment status."""
    list_id: str | None = None
    """Id of the list that the lead is in; a UUID."""
    last_contacted_from: str | None = None
    """Source of the last contact, such as ``email``."""
    uploaded_by_user: str | None = None
    """Id of the user who uploaded the lead; a UUID."""
    upload_method: UploadMethod | None = None
    """How the lead came into the workspace."""
    assigned_to: str | None = None
    """Id of the user to whom the lead is assigned; a UUID."""
    is_website_visitor: bool | None = None
    """Whether the lead is a website visitor."""
    timestamp_last_touch: Timestamp | None = None
    """Time of the last touch."""
    esp_code: EspCode | None = None
    """Email service provider behind the address."""
    esg_code: EsgCode | None = None
    """Email security gateway in front of the address."""

    def to_dict(self) -> dict[str, Any]:
        """Return the lead as plain data, under the API's own names.

        Enums are their codes, nested objects are dicts, timestamps stay ``datetime`` objects. So
        pandas, and web frameworks such as FastAPI, take it.
        """
        return plain(self)

    def __repr__(self) -> str:
        email, status, campaign = self.email, self.status, self.campaign
        state = str(getattr(status, "name", status))
        parts = {
            "id": cut_repr(self.id),
            "email": "" if email is None else cut_repr(email_domain(email)),
            "status": "" if status is None else cut_text(state),
            "campaign": "" if campaign is None else cut_repr(campaign),
        }
        return angular(type(self).__name__, parts)
