"""Reads the lines of a finished journal, and what they hold."""

import contextlib
import io
import itertools
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from instantly_async._api import LeadDecoder, LeadItem
from instantly_async.cli.exits import CommandError, InputError
from instantly_async.cli.records import BOM, MAX_LINE_BYTES, PayloadKeys, cut_keys, restored
from instantly_async.cli.system import STDIO, DamageError, open_to_read, reason_of, try_lock

from .columns import Row, columns_of, row_type
from .layout import MAX_COLUMNS, TOO_MANY_COLUMNS, Found, Layout
from .packing import Source
from .payloads import Payloads


class Line(NamedTuple):
    """A line without its end; ``number`` from 1, ``start`` in bytes of the unpacked file."""

    number: int
    start: int
    body: bytes


def open_source(source: str) -> int:
    """Open a journal; ``-`` is stdin.

    Raises:
        InputError: it cannot be opened.
    """
    if source == STDIO and sys.stdin is None:
        raise InputError("stdin is closed; name a file with leads.")
    return 0 if source == STDIO else open_to_read(source, holding="leads")


def lock_to_read(fd: int, name: str) -> None:
    """Keep runs from writing the journal until it is closed.

    Raises:
        InputError: a run is writing it.
    """
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return
    with contextlib.suppress(OSError):  # without locks, no run writes here
        if not try_lock(fd, shared=True):
            raise InputError(f"{name} is being written by another run; let it finish.")


def source_of(file: io.BufferedIOBase, name: str) -> Source:
    """Return the source that this file is; it is unpacked if it is compressed.

    Raises:
        InputError: it cannot be read.
        CommandError: a package is missing.
    """
    try:
        return Source(file, name)
    except OSError as error:
        raise _unreadable(name, error) from None


def look_into(source: Source, layout: Layout) -> tuple[Found, Iterator[Line]]:
    """Return what a journal holds, as far as the layout needs it, and all its lines.

    A pipe cannot be read twice, so usually only the first line is looked at.

    Raises:
        InputError: it has to be read twice and cannot, or is not a journal.
        CommandError: it has too many keys.
    """
    read = read_lines(source)
    first = next(read, None)
    cut = None if first is None else cut_keys(first.body)
    again = itertools.chain([] if first is None else [first], read)
    if layout.form == "jsonl":
        return Found(cut), again
    if not layout.needs_keys(cut):
        return Found(cut), map(_restored, again)
    if not source.can_be_read_twice:
        raise InputError(
            "payload.* has to read the leads twice, which a pipe cannot do; save them to a file, "
            "or name the keys."
        )
    found = Found(cut, _keys_of_payloads(map(_restored, again), source.content))
    return found, map(_restored, read_lines(source))


def _restored(line: Line) -> Line:
    body = restored(line.body)
    return line if body is line.body else line._replace(body=body)


def _keys_of_payloads(lines: Iterable[Line], name: str) -> list[str]:
    """Return the keys of all payloads, in the order of their first appearance."""
    payloads = Payloads(PayloadKeys(()))
    keys: dict[str, None] = {}
    for _, item in read_leads(lines, name, row_type(columns_of(["payload"]))):
        keys |= dict.fromkeys(payloads.of(item.lead) or ())
        if len(keys) > MAX_COLUMNS:
            raise CommandError(TOO_MANY_COLUMNS)
    return list(keys)


def read_leads(
    lines: Iterable[Line], name: str, lead_type: type[Row]
) -> Iterator[tuple[int, LeadItem[Row]]]:
    """Yield the lead of each line, and the line's number.

    Raises:
        InputError: a line is not a lead.
    """
    decoder = LeadDecoder(lead_type)
    for line in lines:
        _, item = decoder.decode_item(line.body)
        if item is None:
            raise InputError(f"{_place(name, line)} is not a lead; fix or remove it.")
        yield line.number, item


def read_lines(source: Source) -> Iterator[Line]:
    """Yield each line that is not blank; ``fetch`` skips blank lines, too.

    Raises:
        InputError: a line is too long, or the last one has no end.
    """
    lines, name = source.open(), source.content
    number, start = 0, 0
    while text := _read_line(lines, source.name, number):
        number += 1
        body = text.rstrip(b"\r\n")
        line = Line(number, start, body.removeprefix(BOM) if number == 1 else body)
        start += len(text)
        if len(text) > MAX_LINE_BYTES:
            raise InputError(
                f"{_place(name, line)} is longer than {MAX_LINE_BYTES >> 20} MiB, which no lead "
                "is; name a file with leads."
            )
        if not text.endswith(b"\n"):
            raise InputError(
                f"{_place(name, line)} has no line end, so the run that writes this file has "
                "not finished; let it finish, or remove that line."
            )
        if not text.isspace():
            yield line


def _place(name: str, line: Line) -> str:
    return f"Line {line.number} of {name} (from byte {line.start})"


def _read_line(lines: BinaryIO, name: str, before: int) -> bytes:
    try:
        return lines.readline(MAX_LINE_BYTES + 1)
    except DamageError as error:
        after = "1 line" if before == 1 else f"{before:,} lines"
        raise InputError(f"{name} {error}, after {after}; copy or download it again.") from None
    except OSError as error:
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: OSError) -> InputError:
    return InputError(f"Reading {name} failed: {reason_of(error)}; check the file, then try again.")
