"""Runs a command in forks that end at each change of a file: ``python kill_points.py FOLDER …``.

``FOLDER`` has what is there before; each fork works in a copy of it. Prints what each leaves.
"""

import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from instantly_async.cli.app import run_command_line

MOST_POINTS = 100
ENOUGH = 100
"""Characters of each file that are printed: its first id, or a query."""


def end_before_change(left: int) -> None:
    """End this process with SIGKILL before it has changed a file once more than so often."""
    count = left

    def ending(change: Callable[..., Any], changes: Callable[..., bool]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            if changes(*arguments):
                if not count:
                    os.kill(os.getpid(), signal.SIGKILL)
                count -= 1
            return change(*arguments, **options)

        return call

    def always(*_: object) -> bool:
        return True

    def creates(_: object, flags: int, *__: object) -> bool:
        return bool(flags & os.O_CREAT)

    def is_file(fd: int, *_: object) -> bool:
        return stat.S_ISREG(os.fstat(fd).st_mode)

    for name in ("unlink", "replace", "rename", "ftruncate"):
        setattr(os, name, ending(getattr(os, name), always))
    os.open = ending(os.open, creates)
    os.write = ending(os.write, is_file)


def run_in_fork(command: Sequence[str], folder: Path, point: int) -> int:
    """Run the command; return its exit code, or minus the signal."""
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        end_before_change(point)
        os._exit(run_command_line(command))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(folder: Path, command: Sequence[str]) -> None:
    """Let a fork end at each point, until one comes to its own end."""
    left: list[dict[str, str]] = []
    for point in range(MOST_POINTS):
        copy = folder.with_name(f"{folder.name}-{point}")
        shutil.copytree(folder, copy)
        code = run_in_fork(command, copy, point)
        if code >= 0:
            break
        left.append({each.name: each.read_text()[:ENOUGH] for each in copy.iterdir()})
    json.dump({"left": left, "code": code}, sys.stdout)


if __name__ == "__main__":
    run_command_line(["get", str(UUID(int=1)), "--patience", "0.01"])  # imports what is left
    main(Path(sys.argv[1]), sys.argv[2:])
