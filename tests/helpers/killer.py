"""Runs the command again and again, and kills it: ``python killer.py FOLDER KILLS [COMMAND…]``.

Without a command, it is ``fetch`` by either strategy, in turn.

The package is imported once; each run is a fork, which starts in a few milliseconds. Half
of the kills come from outside at a random instant, half from within a write, of which only
the first bytes go: the line is torn.
"""

import json
import os
import random
import signal
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from uuid import UUID

from instantly_async.cli.app import run_command_line

LONGEST_S = 0.06
"""A run is killed before this: after start, recovery, a page or some leads."""

MOST_LINES = 12
"""A run that kills itself does so before it has written more lines than this."""


def tear_a_line(lines: int, share: float) -> None:
    """Write this many lines whole, then a part of one, and end."""
    real_write = os.write
    left = lines

    def write(fd: int, data: bytes) -> int:
        nonlocal left
        if fd <= 2 or not stat.S_ISREG(os.fstat(fd).st_mode):
            return real_write(fd, data)
        left -= 1
        if left >= 0:
            return real_write(fd, data)
        real_write(fd, data[: int(share * len(data))])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")

    os.write = write  # type: ignore[assignment]  # only bytes are written


def run_in_fork(arguments: Sequence[str], log: Path, kill: Literal["write", "time"] | None) -> int:
    """Run the command until it is killed or ends; return its exit code, or minus the signal."""
    lines, share, delay_s = RNG.randrange(MOST_LINES), RNG.random(), RNG.uniform(0, LONGEST_S)
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
        if kill == "write":
            tear_a_line(lines, share)
        os._exit(run_command_line(arguments))
    if kill == "time":
        time.sleep(delay_s)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def ends_torn(path: Path) -> bool:
    """Whether a file ends within a line."""
    return path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0


def job(folder: Path, number: int, command: Sequence[str]) -> tuple[str, list[str]]:
    """Return the kind of a job, and its command without an output."""
    if command:
        return command[0], [*command]
    strategy = "list" if number % 2 else "get"
    return strategy, ["fetch", str(folder / strategy), "--strategy", strategy]


def main(folder: Path, enough: int, given: Sequence[str]) -> None:
    """Do jobs one after another until there were enough kills; print what happened."""
    kills = torn = 0
    outputs: list[tuple[str, str]] = []
    codes: list[int] = []
    while kills < enough:
        output = folder / f"leads-{len(outputs)}.jsonl"
        kind, command = job(folder, len(outputs), given)
        outputs.append((kind, str(output)))
        command += ["-o", str(output), "--resume", "--quiet"]
        code = -signal.SIGKILL
        while code < 0:
            how: Literal["write", "time"] = "write" if kills % 2 else "time"
            code = run_in_fork(command, folder / "log", how if kills < enough else None)
            kills += code < 0
            torn += code < 0 and ends_torn(output)
        codes.append(code)
    json.dump({"kills": kills, "torn": torn, "outputs": outputs, "codes": codes}, sys.stdout)


RNG = random.Random(31)

if __name__ == "__main__":
    run_command_line(["get", str(UUID(int=1)), "--patience", "0.01"])  # imports what is left
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
