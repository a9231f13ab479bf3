"""Files that are whole or not there: locks, and replacing a file in one step."""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .exits import CommandError, OutputError

_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF})


def create(path: str | Path) -> int:
    """Make a new file, readable and writable by its owner only; return its descriptor.

    Raises:
        CommandError: it cannot be made, or something is there.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_APPEND
    try:
        return os.open(path, flags, 0o600)
    except FileExistsError:
        raise CommandError(f"{path} exists already; choose another name or remove it.") from None
    except FileNotFoundError:
        raise CommandError(f"There is no folder for {path}; make it, or choose another.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"{path} cannot be made: {reason}; choose another name.") from None


def lock(fd: int, path: str, *, shared: bool = False) -> None:
    """Lock the file against other runs until it is closed; do not wait.

    Raises:
        CommandError: another run has it, or the file system knows no locks.
    """
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(
            f"{path} is being written by another run; let it finish, or choose another name."
        ) from None
    except OSError as error:
        raise CommandError(
            f"{path} cannot be locked: {error.strerror}; choose a file on a local disk."
        ) from None


def sync_folder(path: str | Path) -> None:
    """Make the names in the folder of ``path`` durable, where the file system can."""
    fd = os.open(Path(path).resolve().parent, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def replacement(path: str) -> Iterator[BinaryIO]:
    """Give a file that gets its name when it is complete, on disk, and not before.

    Until then it stands in the same folder under a name of its own; an error removes it.

    Raises:
        CommandError: it cannot be made.
        OutputError: it cannot be written.
    """
    target = Path(path).resolve()
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.part")
    fd = create(temporary)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
            yield file
            file.flush()
            os.fsync(fd)
            temporary.replace(target)
        sync_folder(target)
    except OSError as error:
        raise OutputError(
            f"Writing to {path} failed: {error.strerror or error}; nothing is changed."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
