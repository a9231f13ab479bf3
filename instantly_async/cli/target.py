"""``Target``: the files that a run writes, checked before it starts."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .convert import (
    Layout,
    check_output,
    convert,
    format_of_output,
    make_layout,
    parse_fields,
)
from .exits import CommandError
from .input import FileOfIds
from .invocation import program
from .keys import holds_key
from .options import OutputOptions
from .output import (
    ADD_RESUME,
    Output,
    Past,
    Recovery,
    Resume,
    Stdout,
    open_journal,
    query_path,
    read_journal,
)
from .process import unwinding_on_signals
from .records import Selection, to_line
from .show import IDS, Words, counting
from .system import STDIO, check_writable, is_at, require_no_link
from .terminal import Terminal, shell_quoted

_WITH_PASSWORDS = ("--proxy", "--shared-limit")

ERRORS_SUFFIX = ".errors.jsonl"
"""Added to the output's name for the file with the ids that have no lead."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where leads go: ``output`` is the name that the user gave, ``-`` for stdout, or ``None``.

    With a ``layout``, the output is created from the journal at the end. Otherwise the output is
    the journal, and its lines are cut down to ``selection`` if there is one.
    """

    output: str | None
    layout: Layout | None = None
    selection: Selection | None = None

    @property
    def journal(self) -> str | None:
        """The file that the run writes and that a later run resumes."""
        if self.output == STDIO:
            return None
        return self.output if self.layout is None else f"{self.output}.jsonl"

    @property
    def errors(self) -> str:
        """The file with the ids that have no lead."""
        return f"{self.output}{ERRORS_SUFFIX}"

    @property
    def make_line(self) -> Callable[[bytes], bytes]:
        """The function from the server's JSON to a line."""
        return to_line if self.selection is None else self.selection.cut

    def require_other_than(self, source: FileOfIds) -> None:
        """Check that the input is not one of the files that will be written.

        Raises:
            CommandError: it is.
        """
        if self.journal is None:
            if self.output == STDIO and source.is_file("/dev/fd/1"):
                raise CommandError("stdout is the input; choose another output.")
            return
        if source.is_file(self.journal) or source.is_file(str(self.output)):
            raise CommandError(f"{self.output} is the input; choose another output.")
        if source.is_file(query_path(self.journal)):
            raise CommandError(
                f"{query_path(self.journal)} belongs to the output; name another input."
            )
        if source.is_file(self.errors):
            raise CommandError(
                f"{self.errors} belongs to the output; name the file with all ids and add "
                "--retry-errors, or choose another output."
            )

    def require_other_than_stats(self, path: str | None, source: FileOfIds | None = None) -> None:
        """Check that statistics can be written to ``path``, and that no other file is there.

        Raises:
            CommandError: they cannot, or another file of the run is there.
        """
        if path is None:
            return
        if path == STDIO:
            raise CommandError("--stats-json needs a file name, because stdout is for leads.")
        check_writable(path)
        taken = any(Path(path).resolve() == Path(each).resolve() for each in self._files())
        is_stdout = self.output == STDIO and is_at(1, path)
        if taken or is_stdout or (source is not None and source.is_file(path)):
            raise CommandError(f"{path} is the input or the output; choose another --stats-json.")

    def _files(self) -> Sequence[str]:
        if self.journal is None:
            return ()
        return (str(self.output), self.journal, self.errors, query_path(self.journal))

    def open(self, past: Past, resume: Resume | None) -> Output:
        """Create the output, or resume it; ``past`` learns what is done.

        Raises:
            CommandError: it cannot be created or resumed.
        """
        resume = self._checked(past, resume)
        if self.journal is not None:
            return open_journal(self.journal, self.errors, past, resume)
        return Output() if self.output is None else Stdout()

    def read(self, past: Past, resume: Resume | None) -> Recovery | None:
        """Only read what is done; return ``None`` if the output is not a file.

        Raises:
            CommandError: as ``open``.
        """
        resume = self._checked(past, resume)
        if self.journal is None:
            return None
        return read_journal(self.journal, self.errors, past, resume)

    def _checked(self, past: Past, resume: Resume | None) -> Resume | None:
        """Check the names; return how to resume, with the keys of each line."""
        if self.journal is None:
            if resume is not None:
                done = "replaced" if resume.force else "resumed"
                raise CommandError(f"Only a file can be {done}; name it with -o.")
            return None
        assert self.output is not None
        if self.selection is not None and past.key not in self.selection.keys:
            raise CommandError(
                f"--fields leaves out {past.key}, so a later run could not see which {past.noun}s "
                f"are done; add {past.key} to it."
            )
        if os.path.isdir(self.output):  # noqa: PTH112 - Path refuses NUL characters
            raise CommandError(f"{self.output} is a folder; name a file in it with -o.")
        if self.output.endswith(ERRORS_SUFFIX):
            raise CommandError(f"{self.output} is named like an errors file; choose another name.")
        if self.layout is not None:
            self._check_derived(self.output, self.journal, resume)
        if resume is None or self.selection is None:
            return resume
        return replace(resume, keys=self.selection.keys)

    @staticmethod
    def _check_derived(output: str, journal: str, resume: Resume | None) -> None:
        require_no_link(output)
        if os.path.lexists(output) and resume is None:
            raise CommandError(f"{output} exists already; {ADD_RESUME}.")
        is_ours = os.path.lexists(journal) or (resume is not None and resume.force)
        if os.path.lexists(output) and not is_ours:
            raise CommandError(
                f"{output} exists without {journal}, from which it would be created; choose "
                "another name."
            )
        check_output(output, force=True)

    def derive(self, terminal: Terminal, *, quiet: bool) -> None:
        """Create the output from the journal, unless it is the journal itself.

        Report selected keys of the payload that no lead has.

        Raises:
            CommandError: it cannot be created.
        """
        if self.selection and (absent := self.selection.payload_keys.describe("lead of this run")):
            terminal.say(absent)
        if self.layout is not None and self.output is not None and self.journal is not None:
            convert_visibly(self.journal, self.output, self.layout, terminal, quiet=quiet)

    def how_to_resume(
        self, arguments: Sequence[str], words: Words = IDS, *, from_stdin: bool = False
    ) -> str | None:
        """Return a sentence with the command that resumes; ``None``: nothing can be resumed."""
        same = [f"the same {words.noun}s on stdin"] * from_stdin
        said = self._command_again(arguments, "--resume", same)
        return said and f"Resume{said}"

    def how_to_retry(
        self, arguments: Sequence[str], words: Words = IDS, *, from_stdin: bool = False
    ) -> str | None:
        """Return a sentence with the command that fetches failed ids again, or ``None``."""
        same = [f"the same {words.noun}s on stdin"] * from_stdin
        said = self._command_again(arguments, "--retry-errors", same)
        return said and f"If you want to, {words.retry}{said}"

    def _command_again(self, arguments: Sequence[str], option: str, same: list[str]) -> str | None:
        # A key that was passed as an argument by mistake must not be printed.
        if self.journal is None or any(map(holds_key, arguments)):
            return None
        shown, left_out = _without_passwords(arguments)
        others = ("--resume", "--force", option)
        command, *options = (each for each in shown if not each.startswith(others))
        line = " ".join([program(), *map(shell_quoted, (command, option, *options))])
        same += [f"the same {option}" for option in left_out]
        beside = f", with {' and '.join(same)}," if same else ""
        return f"{beside} with: {line}"


def _without_passwords(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Leave out options with a URL if a user and a password may be in it; return which, too."""
    kept: list[str] = []
    left_out: list[str] = []
    for each in arguments:
        before = kept[-1] if kept else ""
        option, _, value = each.partition("=")
        if before in _WITH_PASSWORDS and _may_have_password(each):
            left_out.append(kept.pop())
        elif option in _WITH_PASSWORDS and _may_have_password(value):
            left_out.append(option)
        else:
            kept.append(each)
    return kept, left_out


def _may_have_password(url: str) -> bool:
    return "@" in url or "?" in url


def target_of(output: str, options: OutputOptions | None) -> Target:
    """Make the target that the options describe; ``None``: the command has no such options.

    Raises:
        CommandError: the options contradict each other, the name does not show the format, or
            a package is missing.
    """
    chosen = options or OutputOptions()
    if output == STDIO and chosen.output_format is None:
        chosen = replace(chosen, output_format="jsonl")
    layout = layout_of(output, chosen, has_option=options is not None)
    if layout.is_derived:
        return Target(output, layout)
    return Target(output, selection=None if layout.names is None else Selection(layout.names))


def layout_of(output: str, options: OutputOptions, *, has_option: bool = True) -> Layout:
    """Make the layout that the options describe; ``has_option``: ``--format`` exists.

    Raises:
        CommandError: as ``target_of``.
    """
    if output.endswith(os.sep) or os.path.isdir(output):  # noqa: PTH112 - a long name is no error
        raise CommandError(f"{output} is a folder; name a file in it.")
    form = format_of_output(output, options.output_format, has_option=has_option)
    names = None if options.fields is None else parse_fields(options.fields)
    return make_layout(
        output,
        form,
        names,
        labels=options.labels,
        csv_raw=options.csv_raw,
        csv_bom=options.csv_bom,
    )


def convert_visibly(
    source: str,
    output: str,
    layout: Layout,
    terminal: Terminal,
    *,
    quiet: bool,
    force: bool = True,
) -> None:
    """Convert with a progress line, and report what was written and changed.

    Raises:
        CommandError: it fails.
    """
    with unwinding_on_signals(), counting(terminal, quiet=quiet) as on_progress:
        done = convert(source, output, layout, force=force, on_progress=on_progress)
    for sentence in done.warnings + ([] if quiet else done.remarks):
        terminal.say(sentence)
