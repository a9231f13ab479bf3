"""Exit codes, and the failures that they are for."""

import errno

from instantly_async import errors

ALL_FOUND = 0
USAGE = 2
"""The command line, the environment or the input has to be fixed."""

INCOMPLETE = 3
"""Finished; some leads were not found or failed."""

NOT_ALLOWED = 4
"""The API rejects the key, its plan or its scopes, or ignores a filter; or the CDN blocks."""

GAVE_UP = 5
"""The service, the network or the output made it impossible to continue."""

SIGNAL_BASE = 128
"""Added to a signal's number: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP."""

_NOT_ALLOWED = (
    errors.AuthenticationError,
    errors.PaymentRequiredError,
    errors.PermissionDeniedError,
    errors.EdgeBlockedError,
    errors.FilterIgnoredError,
)


class CommandError(Exception):
    """A foreseeable failure: one sentence with its remedy, and the exit ``code``."""

    code = USAGE


class InputError(CommandError):
    """The input cannot be read."""


class OutputError(CommandError):
    """The output can no longer be written."""

    code = GAVE_UP


class CheckError(CommandError):
    """The check got no answer that shows whether the key works."""

    code = GAVE_UP


class OutputClosedError(Exception):
    """The reader of the output has gone (``| head``), which is not a failure."""


def is_exhausted(error: OSError) -> bool:
    """Whether no more files can be opened, whatever their names are."""
    return error.errno in {errno.EMFILE, errno.ENFILE}


def sentence_for(error: OSError) -> str:
    """Return the sentence about a failure of the system that no part of the command expects."""
    if is_exhausted(error):
        return (
            f"This process may not open enough files ({error.strerror}); raise the limit with "
            "ulimit -n."
        )
    where = f" ({error.filename})" if error.filename else ""
    return (
        f"The system failed: {error.strerror or error}{where}; fix the cause, then repeat the "
        "command."
    )


FORESEEABLE = (CommandError, errors.InstantlyError)
"""Errors that are shown as a sentence, without a traceback."""


def code_of(error: CommandError | errors.InstantlyError) -> int:
    """Return the exit code of an error that ended the run."""
    if isinstance(error, CommandError):
        return error.code
    return NOT_ALLOWED if isinstance(error, _NOT_ALLOWED) else GAVE_UP
