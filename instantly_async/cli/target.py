"""The bulk job around a run: what goes where, what is done already, what there is to do."""

import os
import shlex
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from instantly_async._api import MAX_IDS_PER_PAGE
from instantly_async.settings import API_KEY_VARIABLE, RateLimit

from . import exits
from .convert.columns import format_of_output, parse_fields
from .convert.conversion import check_output, convert, make_writer
from .convert.writers import Writer
from .exits import CommandError
from .fetch import Run, invalid
from .input.reader import MAX_LINE_BYTES
from .input.sources import STDIO, FileOfIds, Survey
from .known import KnownIds
from .options import Format
from .output.journal import open_journal, read_journal
from .output.lines import Output, Stdout, line_of
from .output.recovery import Resume
from .records.selection import Selection, keys_of
from .show.report import check_stats_path, write_stats
from .terminal import Terminal, counting

ERRORS_SUFFIX = ".errors.jsonl"
"""Added to the output's name for the file with the ids that have no lead."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where leads go: ``output`` is what the user has named, ``-`` for stdout.

    ``None``: nowhere. With a ``writer`` it is made of the journal at the end; otherwise it is
    the journal, of lines cut down to ``selection`` if there is one.
    """

    output: str | None
    writer: Writer | None = None
    selection: Selection | None = None

    @property
    def journal(self) -> str | None:
        """The file that the run writes and that a later one goes on with."""
        if self.output == STDIO:
            return None
        return self.output if self.writer is None else f"{self.output}.jsonl"

    @property
    def errors(self) -> str:
        """The file with the ids that have no lead."""
        return f"{self.output}{ERRORS_SUFFIX}"

    @property
    def line_of(self) -> Callable[[bytes], bytes]:
        """What makes a line of the server's JSON."""
        return line_of if self.selection is None else self.selection.cut

    def require_other_than(self, source: FileOfIds) -> None:
        """Check that the input is not what will be written.

        Raises:
            CommandError: it is.
        """
        if self.journal is None:
            if self.output == STDIO and source.is_file("/dev/fd/1"):
                raise CommandError("stdout is the input; choose another output.")
            return
        if source.is_file(self.journal) or source.is_file(str(self.output)):
            raise CommandError(f"{self.output} is the input; choose another output.")
        if source.is_file(self.errors):
            raise CommandError(
                f"{self.errors} belongs to the output; name the file with all ids and add "
                "--retry-errors, or choose another output."
            )

    def require_other_than_stats(self, path: str | None, source: FileOfIds | None = None) -> None:
        """Check that statistics can be written to ``path``, and that it is nothing else.

        Raises:
            CommandError: they cannot, or it is.
        """
        if path is None:
            return
        check_stats_path(path)
        ours = () if self.journal is None else (str(self.output), self.journal, self.errors)
        taken = any(Path(path).resolve() == Path(each).resolve() for each in ours)
        if taken or (source is not None and source.is_file(path)):
            raise CommandError(f"{path} is the input or the output; choose another --stats-json.")

    def open(self, known: KnownIds, resume: Resume | None) -> Output:
        """Make the output, or go on with it; ``known`` learns what is done.

        Raises:
            CommandError: that cannot be.
        """
        self._check(resume)
        if self.journal is not None:
            return open_journal(self.journal, self.errors, known, resume)
        return Output() if self.output is None else Stdout()

    def read(self, known: KnownIds, resume: Resume | None) -> None:
        """Only read what is done.

        Raises:
            CommandError: as ``open``.
        """
        self._check(resume)
        if self.journal is not None:
            read_journal(self.journal, self.errors, known, resume)

    def _check(self, resume: Resume | None) -> None:
        if self.journal is None:
            if resume is not None:
                raise CommandError("Only a file can be resumed; name it with -o.")
            return
        assert self.output is not None
        if self.output.endswith(ERRORS_SUFFIX):
            raise CommandError(f"{self.output} is named like a file of errors; choose another.")
        if self.writer is not None:
            self._check_derived(self.output, self.journal, resume)
        if self.selection is not None and resume is not None:
            self._check_fields(self.selection, self.journal)

    @staticmethod
    def _check_derived(output: str, journal: str, resume: Resume | None) -> None:
        if os.path.lexists(output) and resume is None:
            raise CommandError(
                f"{output} exists already; add --resume to go on with it, or choose another name."
            )
        if os.path.lexists(output) and not os.path.lexists(journal):
            raise CommandError(
                f"{output} exists without {journal}, from which it would be made; choose another "
                "name."
            )
        check_output(output, force=True)

    @staticmethod
    def _check_fields(selection: Selection, journal: str) -> None:
        try:
            with Path(journal).open("rb") as file:
                line = file.readline(MAX_LINE_BYTES)
        except OSError:
            return  # opening it will tell
        keys = keys_of(line)
        if line.endswith(b"\n") and keys is not None and keys != selection.keys:
            raise CommandError(
                f"{journal} was begun with other fields; name the same ones with --fields, or "
                "choose another output."
            )

    def derive(self, terminal: Terminal, *, quiet: bool) -> None:
        """Make the output of the journal, if it is not the journal itself.

        Raises:
            CommandError: it cannot be made.
        """
        if self.writer is None or self.output is None or self.journal is None:
            return
        with counting(terminal, quiet=quiet) as on_progress:
            tally = convert(
                self.journal, self.output, self.writer, force=True, on_progress=on_progress
            )
        if remark := tally.describe():
            terminal.say(remark)

    def how_to_resume(self, arguments: Sequence[str], *, from_stdin: bool) -> str | None:
        """Return a sentence with the command that goes on; ``None`` when there is none."""
        key = os.environ.get(API_KEY_VARIABLE, "").strip()
        if self.journal is None or (key and any(key in each for each in arguments)):
            return None
        command, *options = (each for each in arguments if not each.startswith("--resume"))
        line = shlex.join(["instantly-async", command, "--resume", *options])
        return f"Go on{', with the same ids on stdin,' if from_stdin else ''} with: {line}"


def writer_of(output: str, form: Format) -> Writer:
    """Make the writer of a file.

    Raises:
        CommandError: the options do not fit together, or pyarrow is missing.
    """
    return make_writer(
        output, form.output_format, form.fields, labels=form.labels, csv_raw=form.csv_raw
    )


def target_of(output: str, form: Format) -> Target:
    """Make the target that the options describe; JSON Lines unless the name says otherwise.

    Raises:
        CommandError: the options do not fit together, or pyarrow is missing.
    """
    chosen = form.output_format or format_of_output(output) or "jsonl"
    writer = writer_of(output, replace(form, output_format=chosen))
    if chosen != "jsonl":
        return Target(output, writer)
    return Target(output, selection=(form.fields and Selection(parse_fields(form.fields))) or None)


def end(job: Run, target: Target, code: int, stats_json: str | None) -> int:
    """Do what remains when a run has ended with ``code``; return the exit code of it all."""
    try:
        if code in {exits.ALL_FOUND, exits.INCOMPLETE}:
            target.derive(job.terminal, quiet=job.quiet)
    except CommandError as error:
        job.terminal.say(str(error))
        code = error.code
    except (KeyboardInterrupt, SystemExit) as stop:  # the latter by SIGTERM
        number = signal.SIGTERM if isinstance(stop, SystemExit) else signal.SIGINT
        code = exits.SIGNAL_BASE + number
        if job.again is not None and not job.quiet:
            job.terminal.say(job.again)
    if stats_json is None or job.report is None:
        return code
    try:
        write_stats(stats_json, job.report, code)
    except CommandError as error:
        job.terminal.say(str(error))
        return code or exits.GAVE_UP
    return code


def survey(source: FileOfIds, terminal: Terminal) -> Survey:
    """Read the whole input beforehand; name what is no id.

    Raises:
        InputError: something else in it is wrong.
    """
    return source.survey(lambda lead_id: terminal.say(invalid(lead_id)))


def plan(found: Survey, limit: RateLimit) -> str:
    """Return what a run would do, one fact a line."""
    read = found.to_fetch + found.invalid + found.duplicates + found.done
    pages = ceil(found.to_fetch / MAX_IDS_PER_PAGE)
    facts = {
        "ids read": read,
        "invalid": found.invalid,
        "duplicates": found.duplicates,
        "already done": found.done,
        "to fetch": found.to_fetch,
        "by get": _at_the_limit(found.to_fetch, limit),
        "by list": _at_the_limit(pages, limit) + ", and one for each lead that is not found",
    }
    return "\n".join(f"{name:<13} {value}" for name, value in facts.items())


def _at_the_limit(requests: int, limit: RateLimit) -> str:
    minutes, seconds = divmod(ceil(requests / limit.rate), 60)
    return f"{requests} requests, {minutes}:{seconds:02} at {limit.rate:.0f}/s"
