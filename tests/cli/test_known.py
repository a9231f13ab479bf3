"""``KnownIds``, compared with a model of plain sets."""

from hypothesis import given
from hypothesis import strategies as st

from instantly_async.cli.known import KnownIds, Verdict, storable
from instantly_async.cli.records import number_of
from instantly_async.testing import lead_ids

IDS = list(lead_ids(4))

STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "done", "judge"]), st.integers(0, len(IDS) - 1))
)


def test_a_long_text_is_not_stored() -> None:
    """It is no id, its end could be an email, and its line could be too long to be read back."""
    known = KnownIds()
    assert storable("x" * 200) == "x" * 200
    assert storable("x" * 201) == storable("x" * 300 + "@example.com") == ""
    known.add_invalid("")
    known.begin()
    assert [known.judge("x" * 201), known.judge("x" * 201)] == [Verdict.DONE, Verdict.NEW]


@given(STEPS)
def test_an_id_is_new_done_or_a_duplicate_in_each_pass(steps: list[tuple[str, int]]) -> None:
    """In any order of passes, of ids in the input, and of ids that turn out to be done."""
    known = KnownIds()
    done: set[int] = set()
    seen: set[int] = set()
    for step, which in steps:
        number = number_of(IDS[which])
        assert number is not None
        if step == "begin":
            known.begin()
            seen = set()
        elif step == "done":
            assert known.add_done(number) == (number not in done)
            done.add(number)
        else:
            expected = Verdict.DONE if number in done else Verdict.NEW
            if number in seen:
                expected = Verdict.DUPLICATE
            assert known.judge(IDS[which].upper()) is expected
            seen.add(number)
        assert known.is_done(number) == (number in done)
