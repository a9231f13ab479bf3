"""Every object prints in a traceback with locals, also one whose ``__init__`` has just failed."""

import importlib
import pkgutil
import traceback
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec
import pytest

import instantly_async
from instantly_async import AdaptiveLimiter, ConfigurationError, InstantlyClient
from instantly_async.cli.keys import NamedKey

NEVER_UNFINISHED = (tuple, Enum, msgspec.Struct, NamedKey)
"""Their ``__new__`` makes the whole object. A dataclass checks its values when all are set."""


def classes() -> Iterator[type[Any]]:
    """Yield all classes of the package."""
    for module in pkgutil.walk_packages(instantly_async.__path__, "instantly_async."):
        if not module.name.endswith("__main__"):
            for each in vars(importlib.import_module(module.name)).values():
                if isinstance(each, type) and each.__module__ == module.name:
                    yield each


def is_described_by_hand(cls: type[Any]) -> bool:
    """Whether a class has a ``__repr__`` or ``__str__`` that no decorator has made."""
    parameters = getattr(cls, "__dataclass_params__", None)
    is_made = parameters is not None and parameters.repr
    return not is_made and bool({"__repr__", "__str__"} & vars(cls).keys())


DESCRIBED = [
    each
    for each in classes()
    if is_described_by_hand(each) and not issubclass(each, NEVER_UNFINISHED)
]


def test_the_classes_are_found() -> None:
    names = {each.__name__ for each in DESCRIBED}
    assert names >= {"InstantlyClient", "Stream", "LeadLoader", "AdaptiveLimiter", "Pool"}


@pytest.mark.parametrize("cls", DESCRIBED, ids=lambda each: each.__qualname__)
def test_an_unfinished_object_prints(cls: type[Any]) -> None:
    """Nothing has been set yet, which is the worst moment."""
    make: Any = cls.__new__
    unfinished = make(cls)
    assert isinstance(repr(unfinished), str)
    assert isinstance(str(unfinished), str)


def test_a_half_built_object_says_so() -> None:
    unfinished = InstantlyClient.__new__(InstantlyClient)
    assert repr(unfinished) == "<InstantlyClient unfinished>"
    assert repr(InstantlyClient("k", limiter=AdaptiveLimiter(None))) == (
        "<InstantlyClient open <Connections https://api.instantly.ai unused in_flight=0> "
        "<AdaptiveLimiter rate=None of None>>"
    )


@pytest.mark.parametrize(
    "setting",
    [
        {"workspace": "a b"},
        {"rate_limit": 5},
        {"retry": None},
        {"timeouts": 5},
        {"concurrency": 0},
        {"ssl_context": True},
        {"lead_type": int},
        {"base_url": "https://a..b"},
        {"proxy": "http://a..b"},
        {"user_agent": ""},
    ],
    ids=lambda each: next(iter(each)),
)
def test_a_client_that_is_refused_prints_in_its_traceback(setting: dict[str, Any]) -> None:
    """Wherever construction stops, and without the key."""
    with pytest.raises(ConfigurationError) as caught:
        InstantlyClient("canary-key", **setting)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if "instantly_async" in frame.filename]
    assert any("<InstantlyClient unfinished>" in str(frame.locals) for frame in ours)
    assert "canary-key" not in str([frame.locals for frame in ours[-1:]])
