"""``IdReader``: from chunks of bytes to the ids that have to be fetched. No I/O."""

from collections.abc import Iterable, Iterator

from instantly_async._api import wire_id
from instantly_async.cli.exits import InputError
from instantly_async.cli.known import KnownIds, Verdict
from instantly_async.cli.records import BOM, LineId

from .csv_ids import CsvParser
from .formats import InputFormat, JsonLinesParser, LineParser, TextParser
from .lines import LineSplitter
from .looks import no_lead_ids

MOST_HELD_BACK = 50
"""Invalid ids at the beginning after which this is another file (*choice*)."""


class IdReader:
    """Splits chunks into lines, and lines into ids; skips duplicates and counts them.

    Lines end with LF, CRLF or CR; a byte order mark that begins one is skipped. Ids are compared
    as UUIDs, ignoring case. ``known`` says which ids are done; several readers can share it, and
    each of them starts at the beginning of the input. Invalid ids are held back until there is a
    valid one; without one, the input is refused. ``has_ended``: the input was read to its end.
    Memory: that of ``known``, and one line.

    Raises, from both methods:
        InputError: a line is not UTF-8, too long, or not of the format; or the input is something
            else than a list of ids.
    """

    def __init__(
        self, form: InputFormat, name: str, column: str | None = None, known: KnownIds | None = None
    ) -> None:
        self._name = name
        self._form = form
        self._parser = _make_parser(form, name, column)
        self._splitter = LineSplitter(name, form)
        self._held_back: list[LineId] | None = []
        self._wrong: list[str] = []  # before the first valid one, also if they are skipped
        self._has_valid = False
        self._known = known or KnownIds()
        self._known.begin()
        self.has_ended = False
        self.lines = 0
        self.yielded = 0
        self.duplicates = 0
        self.done = 0

    def feed(self, chunk: bytes) -> Iterator[LineId]:
        """Yield the ids of the lines that this chunk completes."""
        return self._ids_of(self._splitter.feed(chunk))

    def finish(self) -> Iterator[LineId]:
        """Yield the ids of what is left: the last line need not have an end."""
        yield from self._ids_of(self._splitter.finish())
        self._parser.finish()
        if self._wrong and not self._has_valid:
            raise InputError(no_lead_ids(self._wrong, self._name, self._form, all_read=True))
        self.has_ended = True
        yield from self._held_back or ()

    @property
    def is_empty(self) -> bool:
        """Whether the input was read to its end, and had no entries."""
        return self.has_ended and not (self.yielded or self.duplicates or self.done)

    def _ids_of(self, lines: Iterable[bytes]) -> Iterator[LineId]:
        for line in lines:
            if (lead_id := self._take(line)) is not None:
                if self._held_back is None:
                    yield lead_id
                else:
                    yield from self._hold_back(lead_id, self._held_back)

    def _hold_back(self, lead_id: LineId, held_back: list[LineId]) -> Iterable[LineId]:
        """Return the ids to yield now: none as long as no valid id has occurred.

        Raises:
            InputError: there are too many of them.
        """
        held_back.append(lead_id)
        if wire_id(lead_id) is not None:
            self._has_valid = True
        if self._has_valid:
            self._held_back = None
            return held_back
        self._wrong.append(lead_id)
        if len(held_back) >= MOST_HELD_BACK:
            raise InputError(no_lead_ids(self._wrong, self._name, self._form, all_read=False))
        return ()

    def _take(self, line: bytes) -> LineId | None:
        self.lines += 1
        lead_id = self._parser.feed(self._decode(line), self.lines)
        if lead_id is None:
            return None
        verdict = self._known.judge(lead_id)
        if verdict is Verdict.NEW:
            self.yielded += 1
            return lead_id
        if verdict is Verdict.DUPLICATE:
            self.duplicates += 1
        else:
            self.done += 1
        if not self._has_valid:
            self._note_skipped(lead_id)
        return None

    def _note_skipped(self, lead_id: LineId) -> None:
        """Note whether an id that is skipped is valid; an earlier run may have recorded others."""
        if wire_id(lead_id) is not None:
            self._has_valid = True
        elif len(self._wrong) < MOST_HELD_BACK:
            self._wrong.append(lead_id)

    def _decode(self, line: bytes) -> str:
        line = line.removeprefix(BOM)  # each of joined files may begin with one
        if b"\0" in line:
            raise InputError(
                f"Line {self.lines} of {self._name} has NUL bytes, so it is not text in UTF-8; "
                "save the file as UTF-8 text, or name another one."
            )
        try:
            return line.decode()
        except UnicodeDecodeError:
            raise InputError(
                f"Line {self.lines} of {self._name} is not UTF-8; save the file as UTF-8."
            ) from None


def _make_parser(form: InputFormat, name: str, column: str | None) -> LineParser:
    if form in {"csv", "tsv"}:
        return CsvParser(name, column, "\t" if form == "tsv" else None)
    if column is not None:
        raise InputError(
            f"--column is for CSV, and {name} is read as {form}; add --input-format csv."
        )
    return JsonLinesParser(name) if form == "jsonl" else TextParser()
