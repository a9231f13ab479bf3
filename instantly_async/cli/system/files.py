"""Files: open, create, lock, replace in one step; and whether a path may be written.

Each failure becomes one sentence with its remedy. Files that are created belong to their owner
only (mode 0600).
"""

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from instantly_async.cli.exits import CommandError, InputError, OutputError

from .durability import sync, sync_folder
from .locks import require_locks, try_lock, wait_for_lock

STDIO = "-"
"""Means stdin or stdout instead of a file."""

_BINARY: int = getattr(os, "O_BINARY", 0)  # Windows changes line ends without it


def reason_of(error: OSError | ValueError | OverflowError) -> str:
    """Return the system's description of an error, such as *Permission denied*."""
    return getattr(error, "strerror", None) or str(error)


def open_to_read(path: str, holding: str) -> int:
    """Open a file, pipe or device to read; ``holding`` says what it should hold.

    Raises:
        InputError: it cannot be opened.
    """
    try:
        fd = os.open(path, os.O_RDONLY | _BINARY)
    except FileNotFoundError:
        raise InputError(f"There is no file {path}; check the name.") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be opened: {reason_of(error)}; choose another file."
        ) from None
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise InputError(f"{path} is a folder; name a file with {holding} in it.")
    return fd


def open_existing(path: str, flags: int) -> int | None:
    """Open a regular file of this user; return ``None`` if there is none.

    In a folder that others may write to, such as ``/tmp``, a file or link of theirs may be there,
    to get leads, or to have them written into another file of this user.

    Raises:
        CommandError: it cannot be opened, is something else, belongs to another user, or has a
            second name; or this system has no locks.
    """
    require_locks(path)
    try:  # a named pipe would wait for its other end
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _not_to_be_opened(path, error) from None
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        problem = _not_regular(path)
    elif found.st_uid != os.geteuid():
        problem = CommandError(
            f"{path} belongs to another user; run the command as that user, or resume a copy."
        )
    elif found.st_nlink > 1:
        problem = CommandError(
            f"{path} has a second name (a hard link), whose file would change too; resume a copy."
        )
    else:
        return fd
    os.close(fd)
    raise problem


def require_no_link(path: str) -> None:
    """Check that the path is not a symbolic link.

    Raises:
        CommandError: it is.
    """
    if os.path.islink(path):  # noqa: PTH114 - a path that cannot be is no error here
        raise CommandError(f"{path} is a symbolic link; name the file that it points to.")


def _not_to_be_opened(path: str, error: OSError | ValueError) -> CommandError:
    with contextlib.suppress(OSError, ValueError):
        require_no_link(path)
        if Path(path).is_dir():
            return _not_regular(path)
    return CommandError(f"{path} cannot be opened: {reason_of(error)}; choose another name.")


def make_private(fd: int) -> bool:
    """Let only the owner read and write a file, as if it were new; return whether others could.

    On a file system without modes, which would not keep those of a new file either, nothing
    changes.
    """
    mode = stat.S_IMODE(os.fstat(fd).st_mode)
    if not mode & 0o077:
        return False
    with contextlib.suppress(OSError):
        os.fchmod(fd, mode & 0o700)
    return not os.fstat(fd).st_mode & 0o077


def create(path: str | Path, name: str | None = None) -> int:
    """Create a file to read and append to, for its owner only; return its descriptor.

    ``name`` is used in messages; ``None``: the path.

    Raises:
        CommandError: it cannot be created, or something is there; or this system has no locks.
    """
    require_locks(str(name or path))
    # Never through a link, which could lead to somebody else's file.
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_APPEND
    try:
        fd = os.open(path, flags, 0o600)
    except FileExistsError:
        raise CommandError(f"{path} exists already; choose another name or remove it.") from None
    except FileNotFoundError:
        raise _no_folder(name or path) from None
    except (OSError, ValueError) as error:
        raise _not_creatable(name or path, error) from None
    with contextlib.suppress(OSError):  # a file system without modes
        os.fchmod(fd, 0o600)  # a umask may have taken from the owner what a later run needs
    return fd


def check_writable(path: str) -> os.stat_result | None:
    """Check that a file can be created or replaced; return the one that is there, if any.

    A symbolic link is refused.

    Raises:
        CommandError: it cannot, or this system has no locks.
    """
    require_locks(path)
    try:
        folder = Path(path).parent
        if not folder.is_dir() or _is_gone(folder):
            raise _no_folder(path)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise CommandError(f"The folder of {path} is not writable; choose another folder.")
        found = Path(path).lstat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _not_creatable(path, error) from None
    if not stat.S_ISREG(found.st_mode):
        raise _not_regular(path)
    return found


def _is_gone(folder: Path) -> bool:
    """Whether a relative path leads nowhere, because the working directory was removed."""
    try:
        folder.resolve()
    except FileNotFoundError:
        return True
    return False


def _no_folder(path: str | Path) -> CommandError:
    return CommandError(f"There is no folder for {path}; create it, or choose another.")


def _not_creatable(path: str | Path, error: OSError | ValueError) -> CommandError:
    return CommandError(f"{path} cannot be created: {reason_of(error)}; choose another name.")


def _not_regular(path: str) -> CommandError:
    if Path(path).is_dir():
        return CommandError(f"{path} is a folder; name a file in it.")
    return CommandError(f"{path} is not a regular file; choose another name.")


def is_at(fd: int, path: str) -> bool:
    """Whether the open file is the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(fd), Path(path).stat())
    except (OSError, ValueError):
        return False


def remove(fd: int, path: str) -> None:
    """Remove an open, locked file, unless its name belongs to another file by now."""
    if is_at(fd, path):
        with contextlib.suppress(OSError):
            Path(path).unlink()


def lock(fd: int, path: str, *, shared: bool = False) -> None:
    """Lock a file against other runs until it is closed; do not wait.

    Raises:
        CommandError: another run has locked it, or the file system has no locks.
    """
    try:
        has_lock = try_lock(fd, shared=shared)
    except OSError as error:
        raise CommandError(
            f"{path} cannot be locked: {reason_of(error)}; choose a file on a local disk."
        ) from None
    if not has_lock:
        raise CommandError(
            f"{path} is being written by another run; let it finish, or choose another name."
        )


def create_beside(path: str) -> tuple[int, Path]:
    """Create a file with a temporary name in the same folder; return its descriptor and name.

    It is locked. Temporary files that killed runs have left are removed.

    Raises:
        CommandError: it cannot be created.
    """
    temporary = _temporary(path)
    return _create_locked(temporary, path), temporary


@contextlib.contextmanager
def replacement(path: str) -> Iterator[BinaryIO]:
    """Yield a file that gets its name once it is complete and on disk.

    Until then it has a temporary name in the same folder; an error removes it. Temporary files
    that killed runs have left are removed too. A link that has this name is replaced, and what it
    points to is left alone.

    Raises:
        CommandError: it cannot be created.
        OutputError: it cannot be written.
    """
    temporary = _temporary(path)
    target = temporary.with_name(Path(path).name)
    try:  # from before the file exists, because a signal may come at any moment
        fd = _create_locked(temporary, path)
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
            yield file
            file.flush()
            sync(fd)
            temporary.replace(target)
    except OSError as error:
        raise OutputError(
            f"Writing to {path} failed: {reason_of(error)}; nothing was changed, so fix the cause "
            "and repeat the command."
        ) from None
    finally:
        with contextlib.suppress(OSError):  # it must not hide why the file could not be created
            temporary.unlink()
    try:
        sync_folder(target)
    except OSError as error:
        raise OutputError(
            f"{path} was written, but a power failure may lose it: {reason_of(error)}; check the "
            "disk."
        ) from None


def _temporary(path: str) -> Path:
    """Return a new temporary name; remove the files that had one and that no run writes."""
    target = Path(path).parent.resolve() / Path(path).name
    _remove_leftovers(target)
    return target.with_name(f"{_prefix(target)}{secrets.token_hex(8)}.part")


def _prefix(target: Path) -> str:
    return f".{target.name[:50]}."  # a name may have 255 bytes, a character up to 4


def _create_locked(temporary: Path, name: str) -> int:
    """Create a temporary file, locked, so that other runs see that it is in use."""
    while True:
        fd = create(temporary, name)
        wait_for_lock(fd)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)  # another run locked it first, and removed it as a leftover


def _remove_leftovers(target: Path) -> None:
    """Remove temporary files of this target that no run writes any more."""
    own = re.compile(re.escape(_prefix(target)) + r"[0-9a-f]{16}\.part")
    with contextlib.suppress(OSError):  # creating a file will report it
        for each in target.parent.iterdir():
            if own.fullmatch(each.name):
                _remove_if_unlocked(each)


def _remove_if_unlocked(path: Path) -> None:
    with contextlib.suppress(OSError):  # gone, or not ours
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            if try_lock(fd) and is_at(fd, str(path)):
                path.unlink()
        finally:
            os.close(fd)
