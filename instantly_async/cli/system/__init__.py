"""The operating system: files, locks, and waiting for pipes and terminals.

Decides how a file is opened, created, locked and replaced. Must not know what is in it.
"""

from .files import (
    STDIO,
    check_writable,
    create,
    is_at,
    lock,
    make_private,
    open_existing,
    open_to_read,
    reason_of,
    remove,
    replacement,
    sync_folder,
    try_lock,
)
from .polling import reading_until_signal, until_readable, until_writable

__all__ = [
    "STDIO",
    "check_writable",
    "create",
    "is_at",
    "lock",
    "make_private",
    "open_existing",
    "open_to_read",
    "reading_until_signal",
    "reason_of",
    "remove",
    "replacement",
    "sync_folder",
    "try_lock",
    "until_readable",
    "until_writable",
]
