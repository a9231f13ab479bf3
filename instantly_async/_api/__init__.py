"""The API's rules, without I/O: ids, endpoints, error answers; decodes and copies leads.

Decides what a request looks like and what an answer means. Must not know how requests are sent,
when they may be sent, or how often they are repeated.
"""

from .answers import TOO_MANY_IDS, ErrorContext, error_for, error_in
from .copying import deep_copy
from .decoding import LeadDecoder, LeadItem
from .emails import email_key, wire_email
from .endpoint import MAX_LIMIT, Endpoint
from .endpoints import MAX_IDS_PER_PAGE, Endpoints, Page, is_misdelivered
from .filters import LeadFilter
from .ids import BLANK, wire_id
from .listing import ListedPage, ListQuery
from .pages import PageItems
from .scanning import is_cut_off_object, split_members
from .steps import Steps

__all__ = [
    "BLANK",
    "MAX_IDS_PER_PAGE",
    "MAX_LIMIT",
    "TOO_MANY_IDS",
    "Endpoint",
    "Endpoints",
    "ErrorContext",
    "LeadDecoder",
    "LeadFilter",
    "LeadItem",
    "ListQuery",
    "ListedPage",
    "Page",
    "PageItems",
    "Steps",
    "deep_copy",
    "email_key",
    "error_for",
    "error_in",
    "is_cut_off_object",
    "is_misdelivered",
    "split_members",
    "wire_email",
    "wire_id",
]
