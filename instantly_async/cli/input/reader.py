"""``IdReader``: from chunks of bytes to the ids that have to be fetched. No I/O."""

from collections.abc import Iterator

from instantly_async.cli.exits import InputError
from instantly_async.cli.known import KnownIds, Verdict
from instantly_async.cli.records import BOM, MAX_LINE_BYTES, LineId

from .formats import CsvParser, InputFormat, JsonLinesParser, LineParser, TextParser


class IdReader:
    """Splits chunks into lines, and lines into ids; skips duplicates and counts them.

    Lines end with LF or CRLF; a byte order mark is skipped. Ids are compared as UUIDs, ignoring
    case. ``known`` says which ids are done; several readers can share it, and each of them starts
    at the beginning of the input. Memory: that of ``known``, and one line.

    Raises, from both methods:
        InputError: a line is not UTF-8, too long, or not of the format.
    """

    def __init__(
        self, form: InputFormat, name: str, column: str | None = None, known: KnownIds | None = None
    ) -> None:
        self._name = name
        self._parser = _make_parser(form, name, column)
        self._rest = bytearray()
        self._known = known or KnownIds()
        self._known.begin()
        self.lines = 0
        self.yielded = 0
        self.duplicates = 0
        self.done = 0

    def feed(self, chunk: bytes) -> Iterator[LineId]:
        """Yield the ids of the lines that this chunk completes."""
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > MAX_LINE_BYTES:
            raise InputError(
                f"Line {self.lines + len(lines) + 1} of {self._name} is longer than "
                f"{MAX_LINE_BYTES >> 20} MiB; name a file with ids."
            )
        for line in lines:
            if (lead_id := self._take(line)) is not None:
                yield lead_id

    def finish(self) -> Iterator[LineId]:
        """Yield the id of a last line without line end."""
        rest = bytes(self._rest)
        self._rest.clear()
        if rest and (lead_id := self._take(rest)) is not None:
            yield lead_id
        self._parser.finish()

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
        return None

    def _decode(self, line: bytes) -> str:
        if self.lines == 1:
            line = line.removeprefix(BOM)
        try:
            return line.removesuffix(b"\r").decode()
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
