"""``FakeInstantly`` with 50 ms latency, in a separate process. It counts every request."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from instantly_async.testing import FakeInstantly, Fault, WorstWindows, most_in_window

LATENCY_S = 0.05
STOP_S = 5.0


class Tally(NamedTuple):
    """How many requests got each status, and the busiest second and minute of a workspace."""

    counts: Counter[int]
    worst: WorstWindows


class RemoteFake:
    """The fake at the other end of a pipe."""

    def __init__(self, pipe: Connection, pid: int | None) -> None:
        self._pipe = pipe
        self.pid = pid
        self.url, self.api_key = pipe.recv()

    def tally(self) -> Tally:
        """Return what was counted since the last call, and start counting again from zero."""
        return self.change()

    def change(self, **settings: Any) -> Tally:
        """Change these settings, and do what ``tally`` does."""
        self._pipe.send(settings)
        return Tally(*self._pipe.recv())


def worst_windows(fake: FakeInstantly) -> WorstWindows:
    """Return the most requests of any one workspace, because each has limits of its own."""
    times: dict[str | None, list[float]] = defaultdict(list)
    for request in fake.requests:
        times[request.workspace].append(request.time)
    return WorstWindows(
        *(
            max((most_in_window(each, width_s) for each in times.values()), default=0)
            for width_s in (1, 60)
        )
    )


def serve(pipe: Connection, throttled: Iterable[str], settings: dict[str, Any]) -> None:
    """Run the fake until the pipe is closed; on each message, change it, and count from zero."""
    with FakeInstantly(**({"latency_s": LATENCY_S} | settings)) as fake, suppress(EOFError):
        for lead_id in throttled:
            fake.script(lead_id, Fault.throttle())
        pipe.send((fake.url, fake.api_key))
        while True:
            for name, value in pipe.recv().items():
                setattr(fake, name, value)
            pipe.send((fake.counts, worst_windows(fake)))
            fake.reset()


@contextmanager
def fake_process(throttled: Iterable[str] = (), **settings: Any) -> Iterator[RemoteFake]:
    """Run a fake with these settings in another process; yield the handle to it.

    The first request for each id in ``throttled`` gets a 429.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, list(throttled), settings))
    process.start()
    theirs.close()  # otherwise the other process never sees that our end is closed
    try:
        yield RemoteFake(ours, process.pid)
    finally:
        # No SIGTERM: coverage handles it, and its handler can hang.
        ours.close()
        process.join(STOP_S)
        process.kill()
        process.join()
