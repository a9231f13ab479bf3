"""Does work in steps without a loop."""

from typing import TypeVar

from instantly_async._api import Steps

R = TypeVar("R")


def at_once(work: R | Steps[R]) -> R:
    """Return the result of work that may be in steps."""
    return do(work) if isinstance(work, Steps) else work


def do(steps: Steps[R]) -> R:
    """Do all steps."""
    for _ in steps:
        pass
    return steps.result
