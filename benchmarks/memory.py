"""The most memory that this process had."""

import re
import resource
from pathlib import Path

KIB_PER_MIB = 1024


def peak_mib() -> float:
    """Return it in MiB. Linux has it per program; ``getrusage`` counts what has started it, too."""
    status = Path("/proc/self/status")
    kib = status.exists() and re.search(r"VmHWM:\s*(\d+)", status.read_text(encoding="ascii"))
    return (
        int(kib[1]) if kib else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ) / KIB_PER_MIB
