"""Where figures come from: the machine, and the versions of all that took part."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "instantly-async",
    "aiohttp",
    "msgspec",
    "aiolimiter",
    "uvloop",
    "instantlyai",
    "httpx",
    "pydantic",
    "niquests",
    "orjson",
    "pyarrow",
)


def versions() -> dict[str, str]:
    """Return the version of Python and of each package that is installed."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> str:
    """Return cores, processor, and system in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.machine()}"
    return f"{cores} cores, {_processor() or platform.processor() or 'unknown'}, {system}"


def _processor() -> str | None:
    """Return the name of the processor where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), None)
