"""The command ``instantly-async``: options, files, terminal, exit codes.

It needs the extra ``cli``; if that is missing, one sentence says so. So nothing is imported before
``main`` runs.
"""

import contextlib
import os
import sys

_EXTRA = frozenset({"cyclopts", "rich"})
_LAST_STANDARD_DESCRIPTOR = 2  # stderr


def main() -> int:
    """Run the command line in ``sys.argv`` and return its exit code."""
    _take_standard_descriptors()
    if sys.stderr is None:  # 2>&-, or an application without a console
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - kept until the end
    try:
        from .app import run_command_line  # noqa: PLC0415 - cyclopts and rich may be missing

        return run_command_line(sys.argv[1:])
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(
            "The command needs the extra \"cli\": pip install 'instantly-async[cli]' "
            f"(no module {error.name}).\n"
        )
        return 2
    except OSError as error:  # the disk of stdout is full, or there are too few descriptors
        return _failed(error)
    except KeyboardInterrupt:  # Ctrl-C outside of a run, such as during a conversion
        return 130


def _failed(error: OSError) -> int:
    from . import exits  # noqa: PLC0415 - as above
    from .terminal import Terminal, discard  # noqa: PLC0415 - as above

    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # Python would flush it again at exit
        discard(1)
    Terminal().say(exits.sentence_for(error))
    return exits.GAVE_UP


def _take_standard_descriptors() -> None:
    """Have the null device in the place of standard streams that are closed (``>&-``).

    Otherwise the next file or socket gets their descriptor: a message would be written into it, and
    uvloop ends the process when it closes one.
    """
    with contextlib.suppress(OSError):  # there may be no null device
        while (fd := os.open(os.devnull, os.O_RDWR)) <= _LAST_STANDARD_DESCRIPTOR:
            pass
        os.close(fd)
