"""What the signatures of several commands share, and how each of them begins."""

import sys
from collections.abc import Sequence
from typing import Annotated, TextIO

from cyclopts import Parameter, validators

from instantly_async.cli.exits import CommandError
from instantly_async.cli.groups import INPUT, OUTPUT, RESUME
from instantly_async.cli.input import InputFormat
from instantly_async.cli.options import Connection, OutputOptions, ResumeOptions
from instantly_async.cli.records import Noun
from instantly_async.cli.terminal import LogLevel, Terminal, log_to
from instantly_async.settings import Strategy

File = Annotated[str, Parameter(allow_leading_hyphen=True)]  # "-" is not an option
OptionalFile = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
OutputFile = Annotated[
    str, Parameter(name=["--output", "-o"], allow_leading_hyphen=True, group=OUTPUT)
]
OptionalOutputFile = Annotated[
    str | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True, group=OUTPUT)
]
StatsFile = Annotated[str | None, Parameter(allow_leading_hyphen=True, group=OUTPUT)]
By = Annotated[Noun, Parameter(name="--by", show_choices=False, group=INPUT)]
Column = Annotated[str | None, Parameter(group=INPUT)]
LimitCount = Annotated[
    int | None, Parameter(name="--limit", validator=validators.Number(gte=1), group=INPUT)
]
AllowEmpty = Annotated[bool, Parameter(negative=(), show_default=False, group=INPUT)]
Force = Annotated[bool, Parameter(negative=(), show_default=False, group=OUTPUT)]
ResumeFlag = Annotated[bool, Parameter(negative=(), show_default=False, group=RESUME)]
Count = Annotated[int, Parameter(validator=validators.Number(gte=1))]
ShownStrategy = Annotated[Strategy, Parameter(show_choices=False)]
ShownInputFormat = Annotated[InputFormat, Parameter(show_choices=False, group=INPUT)]
Arguments = Annotated[Sequence[str], Parameter(parse=False)]  # the whole command line

DEFAULT_CONNECTION = Connection()
DEFAULT_OUTPUT = OutputOptions()
DEFAULT_RESUME = ResumeOptions()


def start(log_level: LogLevel) -> Terminal:
    """Return the terminal; from now on log records are printed there."""
    terminal = Terminal()
    log_to(terminal, log_level)
    return terminal


def require_stdout() -> TextIO:
    """Return stdout.

    Raises:
        CommandError: it is closed.
    """
    if sys.stdout is None:
        raise CommandError("stdout is closed; run the command with stdout open.")
    return sys.stdout
