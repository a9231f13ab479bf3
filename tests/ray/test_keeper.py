"""The actor with the ledger, and the limiter's arguments, without Ray."""

import sys
from itertools import pairwise

import pytest

from instantly_async import ConfigurationError, RateLimit
from instantly_async.ray import RayLimiter
from instantly_async.ray.limiter import LedgerKeeper


def test_it_reserves_as_many_moments_as_asked_for() -> None:
    """One after the other, at the pace of the limit; those of the next call come after them."""
    limit = RateLimit()
    keeper = LedgerKeeper()
    keeper.ask("reserve", limit, 0.0, 3)  # the burst
    first = keeper.ask("reserve", limit, 0.0, 4)
    waits = [grant.wait_s for grant in first]
    gaps = [after - before for before, after in pairwise(waits)]
    assert gaps == pytest.approx([1 / limit.rate] * 3)
    (after,) = keeper.ask("reserve", limit, 0.0)
    assert after.wait_s > waits[-1]


def test_in_a_pause_it_reserves_none() -> None:
    """All processes learn of it, and of a cut, by any answer."""
    limit = RateLimit()
    keeper = LedgerKeeper()
    keeper.ask("reserve", limit, 0.0)
    keeper.ask("pause", limit, 60.0)
    (grant,) = keeper.ask("reserve", limit, 0.0, 4)
    assert 59 < grant.pause_s <= 60
    keeper.ask("throttled", limit, 0.0)
    (look,) = keeper.ask("look", limit, 0.0)
    assert (look.cuts, look.rate < limit.rate) == (1, True)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'instantly-async\[ray\]'"):
        RayLimiter("acme")
