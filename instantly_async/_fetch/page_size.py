"""``PageSize``: how many ids to put on a page, learned from what the API accepts."""


class PageSize:
    """How many ids to request at once.

    It starts at ``most``. The vendor does not document how many are allowed. A rejected page halves
    ``size``, down to 1; then single requests are used. If a page of the same length was accepted
    before, one of its ids may be the reason: then only this page is cut, and ``size`` stays until
    the next rejection.
    """

    def __init__(self, most: int) -> None:
        self.size = most
        self._accepted = 0

    def on_accepted(self, count: int) -> None:
        """Learn that a page of ``count`` ids was answered."""
        self._accepted = max(self._accepted, count)
        self.size = max(self.size, count)

    def on_rejected(self, count: int) -> None:
        """Learn that a page of ``count`` ids was rejected as a bad request."""
        if count > max(1, self._accepted):
            self.size = max(1, min(self.size, count // 2))
        self._accepted = min(self._accepted, (count + 1) // 2)

    def cut(self, ids: list[str]) -> list[list[str]]:
        """Return the ids in pieces: halves, or smaller."""
        size = min(self.size, (len(ids) + 1) // 2)
        return [ids[start : start + size] for start in range(0, len(ids), size)]
