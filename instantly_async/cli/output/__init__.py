"""Where leads go: the journal, which can be resumed, or stdout.

Decides how a lead is written, what is on disk, and what an earlier run has done. Must not know
how leads are fetched, or in which format they end up.
"""

from .error_lines import is_temporary
from .journal import ADD_RESUME, open_journal, read_journal
from .lines import Output, Stdout
from .recovery import Resume

__all__ = [
    "ADD_RESUME",
    "Output",
    "Resume",
    "Stdout",
    "is_temporary",
    "open_journal",
    "read_journal",
]
