"""``FakeInstantly`` with 50 ms latency in a process of its own, which counts every arrival."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from instantly_async.testing import FakeInstantly, WorstWindows

LATENCY_S = 0.05
STOP_S = 5.0


class Tally(NamedTuple):
    """How many requests got each status, and the busiest second and minute."""

    counts: Counter[int]
    worst: WorstWindows


class RemoteFake:
    """The fake at the other end of a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url, self.api_key = pipe.recv()

    def tally(self) -> Tally:
        """Give what was counted since the last time."""
        self._pipe.send(None)
        return Tally(*self._pipe.recv())


def serve(pipe: Connection, settings: dict[str, Any]) -> None:
    """Run the fake until the pipe is closed; when asked, say what it counted and count anew."""
    with FakeInstantly(latency_s=LATENCY_S, **settings) as fake, suppress(EOFError):
        pipe.send((fake.url, fake.api_key))
        while True:
            pipe.recv()
            pipe.send((fake.counts, fake.worst_windows()))
            fake.reset()


@contextmanager
def fake_process(**settings: Any) -> Iterator[RemoteFake]:
    """Run a fake with these settings in another process."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, settings))
    process.start()
    theirs.close()  # or the other side would never see that ours is closed
    try:
        yield RemoteFake(ours)
    finally:
        # No SIGTERM: a process that measures coverage can hang in its handler.
        ours.close()
        process.join(STOP_S)
        process.kill()
        process.join()
