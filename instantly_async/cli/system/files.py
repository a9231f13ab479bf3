"""Files that are whole or not there: locks, and replacing a file in one step."""

import contextlib
import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from instantly_async.cli.exits import CommandError, OutputError

_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF})


def create(path: str | Path, name: str | None = None) -> int:
    """Make a new file, readable and writable by its owner only; return its descriptor.

    ``name`` is what messages call it, ``None``: its path.

    Raises:
        CommandError: it cannot be made, or something is there.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_APPEND
    try:
        return os.open(path, flags, 0o600)
    except FileExistsError:
        raise CommandError(f"{path} exists already; choose another name or remove it.") from None
    except FileNotFoundError:
        raise CommandError(
            f"There is no folder for {name or path}; make it, or choose another."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(
            f"{name or path} cannot be made: {reason}; choose another name."
        ) from None


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
    """Make the names in the folder of ``path`` durable, where that can be done."""
    try:
        fd = os.open(Path(path).resolve().parent, os.O_RDONLY)
    except PermissionError:
        return
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
    What killed runs have left there of the same file is removed too.

    Raises:
        CommandError: it cannot be made.
        OutputError: it cannot be written.
    """
    target = Path(path).resolve()
    _remove_leftovers(target)
    temporary, fd = _make_temporary(target, path)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
            yield file
            file.flush()
            os.fsync(fd)
            temporary.replace(target)
    except OSError as error:
        raise OutputError(
            f"Writing to {path} failed: {error.strerror or error}; nothing is changed."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    try:
        sync_folder(target)
    except OSError as error:
        raise OutputError(
            f"{path} is written, but may not outlast a power failure: {error.strerror}; look "
            "after the disk."
        ) from None


def _prefix(target: Path) -> str:
    return f".{target.name[:50]}."  # a name may have 255 bytes, a character up to 4


def _make_temporary(target: Path, name: str) -> tuple[Path, int]:
    """Make a file beside the target, locked, so that others see that it is in use."""
    while True:
        temporary = target.with_name(f"{_prefix(target)}{secrets.token_hex(8)}.part")
        fd = create(temporary, name)
        with contextlib.suppress(OSError):  # without locks nobody takes it for a leftover
            fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return temporary, fd
        os.close(fd)  # another run was quicker to lock it, as a leftover


def _remove_leftovers(target: Path) -> None:
    """Remove the temporary files of this target that nobody writes any more."""
    own = re.compile(re.escape(_prefix(target)) + r"[0-9a-f]{16}\.part")
    with contextlib.suppress(OSError):  # making a file will tell
        for each in target.parent.iterdir():
            if own.fullmatch(each.name):
                _remove_if_unlocked(each)


def _remove_if_unlocked(path: Path) -> None:
    with contextlib.suppress(OSError):  # in use, gone, or somebody else's
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(fd)
