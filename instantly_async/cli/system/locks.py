"""Locks, which keep two runs from writing one file. Windows has none of this kind."""

import contextlib

from instantly_async.cli.exits import CommandError


def require_locks(path: str) -> None:
    """Check that this system has the locks without which no file is written.

    Raises:
        CommandError: it has not, like Windows.
    """
    try:
        import fcntl  # noqa: F401, PLC0415 - Windows has no such module
    except ImportError:
        raise CommandError(
            f"{path} cannot be written, because this system (Windows) lacks the file locks for "
            "it; run the command in WSL, or use the library from Python."
        ) from None


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Lock a file until it is closed; return ``False`` if another run has locked it.

    Raises:
        OSError: the file system has no locks.
    """
    import fcntl  # noqa: PLC0415 - Windows has no such module

    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(fd: int) -> None:
    """Lock a file that other runs lock only for a moment, if the file system has locks."""
    import fcntl  # noqa: PLC0415 - Windows has no such module

    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX)
