"""Load the package's own pytest plugin (its entry point is off, see pyproject.toml)."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

pytest_plugins = ["instantly_async.testing.plugin", "commands"]

# A slow machine is not a failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

@pytest.fixture(scope="session", autouse=True)
def interrupt() -> Iterator[None]:
    """Handle SIGINT as usual, although a script that starts the tests with ``&`` ignores it.

    Processes that the tests start would ignore it as well, and never end.
    """
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)
