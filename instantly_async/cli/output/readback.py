"""Reads a journal line by line: which lines are good, which are not, and what a kill has left."""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from instantly_async.cli.exits import InputError
from instantly_async.cli.records import MAX_LINE_BYTES, number_of, value_of_object

from .past import Key
from .tearing import Begins, begins_as_lead, is_torn

_BUFFER_BYTES = 1024 * 1024


class Span(NamedTuple):
    """Bytes of a file, from ``start`` to before ``end``."""

    start: int
    end: int


Take = Callable[[str, bytes, Span], bool]


class Readback(NamedTuple):
    """What a file holds: ``good`` lines, ``bad`` lines, and a ``torn`` line at its end.

    ``settled`` are good lines that are obsolete: a later line, or the lead, exists. ``missing``
    is the line end that a good last line lacks. ``first`` is the first good line.
    """

    good: int
    first: bytes
    bad: list[Span]
    settled: list[Span]
    torn: Span | None
    missing: bytes


def read_back(
    fd: int, name: str, take: Take, key: Key = "id", begins: Begins = begins_as_lead
) -> Readback:
    """Pass the text that each line has under ``key`` to ``take``, which returns whether it is good.

    ``begins`` says whether a torn line begins as it must if no good line is before it.

    Raises:
        InputError: the file is not a journal, so it must not be changed.
    """
    good, first, bad, torn, missing = 0, b"", list[Span](), None, b""
    for line, span in _lines(fd):
        text = line.rstrip(b"\0")
        if _is_good(text, span, take, key):
            first = first or text
            good += 1
            missing = b"" if text.endswith(b"\n") else b"\n"
            if text != line:  # only the line end was lost
                torn = Span(span.start + len(text), span.end)
        elif not line.endswith(b"\n") and is_torn(line, begins, after_good=bool(good)):
            torn = span
        elif not line.isspace():
            bad.append(span)
    if not good and (bad or (torn is None and os.fstat(fd).st_size)):
        raise InputError(f"{name} holds no leads, so it is not changed; choose another name.")
    return Readback(good, first, bad, [], torn, missing)


def _lines(fd: int) -> Iterator[tuple[bytes, Span]]:
    """Yield each line; ``?`` instead of one that is too long."""
    start = 0
    with open(os.dup(fd), "rb", buffering=_BUFFER_BYTES) as file:  # noqa: PTH123 - a descriptor
        file.seek(0)
        while line := file.readline(MAX_LINE_BYTES):
            end = start + len(line)
            while not line.endswith(b"\n") and (more := file.readline(MAX_LINE_BYTES)):
                end += len(more)
                line = b"?" + more[-1:]
            yield line, Span(start, end)
            start = end


def is_lead(lead_id: str, _: bytes, __: Span) -> bool:
    """Whether a line has the id of a lead; nothing is noted."""
    return number_of(lead_id) is not None


def _is_good(line: bytes, span: Span, take: Take, key: Key) -> bool:
    try:
        value = value_of_object(line, key)
    except ValueError:
        return False
    return isinstance(value, str) and take(value, line, span)
