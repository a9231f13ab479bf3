"""``TextParser``: ids of plain text, one or several per line. Lines to ids, without I/O."""

from collections.abc import Sequence

from instantly_async.cli.records import LineId

from .cells import AROUND
from .sought import Sought


class TextParser:
    """One id a line, or several; a first line such as ``lead_id`` names them and is skipped."""

    def __init__(self, sought: Sought) -> None:
        self._sought = sought
        self._has_begun = False

    def feed(self, line: str, number: int) -> Sequence[LineId]:
        """Return the line's ids; none for blank and ``#`` lines."""
        whole = self._sought.wire(line)
        if whole is not None and self._has_begun:  # the usual case
            return (self._sought.entry(whole, number, is_valid=True),)
        texts = [whole] if whole is not None else self._sought.texts_of(line)
        if texts and not self._has_begun:
            self._has_begun = True
            if len(texts) == 1 and self._sought.names.rank_of(texts[0].strip(AROUND)) is not None:
                return ()
        return [self._sought.entry(text, number) for text in texts]

    def finish(self) -> None:
        """Do nothing: text may end anywhere."""
