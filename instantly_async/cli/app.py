"""The command line: finds the command, runs it, and turns errors into sentences."""

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from instantly_async import __version__
from instantly_async.settings import API_KEY_VARIABLE, BASE_URL_VARIABLE

from . import exits
from .commands import COMMANDS
from .exits import CommandError
from .terminal import QuietConsole, Terminal, discard
from .usage import sentence_of

app = App(
    name="instantly-async",
    help=(
        "Fetch Instantly leads by id, within the workspace's rate limits.\n\n"
        f"The API key is read from {API_KEY_VARIABLE}, never from an argument.\n"
        f"{BASE_URL_VARIABLE} selects a server other than Instantly's."
    ),
    version=__version__,
    help_format="plaintext",
    help_formatter="plain",
)

for each in COMMANDS:
    app.command(each)


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code. Foreseeable failures become a sentence."""
    try:
        command, bound, unparsed = app.parse_args(
            arguments, console=QuietConsole(), exit_on_error=False, print_error=False
        )
        if "arguments" in unparsed:  # of type Arguments
            bound.arguments["arguments"] = arguments
        code = command(*bound.args, **bound.kwargs)
        if sys.stdout is not None:
            sys.stdout.flush()
    except (CommandError, CycloptsError) as error:
        Terminal().say(sentence_of(error) if isinstance(error, CycloptsError) else str(error))
        return error.code if isinstance(error, CommandError) else exits.USAGE
    except BrokenPipeError:  # ``ids | head -1``
        discard(1)
        return exits.ALL_FOUND
    return code or exits.ALL_FOUND
