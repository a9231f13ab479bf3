"""From a finished journal to a file in another format, which is there whole or not at all."""

import contextlib
import fcntl
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from instantly_async._api import LeadDecoder, LeadItem
from instantly_async.cli.exits import SIGNAL_BASE, CommandError, InputError, OutputError
from instantly_async.cli.input.reader import MAX_LINE_BYTES
from instantly_async.cli.input.sources import STDIO, open_file
from instantly_async.cli.system.files import replacement

from .columns import OutputFormat, Row, columns_of, format_of_output, parse_fields
from .writers import CsvWriter, JsonLinesWriter, ParquetWriter, Writer

PROGRESS_LEADS = 1000
"""Between two calls of ``on_progress`` (*choice*; some 50 ms)."""

_BOM = b"\xef\xbb\xbf"
_BUFFER_BYTES = 1024 * 1024


@dataclass(slots=True)
class Tally:
    """What a conversion met: ``leads``, and those of which a field was converted or left out.

    ``first`` names the first of these fields.
    """

    leads: int = 0
    mended: int = 0
    first: str = ""

    def count(self, problems: tuple[str, ...], line: int) -> None:
        """Count one lead, from this line."""
        self.leads += 1
        if problems:
            self.mended += 1
            self.first = self.first or f"{problems[0]} in line {line}"

    def describe(self) -> str | None:
        """Return what the user should know, ``None`` for nothing."""
        if not self.mended:
            return None
        have = "lead has" if self.mended == 1 else "leads have"
        return (
            f"{self.mended} of {self.leads} {have} a field that was converted or left out; the "
            f"first is {self.first}."
        )


def make_writer(
    output: str,
    form: OutputFormat | None,
    fields: str | None,
    *,
    labels: bool,
    csv_raw: bool,
) -> Writer:
    """Make the writer that the options describe; ``form=None``: by the output's name.

    Raises:
        CommandError: they do not fit together, or pyarrow is missing.
    """
    form = form or format_of_output(output)
    if form is None:
        raise CommandError(
            f"The name {output} does not say what to make; end it with .jsonl, .csv or .parquet, "
            "or use --format."
        )
    if output == STDIO and form != "jsonl":
        raise CommandError(f"To stdout goes JSON Lines only; name a file for {form}.")
    names = None if fields is None else parse_fields(fields)
    if csv_raw and form != "csv":
        raise CommandError(f"--csv-raw is for CSV, and {output} will be {form}; leave it out.")
    if form == "jsonl":
        if labels:
            raise CommandError(
                "--labels is for CSV and Parquet, because JSON Lines keep the server's own "
                "values; leave it out."
            )
        return JsonLinesWriter(names)
    columns = columns_of(names, labels=labels)
    return CsvWriter(columns, guard=not csv_raw) if form == "csv" else ParquetWriter(columns)


def convert(
    source: str,
    output: str,
    writer: Writer,
    *,
    force: bool = False,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Tally:
    """Read leads from the journal ``source`` (``-``: stdin) and write them to a file.

    ``force``: one that is there is replaced, in one step at the end. ``on_progress`` gets the
    number of leads now and then. Memory: one line, and what the writer holds.

    Raises:
        InputError: the journal cannot be read, is being written, is unfinished, or has a line
            that is no lead.
        CommandError: the output may not be made.
        OutputError: it cannot be written. Like after any other error, nothing is changed.
    """
    name = "stdin" if source == STDIO else source
    tally = Tally()
    with _open_journal(source) as lines:
        _lock_for_reading(lines, name)
        check_output(output, os.fstat(lines.fileno()), force=force)
        with _until_sigterm(), replacement(output) as file:
            with writer.writing(file) as add:
                for number, item in read_leads(lines, name, writer.lead_type):
                    tally.count(item.problems + item.lead.settle(), number)
                    add(item)
                    if not tally.leads % PROGRESS_LEADS:
                        on_progress(tally.leads)
            if not force and os.path.lexists(output):
                raise OutputError(f"{output} has come into being meanwhile; nothing is changed.")
    return tally


def read_leads(
    lines: BinaryIO, name: str, lead_type: type[Row]
) -> Iterator[tuple[int, LeadItem[Row]]]:
    """Yield the lead of each line, and the line's number; skip blank lines, as ``fetch`` does.

    Raises:
        InputError: a line is no lead, or the last one has no end.
    """
    decoder = LeadDecoder(lead_type)
    number, start = 0, 0
    while line := _read_line(lines, name):
        number += 1
        where = (number, start)
        start += len(line)
        if len(line) > MAX_LINE_BYTES:
            raise InputError(
                f"{_line(name, *where)} is longer than {MAX_LINE_BYTES >> 20} MiB; is it a file "
                "with leads?"
            )
        if not line.endswith(b"\n"):
            raise InputError(
                f"{_line(name, *where)} has no end, so the run that writes this file is "
                "unfinished; let it finish, or remove that line."
            )
        body = line.rstrip(b"\r\n")
        _, item = decoder.decode_item(body.removeprefix(_BOM) if number == 1 else body)
        if item is not None:
            yield number, item
        elif not line.isspace():
            raise InputError(f"{_line(name, *where)} is no lead; mend or remove it.")


def _line(name: str, number: int, start: int) -> str:
    return f"Line {number} of {name} (from byte {start})"


def _read_line(lines: BinaryIO, name: str) -> bytes:
    try:
        return lines.readline(MAX_LINE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{name} cannot be read on: {error.strerror}.") from None


def _open_journal(source: str) -> BinaryIO:
    if source != STDIO:
        fd = open_file(source, holding="leads")
        return open(fd, "rb", buffering=_BUFFER_BYTES)  # noqa: PTH123 - a descriptor
    if sys.stdin is None:
        raise InputError("stdin is closed; name a file with leads.")
    return open(0, "rb", closefd=False)


def _lock_for_reading(lines: BinaryIO, name: str) -> None:
    """Keep runs from writing the journal until it is closed; a run holds it for itself."""
    if not stat.S_ISREG(os.fstat(lines.fileno()).st_mode):
        return
    try:
        fcntl.flock(lines, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{name} is being written by another run; let it finish.") from None
    except OSError:
        return  # a file system without locks, on which no run would write


def check_output(output: str, source: os.stat_result | None = None, *, force: bool) -> None:
    """Check that the output may be made, before anything is read.

    ``source`` is the file with the leads, ``None`` if that cannot be the same.

    Raises:
        CommandError: it may not.
    """
    if output == STDIO:
        raise CommandError(
            "convert writes files only, because one that is there is whole; name a file."
        )
    try:
        if not Path(output).parent.is_dir():
            raise CommandError(f"There is no folder for {output}; make it, or choose another.")
        found = os.lstat(output)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"{output} cannot be made: {reason}; choose another name.") from None
    if source is not None and os.path.samestat(found, source):
        raise CommandError(f"{output} is the file with the leads; choose another name.")
    if not force:
        raise CommandError(f"{output} exists already; choose another name or use --force.")
    if not stat.S_ISREG(found.st_mode):
        raise CommandError(f"{output} is no regular file; choose another name.")


@contextlib.contextmanager
def _until_sigterm() -> Iterator[None]:
    """Let SIGTERM end the program in good order, as Ctrl-C does anyway."""

    def stop(number: int, _frame: object) -> None:
        raise SystemExit(SIGNAL_BASE + number)

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
