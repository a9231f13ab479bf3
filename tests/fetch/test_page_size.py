"""How many ids go on a page."""

from hypothesis import given
from hypothesis import strategies as st

from instantly_async._fetch.page_size import PageSize


def test_a_page_size_halves_down_to_one() -> None:
    sizes = PageSize(100)
    seen = []
    while sizes.size > 1:
        sizes.on_rejected(sizes.size)
        seen.append(sizes.size)
    assert seen == [50, 25, 12, 6, 3, 1]


def test_a_refusal_of_a_length_that_was_taken_is_not_about_length() -> None:
    """The first refusal, that is. If such a page is accepted later, the size grows again."""
    sizes = PageSize(100)
    sizes.on_accepted(100)
    sizes.on_rejected(100)
    assert sizes.size == 100
    sizes.on_rejected(100)
    assert sizes.size == 50
    sizes.on_accepted(100)
    assert sizes.size == 100


def test_one_id_that_is_refused_says_nothing_about_lengths() -> None:
    sizes = PageSize(100)
    sizes.on_rejected(1)
    assert sizes.size == 100


@given(length=st.integers(2, 100), refused=st.lists(st.integers(1, 100), max_size=8))
def test_pieces_are_shorter_and_lose_nothing(length: int, refused: list[int]) -> None:
    sizes = PageSize(100)
    for count in refused:
        sizes.on_rejected(count)
    ids = [str(number) for number in range(length)]
    pieces = sizes.cut(ids)
    assert [number for piece in pieces for number in piece] == ids
    assert all(0 < len(piece) <= min(sizes.size, (length + 1) // 2) for piece in pieces)
