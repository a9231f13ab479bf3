"""Does work in steps, and lets the event loop run in between."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from instantly_async._api import Steps
from instantly_async.errors import DecodeError

R = TypeVar("R")

TURN_S = 0.005
"""The loop runs again after so many seconds of work, and the rest of a step."""


async def finish(
    steps: Steps[R], turn: asyncio.Lock, clock: Callable[[], float] | None = None
) -> R | DecodeError:
    """Do all steps, and return their result.

    ``turn`` is held meanwhile: if many did their steps at the same time, the loop would have to
    run a turn of each before it looks at its sockets. ``clock`` is the loop's if ``None``.
    """
    clock = clock or asyncio.get_running_loop().time
    async with turn:
        await asyncio.sleep(0)  # making the steps has taken time already
        began = clock()
        try:
            for _ in steps:
                if clock() - began >= TURN_S:
                    await asyncio.sleep(0)
                    began = clock()
        except DecodeError as error:
            return error.with_traceback(None)
    return steps.result
