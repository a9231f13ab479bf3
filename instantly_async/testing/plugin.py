"""The pytest fixture ``fake_instantly``. Needs no asyncio plugin: the server has its own thread."""

from collections.abc import Iterator

import pytest

from .server import FakeInstantly


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, so that ``--strict-markers`` accepts it."""
    config.addinivalue_line(
        "markers",
        "fake_instantly(**settings): keyword arguments for the FakeInstantly of the fixture",
    )


@pytest.fixture
def fake_instantly(request: pytest.FixtureRequest) -> Iterator[FakeInstantly]:
    """Run a ``FakeInstantly`` for one test, with the documented rate limits.

    A marker changes its settings; the one nearest to the test wins::

        @pytest.mark.fake_instantly(rate_limit=None, unknown={"019a…"})
        def test_missing_leads(fake_instantly): ...
    """
    settings = {}
    for marker in reversed(list(request.node.iter_markers("fake_instantly"))):
        settings.update(marker.kwargs)
    with FakeInstantly(**settings) as fake:
        yield fake
