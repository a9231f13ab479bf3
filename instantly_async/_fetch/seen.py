"""``SeenIds``: which ids a listing has given already, in 16 bytes each."""

from array import array

_LOW = (1 << 64) - 1


class SeenIds:
    """A set of UUIDs that is small as long as they ascend, as they do in a listing.

    *Documented:* *List leads* is ordered by id. So nearly all ids are higher than those before;
    they form a run, which is searched by bisection. Others are rare, and kept in a set.
    """

    def __init__(self) -> None:
        self._high, self._low = array("Q"), array("Q")  # the run, as two halves
        self._others: set[int] = set()
        self._last = -1

    def __len__(self) -> int:
        return len(self._high) + len(self._others)

    def __contains__(self, lead_id: str) -> bool:
        number = _number_of(lead_id)
        return number in self._others or (number <= self._last and self._is_in_run(number))

    def add(self, lead_id: str) -> bool:
        """Add an id, as it goes over the wire; return ``False`` if it was there already."""
        number = _number_of(lead_id)
        if number > self._last:
            self._last = number
            self._high.append(number >> 64)
            self._low.append(number & _LOW)
            return True
        if number in self._others or self._is_in_run(number):
            return False
        self._others.add(number)
        return True

    def _is_in_run(self, number: int) -> bool:
        low, high = 0, len(self._high)
        while low < high:
            middle = (low + high) // 2
            found = self._high[middle] << 64 | self._low[middle]
            if found == number:
                return True
            low, high = (middle + 1, high) if found < number else (low, middle)
        return False


def _number_of(lead_id: str) -> int:
    return int(lead_id.replace("-", ""), 16)
