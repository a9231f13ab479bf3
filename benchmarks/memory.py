"""The peak memory of this process."""

import re
import resource
import sys
from pathlib import Path

PER_MIB = 1024 * 1024 if sys.platform == "darwin" else 1024
"""``getrusage`` counts bytes on macOS, and KiB elsewhere."""


def peak_mib() -> float:
    """Return the peak in MiB.

    Linux knows it for each program; ``getrusage`` includes the one that has started this one.
    """
    status = Path("/proc/self/status")
    kib = status.exists() and re.search(r"VmHWM:\s*(\d+)", status.read_text(encoding="ascii"))
    if kib:
        return int(kib[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PER_MIB
