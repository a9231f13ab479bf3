"""What a person sees of a run: progress line, summary and charts; and the summary as JSON.

Decides wording and layout. Must not know how leads are fetched or written.
"""

from .chart import charts
from .progress import Display
from .report import Report, Tally, summary, write_stats

__all__ = ["Display", "Report", "Tally", "charts", "summary", "write_stats"]
