"""The public names, and what their docstrings promise."""

import inspect

import instantly_async
from instantly_async import errors, testing


def test_all_is_sorted_and_complete() -> None:
    names = instantly_async.__all__
    assert names == sorted(names)
    assert all(hasattr(instantly_async, name) for name in names)


def test_every_error_is_public() -> None:
    kinds = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.InstantlyError)
    }
    assert kinds <= set(instantly_async.__all__)


def test_every_public_name_is_documented() -> None:
    for module in (instantly_async, testing):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                assert (thing.__doc__ or "").strip(), name


def test_the_signatures_of_the_design() -> None:
    client = inspect.signature(instantly_async.InstantlyClient.__init__).parameters
    assert list(client) == [
        "self", "api_key", "base_url", "workspace", "rate_limit", "retry", "timeouts",
        "concurrency", "limiter", "lead_type", "proxy", "ssl_context",
    ]  # fmt: skip
    assert client["base_url"].default == "https://api.instantly.ai"
    assert client["concurrency"].default == 100
    stream = inspect.signature(instantly_async.InstantlyClient.stream_leads).parameters
    assert {"strategy", "ordered", "concurrency", "keep_raw"} <= set(stream)
    batch = inspect.signature(instantly_async.InstantlyClient.get_leads).parameters
    assert set(stream) == set(batch)
