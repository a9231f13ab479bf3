"""Observers as people write them. mypy and pyright check this file, too, in strict mode."""

from collections import Counter
from dataclasses import dataclass, field
from typing import assert_never

from instantly_async import InstantlyClient, Lead
from instantly_async.events import (
    Attempt,
    BreakerChanged,
    Closed,
    Event,
    Observer,
    Observers,
    Opened,
    Paused,
    RateChanged,
    RunEnded,
    RunStarted,
    Settled,
)
from instantly_async.otel import OtelObserver, instrument
from instantly_async.testing import FakeInstantly, lead_ids

IDS = list(lead_ids(5))
said: list[str] = []


def describe(event: Event) -> None:
    """Note each record; a type checker confirms that none is missing."""
    match event:
        case Opened(server_address=address, server_port=port, limit=limit):
            said.append(f"{address}:{port}, {limit} requests/s")
        case RunStarted(run=run, operation=operation, strategy=strategy):
            said.append(f"{run}: {operation} by {strategy}")
        case Attempt(status=status, duration_s=duration_s, wait_s=wait_s):
            said.append(f"{status} after {wait_s + duration_s:.3f} s")
        case Settled(outcome=outcome, error=error):
            said.append(f"{outcome} {error or ''}")
        case RateChanged(rate=rate, limit=limit):
            said.append(f"{rate / limit:.0%} of the limit")
        case Paused(pause_s=pause_s):
            said.append(f"paused for {pause_s:.1f} s")
        case BreakerChanged(method=method, is_open=is_open):
            said.append(f"{method} is {'down' if is_open else 'up'}")
        case RunEnded(stats=stats) | Closed(stats=stats):
            said.append(str(stats))
        case _:
            assert_never(event)


@dataclass
class Statuses:
    """An object that can be called, and needs no outcomes."""

    wants_settled: bool = False
    seen: Counter[int | None] = field(default_factory=Counter[int | None])

    def __call__(self, event: Event, /) -> None:
        assert not isinstance(event, Settled)
        if isinstance(event, Attempt):
            self.seen[event.status] += 1


class App:
    """Somebody's class, with a method that observes."""

    def __init__(self) -> None:
        self.leads = 0

    def watch(self, event: Event) -> None:
        if isinstance(event, Settled):
            self.leads += event.outcome == "found"


def only_attempts(event: Attempt) -> None: ...


def too_much(event: Event, more: int) -> None: ...


async def test_they_are_called_and_typed() -> None:
    statuses, app = Statuses(), App()
    several: Observer = Observers(statuses, app.watch, OtelObserver())
    async with FakeInstantly() as fake:
        client: InstantlyClient[Lead] = InstantlyClient(
            fake.api_key, base_url=fake.url, observer=describe
        )
        async with client:
            client.observe(several)
            await client.get_leads(IDS)
        async with InstantlyClient(fake.api_key, base_url=fake.url) as another:
            observer: Observer = instrument(another, attributes={"workspace": "acme"})
            assert isinstance(observer, OtelObserver)
    assert statuses.seen == {200: 5}
    assert app.leads == 5
    assert said[0].endswith(", 95.0 requests/s")
    assert said.count("found ") == 5
    Observers(only_attempts)  # type: ignore[arg-type]
    Observers(too_much)  # type: ignore[arg-type]
