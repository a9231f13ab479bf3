"""Several things at once, of which the first error ends the others."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

R = TypeVar("R")


async def together(works: Iterable[Coroutine[Any, Any, R]]) -> list[R]:
    """Do all of them, and return their results in order.

    Raises:
        BaseException: what the first of them raised that failed.
        CancelledError: one of them was cancelled. A task group takes that for a normal end.
    """
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as errors:
        failure = errors.exceptions[0]
    if failure is not None:
        raise failure
    return [task.result() for task in tasks]
