"""Imported before aiohttp, which cannot be imported if ``SSLKEYLOGFILE`` cannot be written.

Browsers and curl ignore such a file, which is for debugging only and is often set for all programs
of a machine; so does this package, with a warning.
"""

import logging
import os
import sys
from importlib import import_module

VARIABLE = "SSLKEYLOGFILE"
"""Environment variable with a file for the keys of TLS connections."""

_log = logging.getLogger(__name__)


def import_aiohttp() -> None:
    """Import aiohttp without the variable if its file cannot be written."""
    path = os.environ.get(VARIABLE)
    if not path or "aiohttp" in sys.modules or (reason := _why_not_writable(path)) is None:
        return
    _log.warning(
        "%s is ignored, because %s cannot be written: %s",
        VARIABLE,
        path,
        reason,
        extra={"path": path, "reason": reason},
    )
    del os.environ[VARIABLE]
    try:
        import_module("aiohttp")
    finally:
        os.environ[VARIABLE] = path


def _why_not_writable(path: str) -> str | None:
    # A named pipe without a reader would block.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
    try:
        os.close(os.open(path, flags, 0o600))
    except OSError as error:
        return error.strerror or str(error)
    return None


import_aiohttp()
