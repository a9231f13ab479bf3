"""The commands: their arguments, and which parts they build and run.

Decides what a user can type, and its help. Must not know how a run proceeds.
"""

from collections.abc import Callable

from cyclopts import Group

from instantly_async.cli.groups import FETCH, FILES, TRY

from .arguments import require_stdout
from .convert import convert
from .export import export
from .fetch import fetch
from .get import check, get
from .trial import demo, ids, serve

COMMANDS: dict[Group, tuple[Callable[..., int], ...]] = {
    FETCH: (get, check, fetch, export),
    FILES: (convert,),
    TRY: (demo, serve, ids),
}
"""The commands of each group."""

__all__ = ["COMMANDS", "require_stdout"]
