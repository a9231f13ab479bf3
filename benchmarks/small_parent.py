"""Runs a program, and prints what it used as JSON. Its arguments are the program and its own.

This process must stay small: until a program begins, its peak memory is that of what starts it.
"""

import json
import os
import sys
import time


def main() -> None:
    """Wait for the program. Its stdout goes nowhere."""
    began = time.perf_counter()
    nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=nowhere)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    used = {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
    }
    print(json.dumps(used))


if __name__ == "__main__":
    main()
