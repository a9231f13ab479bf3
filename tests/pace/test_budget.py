"""The retry budget: its law."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instantly_async._pace.budget import RetryBudget
from instantly_async.settings import RetryPolicy


@given(
    steps=st.lists(st.booleans() | st.integers(1, 300), max_size=300),
    capacity=st.floats(0.5, 150),
    refill=st.floats(0.01, 1),
)
def test_the_budget_s_law(steps: list[bool | int], capacity: float, refill: float) -> None:
    """In any order: withdrawals ≤ capacity + refill · deposits."""
    budget = RetryBudget(RetryPolicy(budget_capacity=capacity, budget_refill=refill))
    deposits = withdrawals = 0
    for step in steps:
        for _ in range(int(step) or 1):
            if step is True:
                budget.deposit()
                deposits += 1
            else:
                withdrawals += budget.withdraw()
            assert withdrawals <= capacity + refill * deposits + 1e-6
            assert -1e-6 <= budget.level <= capacity


def test_a_full_purse_holds_a_hundred_retries() -> None:
    budget = RetryBudget(RetryPolicy())
    assert sum(budget.withdraw() for _ in range(500)) == 100


@pytest.mark.parametrize(("refill", "deposits"), [(0.2, 5), (0.1, 10), (0.05, 20), (1.0, 1)])
def test_one_retry_costs_a_whole_number_of_first_attempts(refill: float, deposits: int) -> None:
    """Not one more, although ten times 0.1 is a little less than 1 in binary."""
    budget = RetryBudget(RetryPolicy(budget_refill=refill))
    while budget.withdraw():
        pass
    for _ in range(1000):
        for _ in range(deposits - 1):
            budget.deposit()
            assert not budget.withdraw()
        budget.deposit()
        assert budget.withdraw()


def test_a_full_purse_does_not_overflow() -> None:
    budget = RetryBudget(RetryPolicy(budget_capacity=2))
    for _ in range(100):
        budget.deposit()
    assert [budget.withdraw() for _ in range(3)] == [True, True, False]
