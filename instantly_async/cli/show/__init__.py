"""What a person sees of a run: progress, summary, charts, messages; and the summary as JSON.

Decides wording and layout. Must not know how leads are fetched or written.
"""

from .chart import charts
from .messages import invalid, plan, trouble
from .progress import Display, counting
from .report import Report, Tally, summary, write_stats

__all__ = [
    "Display",
    "Report",
    "Tally",
    "charts",
    "counting",
    "invalid",
    "plan",
    "summary",
    "trouble",
    "write_stats",
]
