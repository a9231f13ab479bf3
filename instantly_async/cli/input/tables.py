"""``IdColumn``: the column of a table that holds the ids. Rows of CSV and of workbooks to ids."""

from collections.abc import Sequence

from instantly_async.cli.exits import InputError

from .names import listed, plain
from .sought import Sought, looks_like_data
from .understood import Understood


class IdColumn:
    """Finds the column in the first row. ``index`` is that of its cell, from 0.

    ``width`` is the number of cells of that row, 0 before it; ``header`` are its names as they are
    compared, ``None`` if it has none.

    ``column`` is a name, or a number from 1; ``None``: a name of what is ``sought``. A first row
    that holds an id is no header: its column is the one with that id.
    """

    def __init__(
        self, name: str, column: str | None, sought: Sought, understood: Understood
    ) -> None:
        self._name = name
        self._sought = sought
        self._column = column
        self._understood = understood
        self.index = self.width = 0
        self.header: list[str] | None = None

    def begin(self, cells: Sequence[str]) -> bool:
        """Take the first row; return whether it is a header.

        Raises:
            InputError: it does not show the column.
        """
        is_header = not any(map(self._sought.holds, cells)) or self._is_named(cells)
        self.index = self._in_header(cells) if is_header else self._in_row(cells)
        shown = cells[self.index].strip() if is_header else f"{self.index + 1}, without a name"
        self._understood.column = shown
        self.width = len(cells)
        self.header = list(map(plain, cells)) if is_header else None
        return is_header

    def require_no_other_id(self, cells: Sequence[str], where: str) -> None:
        """Check that a row which has its id has none where no column is: it would be lost.

        Raises:
            InputError: it has, ``where`` the message says.
        """
        if self.header is not None:
            others = cells[self.width :]
        elif self._column is None:
            others = [*cells[: self.index], *cells[self.index + 1 :]]
        else:
            return
        if any(map(self._sought.holds, others)):
            raise InputError(
                f"{where} of {self._name} has more {self._sought.nouns} than the first row; write "
                f"one {self._sought.noun} per line, or use --column with the number of the column "
                "that is meant."
            )

    def is_header(self, cells: Sequence[str], where: str) -> bool:
        """Whether a row without an id repeats the header, as in joined files.

        Raises:
            InputError: it names other columns.
        """
        if self.header is None:
            return False
        names = list(map(plain, cells))
        if names == self.header:
            return True
        is_reordered = len(names) > 1 and sorted(names) == sorted(self.header)
        if is_reordered or any(map(self._is_unmistakable, names)):
            raise InputError(
                f"{where} of {self._name} names other columns than the first one; put what follows "
                "it into a file of its own."
            )
        return False

    def _is_unmistakable(self, name: str) -> bool:
        """Whether this is no value: ``ID`` is Idaho, too."""
        rank = self._sought.names.rank_of(name)
        return rank is not None and rank < self._sought.names.bare

    def _is_named(self, cells: Sequence[str]) -> bool:
        """Whether the user has named one of these cells; a name of ours may be a label of ids."""
        is_name = self._column is not None and self._number(cells) is None
        return is_name and bool(self._sought.matches(cells, self._column))

    def _in_header(self, cells: Sequence[str]) -> int:
        found = self._sought.matches(cells, self._column)
        if len(found) == 1:
            return found[0]
        if not found and (number := self._number(cells)) is not None:
            return number
        if looks_like_data(cells):
            raise self._no_header(cells)
        if found:
            raise InputError(
                f"{self._name} has {len(found)} columns that could hold the {self._sought.kind}, "
                f"{listed([cells[index] for index in found])}; use --column {found[0] + 1} for the "
                "first."
            )
        raise InputError(
            f"{self._name} has no {self._sought.wanted(self._column)}; its columns are "
            f"{listed(cells)}; {self._sought.nearest(cells, self._column)}."
        )

    def _in_row(self, cells: Sequence[str]) -> int:
        if (number := self._number(cells)) is not None:
            return number
        found = [index for index, cell in enumerate(cells) if self._sought.holds(cell)]
        if self._column is not None:
            raise self._no_header(cells)
        if len(found) > 1:
            raise InputError(
                f"The first line of {self._name} has {len(found)} {self._sought.nouns} and no "
                f"column names; use --column {found[0] + 1} for the first one, or --input-format "
                "text for all."
            )
        return found[0]

    def _number(self, cells: Sequence[str]) -> int | None:
        """Return the index if the user named the column by its number."""
        if self._column is None or not self._column.isascii() or not self._column.isdigit():
            return None
        number = int(self._column[:9])
        return number - 1 if 1 <= number <= len(cells) else None

    def _no_header(self, cells: Sequence[str]) -> InputError:
        other = self._sought.other
        if self._column is None and any(map(other.holds, cells)):
            return InputError(
                f"The first line of {self._name} has {other.kind} and no {self._sought.kind}; "
                f"{other.switch}, or put a line with column names above it."
            )
        return InputError(
            f"The first line of {self._name} looks like data; add a line with column names above "
            f'it, such as "{self._sought.names.example}", or use --column with a number.'
        )
