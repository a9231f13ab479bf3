"""The retry budget: bounds all transient retries of a client together."""

from instantly_async.settings import RetryPolicy


class RetryBudget:
    """Tokens that first attempts add and transient retries take.

    So at most ``(1 + refill) · N + capacity`` transient attempts are sent for N ids.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._capacity = policy.budget_capacity
        self._refill = policy.budget_refill
        self.level = self._capacity

    def deposit(self) -> None:
        """Add the share of one first attempt."""
        self.level = min(self._capacity, self.level + self._refill)

    def withdraw(self) -> bool:
        """Take a token for one retry; return ``False`` if there is none."""
        # A refill of 0.2 is not exact in binary: five of them add up to a little less than 1.
        if self.level < 1 - 1e-9:
            return False
        self.level -= 1
        return True
