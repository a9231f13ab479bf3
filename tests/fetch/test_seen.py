"""``SeenIds`` is a set, whatever the order of the ids, and small if they ascend."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from instantly_async._fetch import SeenIds
from instantly_async.testing import lead_ids

# Few different halves, so that ids repeat and differ in one half only.
HALVES = st.sampled_from([0, 1, 2, (1 << 63), (1 << 64) - 1])


@given(st.lists(st.builds(lambda high, low: high << 64 | low, HALVES, HALVES)))
def test_it_is_a_set(numbers: list[int]) -> None:
    """Law: ``add`` returns whether the id is new, in any order."""
    seen, model = SeenIds(), set[int]()
    for number in numbers:
        assert seen.add(str(UUID(int=number))) == (number not in model)
        model.add(number)
    assert len(seen) == len(model)


def test_ascending_ids_are_kept_in_the_run_only() -> None:
    """That is what bounds the memory of a listing to 16 bytes per lead."""
    seen = SeenIds()
    ids = list(lead_ids(500))
    assert all(seen.add(lead_id) for lead_id in ids)
    assert not seen._others
    assert seen._high.itemsize + seen._low.itemsize == 16
    assert not any(seen.add(lead_id) for lead_id in reversed(ids))
    assert len(seen) == 500
