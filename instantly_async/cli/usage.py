"""A wrong command line as one sentence. What may be a key or a password is left out."""

import re

from cyclopts import CycloptsError, UnknownOptionError, UnusedCliTokensError

from .exits import CommandError
from .system import STDIO

_SEE = 'See "instantly-async --help".'


def sentence_of(error: CycloptsError) -> str:
    """Return what is wrong with the command line."""
    # A key that was passed as an argument must not be shown: neither after "=" nor alone.
    text = " ".join(str(error).split())
    if isinstance(error, UnusedCliTokensError):
        text = "There are too many arguments."
    elif isinstance(error, UnknownOptionError):
        text = re.sub(r"=\S+", "", text)
    return f"{text} {_SEE}"


def path_of(argument: str) -> str:
    """Return a file's name.

    Raises:
        CommandError: it is an option that does not exist.
    """
    if argument.startswith("-") and argument != STDIO:
        option = argument.partition("=")[0]  # as above
        raise CommandError(f"Unknown option: {option}. {_SEE}")
    return argument
