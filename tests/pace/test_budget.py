"""The retry budget: its law, and who waits for a token."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_loop import run_virtual

from instantly_async._pace import RetryBudget
from instantly_async.settings import RetryPolicy


def time() -> float:
    return asyncio.get_running_loop().time()


@given(
    steps=st.lists(
        st.sampled_from(["deposit", "withdraw"]) | st.floats(0, 300), min_size=1, max_size=300
    ),
    capacity=st.floats(1, 150),
    refill=st.floats(0.01, 1),
    per_s=st.floats(0.01, 10),
)
def test_the_budget_s_law(
    steps: list[str | float], capacity: float, refill: float, per_s: float
) -> None:
    """In any order: withdrawals ≤ capacity + refill · deposits + refill_per_s · seconds."""

    async def main() -> None:
        policy = RetryPolicy(
            budget_capacity=capacity, budget_refill=refill, budget_refill_per_s=per_s
        )
        budget = RetryBudget(policy)
        deposits = withdrawals = 0
        for step in steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif step == "deposit":
                budget.deposit()
                deposits += 1
            else:
                withdrawals += budget.try_withdraw()
            earned = refill * deposits + per_s * time()
            assert withdrawals <= capacity + earned + 1e-6
            assert -1e-6 <= budget.level() <= capacity

    run_virtual(main())


def test_a_full_budget_holds_a_hundred_retries() -> None:
    async def main() -> None:
        budget = RetryBudget(RetryPolicy())
        for _ in range(50):
            budget.deposit()
        assert sum(budget.try_withdraw() for _ in range(500)) == 100

    run_virtual(main())


@pytest.mark.parametrize(("refill", "deposits"), [(0.2, 5), (0.1, 10), (0.05, 20), (1.0, 1)])
def test_one_retry_costs_a_whole_number_of_first_attempts(refill: float, deposits: int) -> None:
    """Not one more, although ten times 0.1 is a little less than 1 in binary."""

    async def main() -> None:
        budget = RetryBudget(RetryPolicy(budget_refill=refill, budget_refill_per_s=1e-9))
        while budget.try_withdraw():
            pass
        for _ in range(1000):
            for _ in range(deposits - 1):
                budget.deposit()
                assert not budget.try_withdraw()
            budget.deposit()
            assert budget.try_withdraw()

    run_virtual(main())


async def empty() -> RetryBudget:
    budget = RetryBudget(RetryPolicy(budget_capacity=1))
    await budget.withdraw()
    return budget


def test_a_token_comes_every_second_first_come_first_served() -> None:
    async def main() -> None:
        budget = await empty()
        served: list[tuple[int, float]] = []

        async def retry(number: int) -> None:
            await budget.withdraw()
            served.append((number, round(time(), 2)))

        await asyncio.gather(*map(retry, range(4)))
        assert served == [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]

    run_virtual(main())


def test_a_token_of_a_first_attempt_wakes_who_waits() -> None:
    async def main() -> None:
        budget = await empty()
        waiting = asyncio.create_task(budget.withdraw())
        await asyncio.sleep(0.1)
        assert not budget.try_withdraw()  # not before the one that waits
        for _ in range(5):
            budget.deposit()
        await waiting
        assert time() == pytest.approx(0.1, abs=0.001)

    run_virtual(main())


def test_who_leaves_takes_no_token() -> None:
    async def main() -> None:
        budget = await empty()
        first, second = (asyncio.create_task(budget.withdraw()) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()
        await second
        assert first.cancelled()
        assert time() == pytest.approx(1.0, abs=0.001)
        assert not budget._turn.locked()

    run_virtual(main())
