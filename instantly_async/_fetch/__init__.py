"""Fetching: from ids to exactly one outcome each, by either strategy, in bounded memory.

Decides which requests are made for which id, and when an id has its outcome. Must not know HTTP,
or who consumes the outcomes.
"""

from .by_email import MAX_EMAILS
from .by_get import GetLookup
from .by_list import ListLookup
from .check import KeyCheck, request_check
from .listing import Listing
from .pipeline import Pipeline, report_closing_error
from .seen import SeenIds
from .strategies import (
    EmailOptions,
    StreamOptions,
    make_email_pipeline,
    make_listing_pipeline,
    make_pipeline,
)
from .workspace import Workspace

__all__ = [
    "MAX_EMAILS",
    "EmailOptions",
    "GetLookup",
    "KeyCheck",
    "ListLookup",
    "Listing",
    "Pipeline",
    "SeenIds",
    "StreamOptions",
    "Workspace",
    "make_email_pipeline",
    "make_listing_pipeline",
    "make_pipeline",
    "report_closing_error",
    "request_check",
]
