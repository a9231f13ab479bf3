"""What it means: ids, endpoints, answers and leads, without I/O.

Decides how a request looks and what an answer stands for. Must not know how requests travel,
when they may be sent, or how often they are repeated.
"""

from .answers import TOO_MANY_IDS, error_for
from .decoding import LeadDecoder, LeadItem
from .endpoints import MAX_IDS_PER_PAGE, Endpoint, Endpoints, Page, is_misdelivered
from .ids import wire_id
from .salvage import split_members

__all__ = [
    "MAX_IDS_PER_PAGE",
    "TOO_MANY_IDS",
    "Endpoint",
    "Endpoints",
    "LeadDecoder",
    "LeadItem",
    "Page",
    "error_for",
    "is_misdelivered",
    "split_members",
    "wire_id",
]
