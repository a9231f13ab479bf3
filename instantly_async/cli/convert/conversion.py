"""Conversion: from a finished journal to a file in another format, completely or not at all."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from instantly_async.cli.amounts import size_text
from instantly_async.cli.exits import CommandError, OutputError
from instantly_async.cli.system import (
    STDIO,
    check_writable,
    reading_until_signal,
    replacement,
    require_locks,
)

from .layout import Layout
from .packing import packed
from .reading import lock_to_read, look_into, open_source, read_leads, source_of

PROGRESS_LEADS = 1000
"""Leads between two calls of ``on_progress`` (*choice*; about 50 ms)."""

_BUFFER_BYTES = 1024 * 1024


@dataclass(slots=True)
class Conversion:
    """The result of a conversion: ``leads``, and how many have a field that was ``changed``.

    A changed field was converted or left out; ``first`` names the first one. ``size`` is that of
    the ``output`` in bytes. ``remarks`` are what the user may want to know, ``warnings`` what
    they have to.
    """

    output: str
    leads: int = 0
    changed: int = 0
    first: str = ""
    size: int = 0
    warnings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def count(self, problems: tuple[str, ...], line: int) -> None:
        self.leads += 1
        if problems:
            self.changed += 1
            self.first = self.first or f"{problems[0]} in line {line}"

    def conclude(self, absent: str | None, cells: str | None, size: int) -> None:
        """Note what the writer has to say, and the size of the output."""
        self.size = size
        if self.changed:
            have = "lead has" if self.changed == 1 else "leads have"
            self.warnings.append(
                f"{self.changed} of {self.leads} {have} a field that was converted or left out; "
                f"the first is {self.first}."
            )
        self.warnings += filter(None, [absent])
        leads = "1 lead" if self.leads == 1 else f"{self.leads:,} leads"
        wrote = f"Wrote {leads} to {self.output} ({size_text(size)})."
        self.remarks += filter(None, [cells, wrote])


def convert(
    source: str,
    output: str,
    layout: Layout,
    *,
    force: bool = False,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Conversion:
    """Read leads from the journal ``source`` (``-``: stdin) and write them to a file.

    ``force``: replace an existing file, in one step at the end. ``on_progress`` gets the number
    of leads from time to time. Memory: one line, and what the writer holds.

    Raises:
        InputError: the journal cannot be read, is being written, is unfinished or damaged, or
            has a line that is not a lead.
        CommandError: the output cannot be created, this system has no locks, or the journal
            does not have the fields of the layout.
        OutputError: it cannot be written. As after any other error, nothing is changed.
    """
    require_locks(output)
    name = "stdin" if source == STDIO else source
    conversion = Conversion(output)
    with reading_until_signal(open_source(source), _BUFFER_BYTES) as file:
        lock_to_read(file.fileno(), name)
        check_output(output, os.fstat(file.fileno()), force=force)
        leads = source_of(file, name)
        found, journal = look_into(leads, layout)
        writer, keys = layout.writer(found)
        with replacement(output) as new:
            with packed(new, layout.compression) as content, writer.writing(content) as add:
                for number, item in read_leads(journal, leads.content, writer.lead_type):
                    conversion.count(item.problems + item.lead.settle(), number)
                    add(item)
                    if not conversion.leads % PROGRESS_LEADS:
                        on_progress(conversion.leads)
            new.flush()
            size = os.fstat(new.fileno()).st_size
            if not force and os.path.lexists(output):
                raise OutputError(
                    f"{output} was created by someone else meanwhile; choose another name."
                )
        conversion.conclude(keys.describe(), writer.remark, size)
    return conversion


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
