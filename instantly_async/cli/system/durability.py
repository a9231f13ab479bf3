"""Durability: the strongest way that the system has to put a file, or a name, on the disk.

Everything that the command makes durable goes through here.
"""

import errno
import os
from pathlib import Path

_NOT_OFFERED = frozenset(
    {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOTTY}
)
"""What a file system answers that cannot do this at all; a lost write is another error."""

_NOT_FOR_FOLDERS = _NOT_OFFERED | {errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR}


def sync(fd: int) -> None:
    """Put the content of a file on the disk.

    On macOS ``fsync`` leaves it in the cache of the drive, and there is no ``fdatasync``: its
    manual (fsync(2)) says to use ``F_FULLFSYNC``, which not every file system has.

    Raises:
        OSError: some of it may be lost. The system reports that once, so do not try again.
    """
    if not _sync_fully(fd):
        getattr(os, "fdatasync", os.fsync)(fd)


def sync_folder(path: str | Path) -> None:
    """Put the names in the folder of ``path`` on the disk, as ``sync_open_folder``."""
    fd = open_folder(path)
    if fd is not None:
        try:
            sync_open_folder(fd)
        finally:
            os.close(fd)


def open_folder(path: str | Path) -> int | None:
    """Open the folder of ``path``, to be synced; ``None``: that is not allowed.

    Raises:
        OSError: it failed otherwise.
    """
    try:
        return os.open(Path(path).parent, os.O_RDONLY)
    except PermissionError:  # Windows opens no folder; and one may be only writable
        return None


def sync_open_folder(fd: int) -> None:
    """Put the names in a folder on the disk, if the file system can do that.

    Raises:
        OSError: a name may be lost.
    """
    try:
        if not _sync_fully(fd):
            os.fsync(fd)
    except OSError as error:
        if error.errno not in _NOT_FOR_FOLDERS:
            raise


def _sync_fully(fd: int) -> bool:
    """Have the drive empty its cache, as macOS can; return ``False`` if that is not offered."""
    try:
        import fcntl  # noqa: PLC0415 - Windows has no such module
    except ImportError:
        return False
    # Without an AttributeError: Python 3.13.0 cannot make one if the working directory is gone.
    command: int | None = getattr(fcntl, "F_FULLFSYNC", None)
    if command is None:
        return False
    try:
        fcntl.fcntl(fd, command)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        return False
    return True
