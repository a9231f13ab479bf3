"""The bulk job around a run: what goes where, what is done already, what there is to do."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from instantly_async.protocol import MAX_IDS_PER_PAGE
from instantly_async.settings import RateLimit

from .exits import CommandError
from .journal import open_journal, read_journal
from .known import KnownIds
from .lines import Output, Stdout
from .recovery import Resume
from .report import check_stats_path
from .runs import invalid
from .sources import STDIO, FileOfIds, Survey
from .terminal import Terminal

ERRORS_SUFFIX = ".errors.jsonl"
"""Added to the output's name for the file with the ids that have no lead."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where leads go: ``output`` is what the user has named, ``-`` for stdout.

    ``None``: nowhere.
    """

    output: str | None

    @property
    def journal(self) -> str | None:
        """The file that the run writes and that a later one goes on with."""
        return None if self.output == STDIO else self.output

    @property
    def errors(self) -> str:
        """The file with the ids that have no lead."""
        return f"{self.output}{ERRORS_SUFFIX}"

    def require_other_than(self, source: FileOfIds) -> None:
        """Check that the input is not what will be written.

        Raises:
            CommandError: it is.
        """
        if self.journal is None:
            return
        if source.is_file(self.journal):
            raise CommandError(f"{self.journal} is the input; choose another output.")
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
        ours = () if self.journal is None else (self.journal, self.errors)
        taken = any(Path(path).resolve() == Path(each).resolve() for each in ours)
        if taken or (source is not None and source.is_file(path)):
            raise CommandError(f"{path} is the input or the output; choose another --stats-json.")

    def open(self, known: KnownIds, resume: Resume | None) -> Output:
        """Make the output, or go on with it; ``known`` learns what is done.

        Raises:
            CommandError: that cannot be.
        """
        if self.journal is not None:
            return open_journal(self.journal, self.errors, known, resume)
        self._require_file(resume)
        return Output() if self.output is None else Stdout()

    def read(self, known: KnownIds, resume: Resume | None) -> None:
        """Only read what is done.

        Raises:
            CommandError: as ``open``.
        """
        if self.journal is not None:
            read_journal(self.journal, self.errors, known, resume)
        else:
            self._require_file(resume)

    @staticmethod
    def _require_file(resume: Resume | None) -> None:
        if resume is not None:
            raise CommandError("Only a file can be resumed; name it with -o.")

    def command_to_resume(self, arguments: Sequence[str], *, from_stdin: bool) -> str | None:
        """Return the command that goes on with this one; ``None`` when there is none."""
        if self.journal is None:
            return None
        resume = [] if "--resume" in arguments else ["--resume"]
        command = shlex.join(["instantly-async", *arguments, *resume])
        return f"{command} (with the same ids on stdin)" if from_stdin else command


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
