"""The operating system: files, locks, and waiting for pipes and terminals.

Decides how a file is opened, created, locked and replaced. Must not know what is in it.
"""

from .compression import (
    COMPRESSIONS,
    Compression,
    compression_of,
    compression_of_name,
)
from .durability import open_folder, sync, sync_folder, sync_open_folder
from .files import (
    STDIO,
    check_writable,
    create,
    create_beside,
    is_at,
    lock,
    make_private,
    open_existing,
    open_to_read,
    reason_of,
    remove,
    replacement,
    require_no_link,
)
from .locks import require_locks, try_lock
from .polling import reading_until_signal, until_readable, until_writable
from .unpacking import DamageError, Unpacking

__all__ = [
    "COMPRESSIONS",
    "STDIO",
    "Compression",
    "DamageError",
    "Unpacking",
    "check_writable",
    "compression_of",
    "compression_of_name",
    "create",
    "create_beside",
    "is_at",
    "lock",
    "make_private",
    "open_existing",
    "open_folder",
    "open_to_read",
    "reading_until_signal",
    "reason_of",
    "remove",
    "replacement",
    "require_locks",
    "require_no_link",
    "sync",
    "sync_folder",
    "sync_open_folder",
    "try_lock",
    "until_readable",
    "until_writable",
]
