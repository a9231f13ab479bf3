"""The commands: their arguments, and which parts they build and run.

Decides what a user can type, and its help. Must not know how a run proceeds.
"""

from .arguments import require_stdout
from .convert import convert
from .fetch import fetch
from .get import check, get
from .trial import demo, ids, serve

COMMANDS = (get, check, fetch, convert, demo, serve, ids)

__all__ = ["COMMANDS", "require_stdout"]
