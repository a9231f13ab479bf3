"""The command ``instantly-async``. Needs the extra ``cli``; without it, one sentence says so.

Neither Rich nor cyclopts is imported before ``main`` runs.
"""

import os
import sys

_EXTRA = frozenset({"cyclopts", "rich"})
_MISSING = (
    "The command needs the extra \"cli\": pip install 'instantly-async[cli]' (no module {name})."
)


def main() -> int:
    """Run the command line in ``sys.argv`` and return its exit code."""
    if sys.stderr is None:  # 2>&-: what is said goes nowhere, never into a file or a socket
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - kept until the end
    try:
        from .app import run_command_line  # noqa: PLC0415 - cyclopts and rich may be missing

        return run_command_line(sys.argv[1:])
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(_MISSING.format(name=error.name) + "\n")
        return 2
    except KeyboardInterrupt:  # before the run began, or the second one
        return 130
