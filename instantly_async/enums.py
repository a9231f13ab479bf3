"""Codes of a lead, with the vendor's labels. They are open.

The vendor's page documents the members, but other values occur in practice, and these become
pseudo-members ``UNKNOWN_<value>``.

Source: https://developer.instantly.ai (API v2, GET /api/v2/leads/{id}).
"""

from enum import IntEnum, StrEnum
from typing import Self


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
