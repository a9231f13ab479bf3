"""Recovery: reads back what an earlier run has written, and repairs it. Synchronous.

A file that may not be a journal is never changed: only what a killed run can have left is removed
from its end, and a file without a single good line is not repaired.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import msgspec

from instantly_async.cli.amounts import amount
from instantly_async.cli.exits import CommandError, InputError
from instantly_async.cli.records import (
    cut_keys,
    fields_text,
    keys_of,
)
from instantly_async.cli.system import lock, replacement
from instantly_async.cli.terminal import shell_quoted

from .past import Key, Past
from .readback import Readback, Span, Take, is_lead, read_back
from .tearing import Begins, begins_as_error, begins_as_lead

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
            self.past.has_gaps = bool(read_back(fd, name, is_lead).bad)
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
        leads = amount(self.leads, "lead")
        failed = amount(self.failures, f"failed {self.past.noun}")
        return [*self._remarks, f"Resuming after {leads} and {failed}."]

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
    return repair(name, fd, read_back(fd, name, is_lead))


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
