"""The public names, and what their docstrings promise."""

import importlib
import importlib.metadata
import importlib.resources
import inspect
import pickle
import subprocess
import sys

import pytest

import instantly_async
import instantly_async._version as version_module
from instantly_async import errors, testing


def test_all_is_sorted_and_complete() -> None:
    names = instantly_async.__all__
    assert names == sorted(names)
    assert all(hasattr(instantly_async, name) for name in names)


def test_reading_leads_does_not_import_aiohttp() -> None:
    """It takes most of the import's time, and only the client needs it."""
    code = (
        "import sys, instantly_async; from instantly_async import Lead, LeadError, RateLimit;"
        "assert 'aiohttp' not in sys.modules;"
        "assert instantly_async.client.InstantlyClient;"
        "from instantly_async import *;"
        "assert InstantlyClient.__module__ == 'instantly_async.client';"
        "assert set(instantly_async.__all__) <= set(dir(instantly_async))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_type_checkers_read_the_annotations() -> None:
    """They do only where this marker is installed."""
    assert (importlib.resources.files(instantly_async) / "py.typed").is_file()


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(AttributeError, match=r"module 'instantly_async' has no attribute 'Client'"):
        instantly_async.Client  # type: ignore[attr-defined]  # noqa: B018 - type checkers know


def test_public_classes_pickle_by_their_public_names() -> None:
    for name in instantly_async.__all__:
        thing = getattr(instantly_async, name)
        if inspect.isclass(thing):
            assert pickle.loads(pickle.dumps(thing)) is thing  # noqa: S301 - our own bytes


def test_the_version_is_that_of_the_metadata() -> None:
    assert instantly_async.__version__ == importlib.metadata.version("instantly-async")


def test_a_copy_without_metadata_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a zipapp, or a folder that was copied."""

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    with monkeypatch.context() as without:
        without.setattr(importlib.metadata, "version", missing)
        assert importlib.reload(version_module).__version__ == "unknown"
    importlib.reload(version_module)


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
        "concurrency", "limiter", "lead_type", "max_lead_bytes", "proxy", "ssl_context",
        "user_agent", "observer",
    ]  # fmt: skip
    assert client["base_url"].default is None  # that of the environment, or the vendor's
    assert client["concurrency"].default == 100
    stream = inspect.signature(instantly_async.InstantlyClient.stream_leads).parameters
    assert {"strategy", "ordered", "concurrency", "keep_raw"} <= set(stream)
    batch = inspect.signature(instantly_async.InstantlyClient.get_leads).parameters
    assert set(stream) == set(batch)
