"""A fake Instantly API for tests: a real server on loopback with invented leads.

The fake shares only ``models.py`` with the client, so that a bug in one is not hidden by the same
bug in the other. ``LIMITER_LAWS`` checks a limiter of your own. Everything public is here;
``plugin`` has the pytest fixture.
"""

import instantly_async._key_log  # noqa: F401 - must come before aiohttp

from .behaviour import DEFAULT_API_KEY, Behaviour, LeadSet
from .faults import TRANSIENT_FAULTS, Fault
from .leads import campaign_ids, email_of, lead_ids, lead_json, list_ids, make_lead
from .limiter_laws import LIMITER_LAWS, MakeLimiter
from .log import RecordedRequest
from .server import FakeInstantly
from .windows import WorstWindows, most_in_window

__all__ = [
    "DEFAULT_API_KEY",
    "LIMITER_LAWS",
    "TRANSIENT_FAULTS",
    "Behaviour",
    "FakeInstantly",
    "Fault",
    "LeadSet",
    "MakeLimiter",
    "RecordedRequest",
    "WorstWindows",
    "campaign_ids",
    "email_of",
    "lead_ids",
    "lead_json",
    "list_ids",
    "make_lead",
    "most_in_window",
]
