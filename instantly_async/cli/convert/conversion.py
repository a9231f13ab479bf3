"""Conversion: from a finished journal to a file in another format, completely or not at all."""

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from instantly_async._api import LeadDecoder, LeadItem
from instantly_async.cli.exits import CommandError, InputError, OutputError
from instantly_async.cli.records import BOM, MAX_LINE_BYTES
from instantly_async.cli.system import (
    STDIO,
    check_writable,
    open_to_read,
    reading_until_signal,
    reason_of,
    replacement,
    require_locks,
    try_lock,
)

from .columns import Row
from .writers import Writer

PROGRESS_LEADS = 1000
"""Leads between two calls of ``on_progress`` (*choice*; about 50 ms)."""

_BUFFER_BYTES = 1024 * 1024


@dataclass(slots=True)
class Conversion:
    """The result of a conversion: ``leads``, and how many have a field that was ``changed``.

    A changed field was converted or left out; ``first`` names the first one.
    """

    leads: int = 0
    changed: int = 0
    first: str = ""

    def count(self, problems: tuple[str, ...], line: int) -> None:
        self.leads += 1
        if problems:
            self.changed += 1
            self.first = self.first or f"{problems[0]} in line {line}"

    def describe(self) -> str | None:
        """Return a message for the user; ``None``: there is none."""
        if not self.changed:
            return None
        have = "lead has" if self.changed == 1 else "leads have"
        return (
            f"{self.changed} of {self.leads} {have} a field that was converted or left out; the "
            f"first is {self.first}."
        )


def convert(
    source: str,
    output: str,
    writer: Writer,
    *,
    force: bool = False,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Conversion:
    """Read leads from the journal ``source`` (``-``: stdin) and write them to a file.

    ``force``: replace an existing file, in one step at the end. ``on_progress`` gets the number
    of leads from time to time. Memory: one line, and what the writer holds.

    Raises:
        InputError: the journal cannot be read, is being written, is unfinished, or has a line
            that is not a lead.
        CommandError: the output cannot be created, or this system has no locks.
        OutputError: it cannot be written. As after any other error, nothing is changed.
    """
    require_locks(output)
    name = "stdin" if source == STDIO else source
    conversion = Conversion()
    with reading_until_signal(_open_lines(source), _BUFFER_BYTES) as lines:
        _lock_to_read(lines.fileno(), name)
        check_output(output, os.fstat(lines.fileno()), force=force)
        with replacement(output) as file:
            with writer.writing(file) as add:
                for number, item in read_leads(lines, name, writer.lead_type):
                    conversion.count(item.problems + item.lead.settle(), number)
                    add(item)
                    if not conversion.leads % PROGRESS_LEADS:
                        on_progress(conversion.leads)
            if not force and os.path.lexists(output):
                raise OutputError(
                    f"{output} was created by someone else meanwhile; choose another name."
                )
    return conversion


def read_leads(
    lines: BinaryIO, name: str, lead_type: type[Row]
) -> Iterator[tuple[int, LeadItem[Row]]]:
    """Yield the lead of each line, and the line's number; skip blank lines, as ``fetch`` does.

    Raises:
        InputError: a line is not a lead, or the last line has no line end.
    """
    decoder = LeadDecoder(lead_type)
    number, start = 0, 0
    while line := _read_line(lines, name):
        number += 1
        where = (number, start)
        start += len(line)
        if len(line) > MAX_LINE_BYTES:
            raise InputError(
                f"{_line(name, *where)} is longer than {MAX_LINE_BYTES >> 20} MiB, which no lead "
                "is; name a file with leads."
            )
        if not line.endswith(b"\n"):
            raise InputError(
                f"{_line(name, *where)} has no line end, so the run that writes this file has "
                "not finished; let it finish, or remove that line."
            )
        body = line.rstrip(b"\r\n")
        _, item = decoder.decode_item(body.removeprefix(BOM) if number == 1 else body)
        if item is not None:
            yield number, item
        elif not line.isspace():
            raise InputError(f"{_line(name, *where)} is not a lead; fix or remove it.")


def _line(name: str, number: int, start: int) -> str:
    return f"Line {number} of {name} (from byte {start})"


def _read_line(lines: BinaryIO, name: str) -> bytes:
    try:
        return lines.readline(MAX_LINE_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"Reading {name} failed: {reason_of(error)}; check the file, then try again."
        ) from None


def _open_lines(source: str) -> int:
    if source != STDIO:
        return open_to_read(source, holding="leads")
    if sys.stdin is None:
        raise InputError("stdin is closed; name a file with leads.")
    return 0


def _lock_to_read(fd: int, name: str) -> None:
    """Keep runs from writing the journal until it is closed.

    Raises:
        InputError: a run is writing it.
    """
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return
    with contextlib.suppress(OSError):  # without locks, no run writes here
        if not try_lock(fd, shared=True):
            raise InputError(f"{name} is being written by another run; let it finish.")


def check_output(output: str, source: os.stat_result | None = None, *, force: bool) -> None:
    """Check that the output can be created, before anything is read.

    ``source`` is the file with the leads; ``None``: it cannot be the same file. ``force``: replace
    an existing file.

    Raises:
        CommandError: it cannot.
    """
    if output == STDIO:
        raise CommandError("convert writes whole files and so cannot write to stdout; name a file.")
    found = check_writable(output)
    if found is None:
        return
    if source is not None and os.path.samestat(found, source):
        raise CommandError(f"{output} is the file with the leads; choose another name.")
    if not force:
        raise CommandError(f"{output} exists already; choose another name or use --force.")
