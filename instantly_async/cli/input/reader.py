"""``IdReader``: from chunks of bytes to the ids that have to be fetched. No I/O."""

from collections.abc import Iterable, Iterator
from itertools import chain

from instantly_async.cli.exits import InputError
from instantly_async.cli.known import DONE, DUPLICATE, NEW, KnownIds
from instantly_async.cli.records import LineId
from instantly_async.cli.system import DamageError

from .choosing import make_stages
from .formats import InputFormat
from .looks import none_valid
from .sought import IDS, Sought
from .understood import Understood

PIECE_BYTES = 16 * 1024
"""Bytes that are parsed at once (*choice*: 16,000 blank lines take 10 ms)."""

MOST_HELD_BACK = 50
"""Invalid ids at the beginning after which this is another file (*choice*)."""

MOST_EMPTY = 10_000
"""The same for empty ones: a table may be sorted by a column that is not filled in each row."""


class IdReader:
    """Reads ids from chunks of an input in any format; skips duplicates and counts them.

    Ids are compared as UUIDs, whatever their spelling. ``known`` says which ids are done; several
    readers can share it, and each of them starts at the beginning of the input. Invalid ids are
    held back until there is a valid one; without one, the input is refused. ``lacking`` counts the
    entries without a value, if they are no mistake: they are skipped. ``has_ended``: the
    input was read to its end. ``understood``: how it is read. Memory: that of ``known``, and one
    line, or one element of JSON, or a whole workbook.

    Raises, from both methods:
        InputError: the input is something else than a list of ids, or is broken.
    """

    def __init__(
        self,
        form: InputFormat | None,
        name: str,
        column: str | None = None,
        known: KnownIds | None = None,
        sought: Sought = IDS,
    ) -> None:
        self._name = name
        self._sought = sought
        self.understood = Understood(noun=sought.noun)
        self._unpacking, self._parsing = make_stages(form, name, column, sought, self.understood)
        self._held_back: list[LineId] | None = []
        self._wrong: list[str] = []  # before the first valid one, also if they are skipped
        self._refused = self._empty = 0
        self._may_lack = sought.may_lack
        self._has_valid = False
        self._known = known or KnownIds()
        self._known.begin()
        self.has_ended = False
        self.lines = 0
        self.yielded = 0
        self.duplicates = 0
        self.done = 0
        self.lacking = 0

    def feed(self, chunk: bytes) -> Iterator[LineId]:
        """Yield the ids that this chunk completes."""
        return chain.from_iterable(self.in_pieces(chunk))

    def finish(self) -> Iterator[LineId]:
        """Yield the ids of what is left: the last line need not have an end."""
        return chain.from_iterable(self.in_pieces(b""))

    def in_pieces(self, chunk: bytes) -> Iterator[Iterator[LineId]]:
        """Yield the ids that this chunk completes; nothing means the end of the input.

        They come in pieces that take a few milliseconds each, so that a caller can do other things
        between them: a chunk may unpack to a thousand times its size.
        """
        unpacked = self._unpacking.feed(chunk) if chunk else self._unpacking.finish()
        for data in self._whole(unpacked):
            for start in range(0, len(data), PIECE_BYTES):
                yield self._new_of(self._parsing.feed(data[start : start + PIECE_BYTES]))
        if not chunk:
            yield self._last()

    def _last(self) -> Iterator[LineId]:
        yield from self._new_of(self._parsing.finish())
        if (self._count or self.lacking) and not self._has_valid:
            raise self._no_ids(all_read=True)
        self.has_ended = True
        yield from self._held_back or ()

    @property
    def is_empty(self) -> bool:
        """Whether the input was read to its end, and had no entries."""
        return self.has_ended and not self._count

    def _new_of(self, found: Iterator[LineId]) -> Iterator[LineId]:
        """Yield those that have to be fetched."""
        for lead_id in found:
            yield from self._take(lead_id)

    def _whole(self, unpacked: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the same; if the data breaks off, raise an error with the number of ids before."""
        try:
            yield from unpacked
        except DamageError as error:
            how = str(error)
        else:
            return
        noun, nouns = self._sought.noun, self._sought.nouns
        ids = f"1 {noun}" if self._count == 1 else f"{self._count:,} {nouns}"
        raise InputError(f"{self._name} {how}, after {ids}; copy or download it again.")

    def _take(self, lead_id: LineId) -> Iterable[LineId]:
        """Count an id; return those to yield now: none as long as no valid id has occurred."""
        self.lines = lead_id.line
        is_valid = lead_id.number is not None
        if not lead_id and self._may_lack:
            self.lacking += 1
            return ()
        new = self._judge(lead_id)
        if self._held_back is None:
            return new
        return self._hold_back(lead_id, new, self._held_back, is_valid=is_valid)

    def _judge(self, lead_id: LineId) -> Iterable[LineId]:
        verdict = self._known.judge(lead_id)
        if verdict is NEW:
            self.yielded += 1
            return (lead_id,)
        self.duplicates += verdict is DUPLICATE
        self.done += verdict is DONE
        return ()

    def _hold_back(
        self, lead_id: LineId, new: Iterable[LineId], held_back: list[LineId], *, is_valid: bool
    ) -> Iterable[LineId]:
        """Hold ids back until one is valid; an earlier run may have recorded others.

        Raises:
            InputError: there are too many of them.
        """
        held_back.extend(new)
        if is_valid:
            self.understood.first = self._sought.shown(lead_id)
            self._has_valid, self._held_back = True, None
            return held_back
        if lead_id and len(self._wrong) < MOST_HELD_BACK:
            self._wrong.append(lead_id)
        self._empty += not lead_id
        self._refused += bool(new) and bool(lead_id)
        if self._refused >= MOST_HELD_BACK or self._empty >= MOST_EMPTY:
            raise self._no_ids(all_read=False)
        return ()

    @property
    def _count(self) -> int:
        return self.yielded + self.duplicates + self.done

    def _no_ids(self, *, all_read: bool) -> InputError:
        first = None if all_read else self._count
        wrong = self._wrong or [""]
        return InputError(none_valid(wrong, self._name, self._sought, self.understood, first))
