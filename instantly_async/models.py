"""The ``Lead`` as the vendor's *Get lead* page describes it, and nothing else.

Only ``id`` is required; every other field is ``None`` when absent. Enums are open:
the page documents their members, but other values occur in practice, and these
become pseudo-members ``UNKNOWN_<value>``. Fields that it does not list are ignored.

Source: https://developer.instantly.ai (API v2, GET /api/v2/leads/{id}).
"""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Self

import msgspec

Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]
"""An aware ``datetime``; the API sends RFC 3339 in UTC."""


class OpenIntEnum(IntEnum):
    """Integer codes with the vendor's labels; other integers become ``UNKNOWN_<n>``.

    >>> LeadStatus(-1).label
    'Bounced'
    >>> LeadStatus(7)
    <LeadStatus.UNKNOWN_7: 7>

    Pseudo-members of the same value are equal, but not the same object: they are not
    cached, so that hostile data cannot fill the memory.
    """

    label: str

    def __new__(cls, value: int, label: str = "") -> Self:
        """Make a member of ``value``, shown to people as ``label``."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member

    def __reduce_ex__(self, protocol: object) -> tuple[type[Self], tuple[int]]:
        # By value: Python 3.11.0 to 3.11.4 pickle by name, which pseudo-members lack.
        return type(self), (self._value_,)

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if type(value) is not int:
            return None
        member = int.__new__(cls, value)
        member._value_ = value
        member._name_ = f"UNKNOWN_{value}"
        member.label = f"Unknown ({value})"
        return member


class OpenStrEnum(StrEnum):
    """String codes with the vendor's labels; other strings become ``UNKNOWN_<s>``."""

    label: str

    def __new__(cls, value: str, label: str = "") -> Self:
        """Make a member of ``value``, shown to people as ``label``."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member

    def __reduce_ex__(self, protocol: object) -> tuple[type[Self], tuple[str]]:
        # By value: Python 3.11.0 to 3.11.4 pickle by name, which pseudo-members lack.
        return type(self), (self._value_,)

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if type(value) is not str:
            return None
        member = str.__new__(cls, value)
        member._value_ = value
        member._name_ = f"UNKNOWN_{value}"
        member.label = f"Unknown ({value})"
        return member


class LeadStatus(OpenIntEnum):
    """``Lead.status``: the state of the lead in its campaign."""

    ACTIVE = 1, "Active"
    PAUSED = 2, "Paused"
    COMPLETED = 3, "Completed"
    BOUNCED = -1, "Bounced"
    UNSUBSCRIBED = -2, "Unsubscribed"
    SKIPPED = -3, "Skipped"


class InterestStatus(OpenIntEnum):
    """``Lead.lt_interest_status``. Workspaces also define values of their own."""

    OUT_OF_OFFICE = 0, "Out of Office"
    INTERESTED = 1, "Interested"
    MEETING_BOOKED = 2, "Meeting Booked"
    MEETING_COMPLETED = 3, "Meeting Completed"
    WON = 4, "Won"
    NOT_INTERESTED = -1, "Not Interested"
    WRONG_PERSON = -2, "Wrong Person"
    LOST = -3, "Lost"
    NO_SHOW = -4, "No Show"


class VerificationStatus(OpenIntEnum):
    """``Lead.verification_status``: what is known of the email address."""

    VERIFIED = 1, "Verified"
    PENDING = 11, "Pending"
    PENDING_VERIFICATION_JOB = 12, "Pending Verification Job"
    INVALID = -1, "Invalid"
    RISKY = -2, "Risky"
    CATCH_ALL = -3, "Catch All"
    JOB_CHANGE = -4, "Job Change"


class EnrichmentStatus(OpenIntEnum):
    """``Lead.enrichment_status``."""

    ENRICHED = 1, "Enriched"
    PENDING = 11, "Pending"
    NOT_AVAILABLE = -1, "Enrichment data not available"
    ERROR = -2, "Error"


class UploadMethod(OpenStrEnum):
    """``Lead.upload_method``: how the lead came into the workspace."""

    MANUAL = "manual", "Manual"
    API = "api", "API"
    WEBSITE_VISITOR = "website-visitor", "Website Visitor"


class EspCode(OpenIntEnum):
    """``Lead.esp_code``: the email service provider behind the lead's address."""

    IN_QUEUE = 0, "In Queue"
    GOOGLE = 1, "Google"
    MICROSOFT = 2, "Microsoft"
    ZOHO = 3, "Zoho"
    AIRMAIL = 8, "AirMail"
    YAHOO = 9, "Yahoo"
    YANDEX = 10, "Yandex"
    WEB_DE = 12, "Web.de"
    LIBERO_IT = 13, "Libero.it"
    OTHER = 999, "Other"
    NOT_FOUND = 1000, "Not Found"


class EsgCode(OpenIntEnum):
    """``Lead.esg_code``: the email security gateway in front of the lead's address."""

    IN_QUEUE = 0, "In Queue"
    BARRACUDA = 1, "Barracuda"
    MIMECAST = 2, "Mimecast"
    PROOFPOINT = 3, "Proofpoint"
    CISCO = 4, "Cisco"


class LastStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``status_summary.lastStep``: the last step that ran for the lead."""

    from_: str | None = msgspec.field(default=None, name="from")
    step_id: str | None = msgspec.field(default=None, name="stepID")
    timestamp_executed: Timestamp | None = None


class StatusSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``Lead.status_summary``."""

    last_step: LastStep | None = msgspec.field(default=None, name="lastStep")
    domain_complete: bool | None = None


class SubsequenceStatusSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``Lead.status_summary_subseq``: the same for the lead's subsequence."""

    from_: str | None = msgspec.field(default=None, name="from")
    step_id: str | None = msgspec.field(default=None, name="stepID")
    timestamp_executed: Timestamp | None = msgspec.field(default=None, name="timestampExecuted")


class Lead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One lead: 50 fields under the API's own names. Only ``id`` is always set.

    Ids are strings as the API sends them, counts and steps are integers, timestamps
    are aware. ``payload`` holds the customer's own variables, under any keys. Their values
    are strings, numbers, booleans or ``None``, and by the schema also objects. All is immutable
    except ``payload``, a ``dict``; no two outcomes share one.
    """

    id: str
    timestamp_created: Timestamp | None = None
    timestamp_updated: Timestamp | None = None
    organization: str | None = None
    campaign: str | None = None
    status: LeadStatus | None = None
    email: str | None = None
    personalization: str | None = None
    website: str | None = None
    last_name: str | None = None
    first_name: str | None = None
    company_name: str | None = None
    job_title: str | None = None
    phone: str | None = None
    email_open_count: int | None = None
    email_reply_count: int | None = None
    email_click_count: int | None = None
    company_domain: str | None = None
    status_summary: StatusSummary | None = None
    payload: dict[str, Any] | None = None
    status_summary_subseq: SubsequenceStatusSummary | None = None
    last_step_from: str | None = None
    last_step_id: str | None = None
    last_step_timestamp_executed: Timestamp | None = None
    email_opened_step: int | None = None
    email_opened_variant: int | None = None
    email_replied_step: int | None = None
    email_replied_variant: int | None = None
    email_clicked_step: int | None = None
    email_clicked_variant: int | None = None
    lt_interest_status: InterestStatus | None = None
    subsequence_id: str | None = None
    verification_status: VerificationStatus | None = None
    pl_value_lead: str | None = None
    timestamp_added_subsequence: Timestamp | None = None
    timestamp_last_contact: Timestamp | None = None
    timestamp_last_open: Timestamp | None = None
    timestamp_last_reply: Timestamp | None = None
    timestamp_last_interest_change: Timestamp | None = None
    timestamp_last_click: Timestamp | None = None
    enrichment_status: EnrichmentStatus | None = None
    list_id: str | None = None
    last_contacted_from: str | None = None
    uploaded_by_user: str | None = None
    upload_method: UploadMethod | None = None
    assigned_to: str | None = None
    is_website_visitor: bool | None = None
    timestamp_last_touch: Timestamp | None = None
    esp_code: EspCode | None = None
    esg_code: EsgCode | None = None
