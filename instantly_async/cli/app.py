"""The command line: finds the command, runs it, and turns errors into sentences."""

import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from instantly_async import __version__
from instantly_async.settings import API_KEY_VARIABLE, BASE_URL_VARIABLE

from . import exits
from .commands import COMMANDS, require_stdout
from .epilogues import epilogue_of, first_steps
from .exits import CommandError
from .groups import ABOUT, OPTIONS, SHELL
from .shells import Shell, with_files
from .terminal import QuietConsole, Terminal, discard
from .usage import CommandLine, StrayOptionError, require_no_key, without_private

app = App(
    name="instantly-async",
    help=(
        "Fetch Instantly leads by id, email or campaign, within the rate limits.\n\n"
        f"The API key is read from {API_KEY_VARIABLE}, never from an argument.\n"
        f"{BASE_URL_VARIABLE} selects a server other than Instantly's."
    ),
    version=__version__,
    help_format="plaintext",
    help_formatter="plain",
    help_epilogue=epilogue_of(""),
    group_parameters=OPTIONS,
)
app["--help"].group = app["--version"].group = ABOUT

for group, commands in COMMANDS.items():
    for each in commands:
        app.command(each, group=group, help_epilogue=epilogue_of(each.__name__))


ShownShell = Annotated[Shell, Parameter(show_choices=False)]


@app.command(group=SHELL, help_epilogue=epilogue_of("completion"))
def completion(shell: ShownShell, /) -> None:
    """Print a completion script for a shell.

    Args:
        shell: bash, zsh or fish.
    """
    require_stdout().write(with_files(app.generate_completion(shell=shell), shell))


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code. Foreseeable failures become a sentence.

    Raises:
        OSError: stdout cannot be written, or there are too few descriptors.
    """
    if not arguments:
        Terminal().show(first_steps())
        return exits.USAGE
    if arguments[0] == "help":
        arguments = [*arguments[1:], "--help"]
    try:
        require_no_key(arguments)
        code = _run(arguments)
    except (CycloptsError, StrayOptionError) as error:
        line = CommandLine(arguments, options_by_command())
        Terminal().say(line.sentence_of(error))
        return exits.USAGE
    except CommandError as error:
        if isinstance(error.__context__, OSError) and exits.is_exhausted(error.__context__):
            raise error.__context__ from None  # no other name would help
        Terminal().say(without_private(str(error), arguments))
        return error.code
    except BrokenPipeError:  # ``ids | head -1``
        discard(1)
        return exits.ALL_FOUND
    return code


def _run(arguments: Sequence[str]) -> int:
    command, bound, unparsed = app.parse_args(
        arguments, console=QuietConsole(), exit_on_error=False, print_error=False
    )
    if "arguments" in unparsed:  # of type Arguments
        bound.arguments["arguments"] = arguments
    code = command(*bound.args, **bound.kwargs)
    if sys.stdout is not None:
        sys.stdout.flush()
    return code or exits.ALL_FOUND


def options_by_command() -> dict[str, set[str]]:
    """Return the names of the options of each command."""
    return {
        name: {
            each for argument in app[name].assemble_argument_collection() for each in argument.names
        }
        for name in app
        if not name.startswith("-")
    }
