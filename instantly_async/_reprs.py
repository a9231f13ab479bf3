"""``safe_repr``: a ``__repr__`` that also works while its object is being built.

Tools that print the locals of a traceback call it on any object, also on one whose ``__init__`` has
just failed. If that raised, they would lose the whole traceback.
"""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

S = TypeVar("S")


def safe_repr(describe: Callable[[S], str]) -> Callable[[S], str]:
    """Decorate a ``__repr__``: an object without some of its attributes prints as unfinished."""

    @wraps(describe)
    def describe_safely(self: S) -> str:
        try:
            return describe(self)
        except AttributeError:
            return f"<{type(self).__name__} unfinished>"

    return describe_safely
