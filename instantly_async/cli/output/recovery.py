"""Recovery: reads back what an earlier run has written, and repairs it. Synchronous.

A file that may not be a journal is never changed: only what a killed run can have left is removed
from its end, and a file without a single good line is not repaired.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import msgspec

from instantly_async.cli.exits import CommandError, InputError
from instantly_async.cli.records import (
    MAX_LINE_BYTES,
    cut_keys,
    fields_text,
    keys_of,
    number_of,
    value_of_object,
)
from instantly_async.cli.system import lock, replacement
from instantly_async.cli.terminal import shell_quoted

from .past import Key, Past
from .tearing import Begins, begins_as_error, begins_as_lead, is_torn

_BUFFER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """What to do with an output that exists: resume it, or with ``force``, replace it.

    ``repair`` drops lines that are not leads; ``retry_errors`` fetches failed ids again. ``keys``
    are those to which the run cuts each line; ``None``: it keeps leads whole.
    """

    repair: bool = False
    retry_errors: bool = False
    force: bool = False
    keys: tuple[str, ...] | None = None


class _Error(msgspec.Struct):
    error: str = "unknown"


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


class Recovery:
    """Reads what is done into ``past``.

    ``leads`` and ``failures`` count that, ``errors`` counts the failures by the error's class;
    ``retried`` are failed entries that are fetched again.
    """

    def __init__(self, past: Past, resume: Resume) -> None:
        self.past = past
        self.leads = 0
        self.failures = 0
        self.errors: Counter[str] = Counter()
        self.retried: set[int] = set()
        self._remarks: list[str] = []
        self._resume = resume

    def read_leads(self, fd: int, name: str) -> Readback:
        """Read the output.

        Raises:
            InputError: a line is not a lead, and ``repair`` is off; or no line is a lead.
            CommandError: it holds other fields than the run would write.
        """

        def take(lead_id: str, line: bytes, _: Span) -> bool:
            is_new = self.past.add_lead(lead_id, line)
            self.leads += bool(is_new)
            return is_new is not None

        if self._resume.repair:
            self.past.has_gaps = bool(read_back(fd, name, _is_lead).bad)
        found = self._read(fd, name, take, "id", begins_as_lead)
        if found.good:
            require_same_fields(found.first, self._resume.keys, name)
        if found.bad and self.past.heals_at_end:
            found = _with_gaps(fd, found)
        if not found.missing:
            return found
        end = self.past.line_end
        if self._resume.keys is not None:
            end = end.replace(b"\n", b" \n")  # the mark may be lost, too
        return found._replace(missing=end)

    def read_errors(self, fd: int, name: str) -> Readback:
        """Read the errors file, after the leads: ids that were found since are settled.

        Raises:
            InputError: as above.
        """
        latest: dict[int, Span] = {}
        settled: list[Span] = []
        final: list[Span] = []

        def take(entry: str, _: bytes, span: Span) -> bool:
            number = self.past.number_of(entry)
            if number is None:
                self.past.add_invalid(entry)
                self.failures += 1
                final.append(span)
            elif self.past.is_done(number):
                settled.append(span)
            else:
                if number in latest:
                    settled.append(latest[number])
                latest[number] = span
            return True

        key = self.past.key
        found = self._read(fd, name, take, key, partial(begins_as_error, key=key))
        if self._resume.retry_errors:
            self.retried.update(latest)
        else:
            self.failures += len(latest)
            for number in latest:
                self.past.add_done(number)
            final += latest.values()
        self.errors.update(error_at(fd, span) for span in final)
        return found._replace(settled=settled)

    @property
    def is_to_be_healed(self) -> bool:
        """Whether the journal has lines that are dropped when nothing is left to fetch."""
        return self.past.has_gaps and self.past.heals_at_end

    def remark(self, sentence: str) -> None:
        """Note what the user should know."""
        self._remarks.append(sentence)

    def describe(self) -> list[str]:
        """Return what the user should know, as sentences."""
        if not (self.leads or self.failures):
            return self._remarks
        there = f"Resuming after {self.leads} leads and {self.failures} failed {self.past.noun}s."
        return [*self._remarks, there]

    def _read(self, fd: int, name: str, take: Take, key: Key, begins: Begins) -> Readback:
        found = read_back(fd, name, take, key, begins)
        if found.torn is not None:
            length = found.torn.end - found.torn.start
            self.remark(
                f"{name} ended within a line; its {length} bytes are removed, and that lead is "
                "fetched again if its id is in the input."
            )
        if found.bad and not self._resume.repair:
            others = f" (and {len(found.bad) - 1} more)" if len(found.bad) > 1 else ""
            raise InputError(
                f"The line of {name} that begins at byte {found.bad[0].start} is not a lead"
                f"{others}; fix it, or add --repair to drop it."
            )
        if found.bad:
            when = " when nothing is left to fetch" if self.is_to_be_healed else ""
            self.remark(f"{name}: dropped lines that are not leads{when}: {len(found.bad)}.")
        return found


def heal(fd: int, name: str) -> int:
    """Drop the lines that are not leads; return the descriptor to write to.

    Raises:
        OutputError: the file cannot be rewritten; it is as it was.
    """
    return repair(name, fd, read_back(fd, name, _is_lead))


def _with_gaps(fd: int, found: Readback) -> Readback:
    """Leave the bad lines; only what is written behind the last one must be a line of its own."""
    end = found.bad[-1].end
    is_open = end == os.fstat(fd).st_size and os.pread(fd, 1, end - 1) != b"\n"
    return found._replace(bad=[], missing=b"\n" if is_open else found.missing)


def error_at(fd: int, span: Span) -> str:
    """Return the class of the error that a good line records, if it is a name at all."""
    line = os.pread(fd, span.end - span.start, span.start)
    error = "unknown"
    with contextlib.suppress(msgspec.MsgspecError):
        error = msgspec.json.decode(line, type=_Error).error
    return error if error.isidentifier() else "unknown"


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


def _is_lead(lead_id: str, _: bytes, __: Span) -> bool:
    return number_of(lead_id) is not None


def _is_good(line: bytes, span: Span, take: Take, key: Key) -> bool:
    try:
        value = value_of_object(line, key)
    except ValueError:
        return False
    return isinstance(value, str) and take(value, line, span)


def require_same_fields(line: bytes, keys: tuple[str, ...] | None, name: str) -> None:
    """Check that a run goes on with the fields that the first good line has.

    Raises:
        CommandError: it would mix lines with different fields.
    """
    there = cut_keys(line)
    if there == keys or (keys is not None and keys_of(line) == keys):
        return
    if there is None:
        raise CommandError(
            f"{name} holds whole leads; leave --fields out, or choose another output."
        )
    option = f"--fields {shell_quoted(fields_text(there))}"
    raise CommandError(
        f"{name} holds only some fields; resume it with {option}, or choose another output."
    )


def cut_torn_line(fd: int) -> None:
    """Remove everything after the last line end of a file that is being written.

    It reads the file, because a signal may come after a write and before a counter is updated.
    """
    size = end = os.fstat(fd).st_size
    while end:
        start = max(0, end - _BUFFER_BYTES)
        after_line_end = os.pread(fd, end - start, start).rfind(b"\n") + 1
        end = start + after_line_end
        if after_line_end:
            break
    if end < size:
        os.ftruncate(fd, end)


def repair(path: str, fd: int, found: Readback) -> int:
    """Remove the torn tail, and drop bad and settled lines; return the descriptor to write to.

    Raises:
        OutputError: the file cannot be rewritten; it is as it was.
    """
    if found.torn is not None:
        os.ftruncate(fd, found.torn.start)
    if found.missing:
        os.write(fd, found.missing)  # at the end: the file was opened to append
    if not (found.bad or found.settled):
        return fd
    new = _rewrite_without(path, fd, found.bad + found.settled)
    os.close(fd)
    return new


def _rewrite_without(path: str, fd: int, spans: Iterable[Span]) -> int:
    """Replace a file by one without these bytes, in one step; return the new descriptor.

    The new file is locked before it gets its name, so that no other run can take it.
    """
    new = None
    try:
        with replacement(path) as file:
            new = os.dup(file.fileno())
            lock(new, path)
            start = 0
            for span in sorted(spans):
                _copy(fd, new, Span(start, span.start))
                start = span.end
            _copy(fd, new, Span(start, os.fstat(fd).st_size))
    except BaseException:
        if new is not None:
            os.close(new)
        raise
    return new


def _copy(source: int, target: int, span: Span) -> None:
    at = span.start
    while chunk := os.pread(source, min(_BUFFER_BYTES, span.end - at), at):
        at += len(chunk)
        while chunk:
            chunk = chunk[os.write(target, chunk) :]
