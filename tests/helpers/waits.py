"""Where a task waits: reads the chain of awaits, from the task down to what wakes it.

A storm of cancellations proves nothing about a wait that it never met, so it counts them.
"""

import asyncio
import inspect
from collections.abc import Coroutine, Generator, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from instantly_async import InstantlyClient
from instantly_async._pace import Places

T = TypeVar("T")

WAITS = {
    # (file, function): the wait. The innermost one that is listed counts.
    ("limiter.py", "wait_out_pause"): "pause",
    ("leakybucket.py", "acquire"): "token",
    ("adaptive.py", "acquire"): "turn for a token",
    ("pool.py", "_wait"): "another's connection",
    ("pool.py", "_open_one"): "connect",
    ("impl.py", "start_connection"): "connect",  # of aiohappyeyeballs, within the TLS handshake
    ("connection.py", "exchange"): "head",
    ("transport.py", "_read_body"): "body",
    ("budget.py", "withdraw"): "retry budget",
    ("attempts.py", "_wait"): "backoff",
    ("breaker.py", "_lead"): "open breaker, as leader",
    ("breaker.py", "until_closed"): "open breaker",
    ("breaker.py", "is_alive"): "another's probe",
    ("absence.py", "absence"): "place after an absence",
    ("by_list.py", "_request_page"): "turn of a page",
    ("by_list.py", "_fetch_lead"): "turn of a single lead",
    ("by_list.py", "_fetch_one_by_one"): "singles of a chunk",
    ("pipeline.py", "_wait_for_room"): "room",
    ("pipeline.py", "_pull_in_turn"): "input",
    ("pipeline.py", "_serve_until_the_end"): "place of a worker",
    ("pipeline.py", "aclose"): "end of a stream",
    ("pipeline.py", "take"): "outcome",
    ("feeder.py", "run"): "feeder",
    ("loader.py", "_run"): "loader's flush or page",
    ("loader.py", "_outcome"): "loader's outcome",
}


class Families:
    """Knows which tasks descend from which: install as a loop's task factory."""

    def __init__(self) -> None:
        # Only weak references: a task that has ended may hold what its end should release.
        self._members: WeakKeyDictionary[asyncio.Task[Any], WeakSet[asyncio.Task[Any]]] = (
            WeakKeyDictionary()
        )

    def __call__(
        self,
        loop: asyncio.AbstractEventLoop,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        **options: Any,
    ) -> asyncio.Task[T]:
        task: asyncio.Task[T] = asyncio.Task(coro, loop=loop, **options)
        try:
            parent = asyncio.current_task()
        except RuntimeError:  # the loop does not run yet
            parent = None
        if parent is not None and (family := self._members.get(parent)) is not None:
            self._members[task] = family
            family.add(task)
        return task

    def found(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task whose descendants will be known."""
        task = asyncio.get_running_loop().create_task(coro)
        self._members[task] = WeakSet([task])
        return task

    def members(self, root: asyncio.Task[Any]) -> list[asyncio.Task[Any]]:
        """Return the task and its descendants that have not ended."""
        return [task for task in self._members[root] if not task.done()]


def where(task: asyncio.Task[Any], client: InstantlyClient[Any]) -> str:
    """Return the name of the wait that this task is in."""
    coro = task.get_coro()
    assert isinstance(coro, Coroutine)
    if inspect.getcoroutinestate(coro) == inspect.CORO_CREATED:
        return "not begun"
    is_tls = client._connections.base_url.startswith("https:")
    found = "elsewhere"
    for code, frame in frames(coro):
        if code is Places.enter.__code__:
            places = frame.f_locals["self"]
            if places is client._slots:
                return "slot"
            if places is client._workspace.limiter.near:
                return "near stage"
        found = name_of(code) or found
        if is_tls and code.co_name == "_wrap_create_connection":
            found = "TLS handshake"
    return found


def frames(coro: Any) -> Iterator[tuple[CodeType, FrameType]]:
    """Yield code and frames from the outermost in, as far as they are Python's."""
    while coro is not None:
        if inspect.iscoroutine(coro):
            code, frame, inner = coro.cr_code, coro.cr_frame, coro.cr_await
        elif inspect.isasyncgen(coro):
            code, frame, inner = coro.ag_code, coro.ag_frame, coro.ag_await
        else:
            return
        if frame is None:
            return  # it ends just now
        yield code, frame
        if type(inner).__name__ in {"async_generator_asend", "async_generator_athrow"}:
            inner = getattr(frame.f_locals.get("self"), "gen", None)  # of asynccontextmanager
        coro = inner


@cache
def name_of(code: CodeType) -> str | None:
    """Return the name of the wait in this function; ``None``: it is nothing special."""
    return WAITS.get((Path(code.co_filename).name, code.co_name))
