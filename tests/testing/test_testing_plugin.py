"""The ``fake_instantly`` fixture and its marker, as a user's test suite has them."""

from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from instantly_async.testing import FakeInstantly, lead_ids

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.fake_instantly(rate_limit=None, api_key="from-the-module")

LEAD_ID = next(lead_ids(1))


def test_a_fresh_fake_for_each_test(fake_instantly: FakeInstantly) -> None:
    assert fake_instantly.counts.total() == 0
    assert (fake_instantly.rate_limit, fake_instantly.api_key) == (None, "from-the-module")


@pytest.mark.fake_instantly(unknown={LEAD_ID}, api_key="nearest")
def test_the_nearest_marker_wins(fake_instantly: FakeInstantly) -> None:
    assert (fake_instantly.rate_limit, fake_instantly.api_key) == (None, "nearest")
    headers = {"Authorization": "Bearer nearest", "User-Agent": "tests/1"}
    request = Request(f"{fake_instantly.url}/api/v2/leads/{LEAD_ID}", headers=headers)  # noqa: S310 - loopback
    with pytest.raises(HTTPError) as caught, urlopen(request):  # noqa: S310 - loopback
        pass
    with caught.value as error:
        assert error.code == 404


def test_without_any_asyncio_plugin_and_with_strict_markers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_default(fake_instantly):
            assert fake_instantly.url.startswith("http://127.0.0.1:")
            assert fake_instantly.rate_limit == (100, 6000)

        @pytest.mark.fake_instantly(paid_plan=False)
        def test_marked(fake_instantly):
            assert not fake_instantly.paid_plan
        """
    )
    result = pytester.runpytest_inprocess(
        *("-p", "no:asyncio", "-p", "no:instantly_async", "-p", "instantly_async.testing.plugin"),
        "--strict-markers",
    )
    result.assert_outcomes(passed=2)
