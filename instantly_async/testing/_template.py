"""What an invented lead looks like, field by field, under the vendor's own names.

Decides how often each code, null and missing field occurs. Source of the fields and their
order: https://developer.instantly.ai (API v2, *Get lead*).
"""

from datetime import UTC, datetime, timedelta
from enum import Enum
from random import Random
from typing import Any
from uuid import UUID

import msgspec

from instantly_async.models import (
    EnrichmentStatus,
    EsgCode,
    EspCode,
    InterestStatus,
    LeadStatus,
    UploadMethod,
    VerificationStatus,
)

PLACEHOLDER = "<lead id>"
"""Is replaced by a lead's id."""

_SIZE = 2_800
"""A lead has at least this many bytes of JSON, and rarely 200 more."""

_FIRST_NAMES = ("Ada", "Bram", "Chloé", "Dmitri", "Elif", "Femi", "Grace", "Hiro", "Inés", "Jürgen")
_LAST_NAMES = ("Abara", "Brandt", "Castellanos", "Dubois", "Eriksen", "Fujita", "Garnier", "Haddad")
_JOBS = ("Head of Growth", "VP Sales", "Founder & CEO", "RevOps Manager", "Demand Generation Lead")
_COMPANIES = ("Northwind Analytics", "Blue Harbor Labs", "Quillfeather", "Ostrava Robotics", "Ümit")
_INDUSTRIES = ("Software", "Logistics", "Medical devices", "Renewable energy", "Education")
_CITIES = ("Lisbon, Portugal", "Austin, Texas", "Zürich, Switzerland", "São Paulo, Brazil")
_NOTES = (
    "Asked for a call after the quarter closes.",
    "Prefers short mails without attachments.",
    "Compared two vendors in spring and kept the spreadsheet.",
    "Budget is decided together with the operations team.",
    "Met at the harbour meetup; remembers the demo with the three inboxes.",
)
_EVENTS = (
    "added_subsequence",
    "last_contact",
    "last_open",
    "last_reply",
    "last_interest_change",
    "last_click",
    "last_touch",
)
_START = datetime(2025, 11, 1, tzinfo=UTC)


def lead_template(seeded: Random, number: int) -> dict[str, Any]:
    """Return one lead as JSON values, with ``PLACEHOLDER`` for its id.

    ``number`` selects the codes, so that consecutive numbers cover all of them.
    """
    person = _person(seeded)
    lead = {
        "id": PLACEHOLDER,
        **_origin(seeded, number),
        **person,
        "payload": None if number % 16 == 15 else _payload(seeded, person),
        **_engagement(seeded, number),
        **_codes(seeded, number),
    }
    if number % 8 == 7:
        # Their schema does not allow null, so they are left out if they are unknown.
        del lead["lt_interest_status"], lead["esg_code"], lead["status_summary_subseq"]
    _lengthen(seeded, lead)
    return lead


def _lengthen(seeded: Random, lead: dict[str, Any]) -> None:
    """Add notes to a free-text field until the lead has the size of real ones."""
    room, key = (lead, "personalization") if lead["payload"] is None else (lead["payload"], "notes")
    room[key] = room.get(key) or seeded.choice(_NOTES)
    while len(msgspec.json.encode(lead)) < _SIZE:
        room[key] += f" {seeded.choice(_NOTES)}"


def _person(seeded: Random) -> dict[str, Any]:
    first, last = seeded.choice(_FIRST_NAMES), seeded.choice(_LAST_NAMES)
    company = seeded.choice(_COMPANIES)
    domain = f"{company.split()[0].lower().replace('ü', 'u')}.test"
    return {
        # The id makes each address different without a counter.
        "email": f"{last.lower()}+{PLACEHOLDER}@example.com",
        "personalization": _maybe(
            seeded, f"Hi {first}, the talk {company} gave on onboarding made us rethink ours."
        ),
        "website": _maybe(seeded, f"https://www.{domain}"),
        "last_name": last,
        "first_name": first,
        "company_name": company,
        "job_title": _maybe(seeded, seeded.choice(_JOBS)),
        # 555-01xx is reserved for fiction.
        "phone": _maybe(seeded, f"+1202555{seeded.randint(100, 199):04d}"),
        "company_domain": domain,
    }


def _payload(seeded: Random, person: dict[str, Any]) -> dict[str, Any]:
    first, company = person["first_name"], person["company_name"]
    handle = f"{first}-{person['last_name']}".lower()
    return {
        "firstName": first,
        "lastName": person["last_name"],
        "companyName": company,
        "email": person["email"],
        "jobTitle": person["job_title"] or "",
        "website": person["website"] or "",
        "phone": person["phone"] or "",
        "location": seeded.choice(_CITIES),
        "industry": seeded.choice(_INDUSTRIES),
        "person_linkedIn": f"https://social.example.com/in/{handle}",
        "company_linkedIn": f"https://social.example.com/company/{person['company_domain']}",
        "headcount": seeded.choice((8, 42, 180, 1250, None)),
        "annual_revenue_musd": round(seeded.uniform(0.4, 90), 2),
        "uses_crm": seeded.random() < 0.5,
        "icebreaker": f"Saw that {company} opened an office in {seeded.choice(_CITIES)} \u2013 "
        f"congratulations, {first}! How does the new team find its first customers?",
        "pain_point": "Replies to cold mail are sorted by hand and hot ones wait for days.",
        "case_study": "A team of the same size halved its time to first reply in six weeks.",
        "source": seeded.choice(("webinar 2025-10", "conference list", "SuperSearch")),
    }


def _origin(seeded: Random, number: int) -> dict[str, Any]:
    created = _time(seeded, 1)
    return {
        "timestamp_created": created,
        "timestamp_updated": _time(seeded, 60),
        "organization": _uuid(Random(number % 4)),  # noqa: S311 - four workspaces
        "campaign": CAMPAIGNS[number % 4],
        "status": _pick(LeadStatus, number),
        "list_id": (*LISTS, None)[number // 4 % 4],
        "uploaded_by_user": _maybe(seeded, _uuid(seeded)),
        "upload_method": _pick(UploadMethod, number),
        "assigned_to": _maybe(seeded, _uuid(seeded)),
        "is_website_visitor": seeded.choice((True, False, None)),
    }


def _engagement(seeded: Random, number: int) -> dict[str, Any]:
    step, executed = f"{seeded.randint(0, 2)}_0_{seeded.randint(0, 3)}", _time(seeded, 30)
    contacted = number % 5 > 0
    steps = {
        f"email_{event}_{part}": _maybe(seeded, seeded.randint(0, 4))
        for event in ("opened", "replied", "clicked")
        for part in ("step", "variant")
    }
    return {
        "email_open_count": seeded.randint(0, 9) if contacted else 0,
        "email_reply_count": seeded.randint(0, 3) if contacted else 0,
        "email_click_count": seeded.randint(0, 3) if contacted else 0,
        "status_summary": {
            "lastStep": {"from": "campaign", "stepID": step, "timestamp_executed": executed},
            "domain_complete": seeded.random() < 0.5,
        }
        if contacted
        else {},
        "status_summary_subseq": {
            "from": "subsequence",
            "stepID": _uuid(seeded),
            "timestampExecuted": executed,
        },
        "last_step_from": "campaign" if contacted else None,
        "last_step_id": _uuid(seeded) if contacted else None,
        "last_step_timestamp_executed": executed if contacted else None,
        **steps,
        "subsequence_id": _maybe(seeded, _uuid(seeded)),
        **{f"timestamp_{name}": _maybe(seeded, _time(seeded, 45)) for name in _EVENTS},
        "last_contacted_from": "outreach@sender.test" if contacted else None,
    }


def _codes(seeded: Random, number: int) -> dict[str, Any]:
    return {
        "lt_interest_status": _pick(InterestStatus, number),
        "verification_status": _pick(VerificationStatus, number),
        "pl_value_lead": _maybe(seeded, seeded.choice(("High", "Medium", "Low"))),
        "enrichment_status": _pick(EnrichmentStatus, number),
        "esp_code": _pick(EspCode, number),
        "esg_code": _pick(EsgCode, number),
    }


def _pick(codes: type[Enum], number: int) -> Any:
    members = list(codes)
    return members[number % len(members)].value


def _maybe(seeded: Random, value: Any) -> Any:
    return value if seeded.random() < 0.85 else None


def _time(seeded: Random, within_days: int) -> str:
    moment = _START + timedelta(milliseconds=seeded.randrange(within_days * 86_400_000))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _uuid(seeded: Random) -> str:
    # It only looks like version 7: all its parts are random.
    return str(UUID(int=seeded.getrandbits(128) & ~(0xF << 76) | 0x7 << 76))


CAMPAIGNS = tuple(_uuid(Random(f"campaign {number}")) for number in range(4))  # noqa: S311 - no secret
"""The campaigns of the invented leads, one quarter of the leads each."""

LISTS = tuple(_uuid(Random(f"list {number}")) for number in range(3))  # noqa: S311 - no secret
"""Their lists, one quarter of the leads of each campaign each; the last quarter has no list."""
