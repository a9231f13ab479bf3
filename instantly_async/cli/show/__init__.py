"""What a person sees of a run: progress, summary, charts, messages; and the summary as JSON.

Decides wording and layout. Must not know how leads are fetched or written.
"""

from .chart import charts
from .ending import Files, exit_reason, exit_reason_and_place, next_step, summary
from .listing import plan_of_listing
from .messages import invalid, plan, trouble
from .naming import INVALID, MOST_NAMED, Naming, kind_of
from .progress import Display, Extent, Progress, counting
from .report import Report, Tally, write_stats
from .words import EMAILS, IDS, LISTING, Words

__all__ = [
    "EMAILS",
    "IDS",
    "INVALID",
    "LISTING",
    "MOST_NAMED",
    "Display",
    "Extent",
    "Files",
    "Naming",
    "Progress",
    "Report",
    "Tally",
    "Words",
    "charts",
    "counting",
    "exit_reason",
    "exit_reason_and_place",
    "invalid",
    "kind_of",
    "next_step",
    "plan",
    "plan_of_listing",
    "summary",
    "trouble",
    "write_stats",
]
