"""Where leads go: the journal, which can be resumed, or stdout.

Decides how a lead is written, what is on disk, and what an earlier run has done. Must not know
how leads are fetched, or in which format they end up.
"""

from .error_lines import ListedFailure, is_temporary
from .lines import Output, Stdout
from .opening import ADD_RESUME, open_journal, read_journal
from .past import Past, PastEmails, PastIds, PastListing
from .query import BY_ID, Query, query_path
from .recovery import Recovery, Resume

__all__ = [
    "ADD_RESUME",
    "BY_ID",
    "ListedFailure",
    "Output",
    "Past",
    "PastEmails",
    "PastIds",
    "PastListing",
    "Query",
    "Recovery",
    "Resume",
    "Stdout",
    "is_temporary",
    "open_journal",
    "query_path",
    "read_journal",
]
