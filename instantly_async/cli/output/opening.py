"""Opens a journal: locks and checks what is there, reads what is done, and repairs it."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from instantly_async.cli.exits import CommandError, OutputError
from instantly_async.cli.system import (
    create,
    is_at,
    lock,
    make_private,
    open_existing,
    reason_of,
    remove,
    require_no_link,
    sync,
)

from .journal import Journal
from .lines import LineWriter
from .past import Past
from .query import QueryFile, query_path
from .readback import Readback
from .recovery import Recovery, Resume, repair
from .replaced import Replaced
from .reserve import Reserve

ADD_RESUME = "add --resume to continue it, --force to replace it, or choose another name"
"""The remedy if the output exists."""


def open_journal(path: str, errors_path: str, past: Past, resume: Resume | None = None) -> Journal:
    """Create the output file, or resume one; ``past`` learns what is done.

    Raises:
        CommandError: it cannot be created, exists though ``resume`` is ``None``, is used by
            another run, holds leads of another query, or is not a journal.
        OutputError: it cannot be read back and repaired.
    """
    if resume is None:
        _require_nothing_there(path, errors_path)
    recovery = Recovery(past, resume or Resume())
    if resume is not None and resume.force:
        return _open_in_place(path, errors_path, recovery)
    with contextlib.ExitStack() as on_error:
        leads, is_new = _open_locked(path, may_exist=resume is not None)
        on_error.callback(leads.close)
        # Removed before it is closed, because the lock ends then.
        if is_new:
            on_error.callback(lambda: remove(leads.fd, path))
        query_file = QueryFile(path, past.query)
        _require_same_query(query_file, path, errors_path)
        _take_over(leads, recovery, recovery.read_leads)
        if not is_new:
            with _readable(path):
                sync(leads.fd)  # a run that was killed may not have done it
        errors = _open_errors(errors_path)
        if errors is not None:
            on_error.callback(errors.close)
            _take_over(errors, recovery, recovery.read_errors)
        with _readable(query_file.path):
            if not query_file.is_current:
                query_file.put()
                on_error.callback(query_file.remove)
        reserve = Reserve(path, leads.fd)
        on_error.pop_all()
    return Journal(
        leads, errors, errors_path, recovery, query_file=query_file, reserve=reserve, is_new=is_new
    )


def _open_in_place(path: str, errors_path: str, recovery: Recovery) -> Journal:
    """Create an output that will replace the one that exists, if there is one."""
    with contextlib.ExitStack() as on_error:
        replaced = Replaced(path, errors_path)
        on_error.callback(replaced.stay)
        query_file = QueryFile(path, recovery.past.query)
        leads = LineWriter(replaced.create(), path)
        on_error.callback(leads.close)
        reserve = Reserve(path, leads.fd)
        on_error.pop_all()
    return Journal(
        leads,
        None,
        errors_path,
        recovery,
        query_file=query_file,
        reserve=reserve,
        is_new=True,
        replaced=replaced,
    )


def read_journal(path: str, errors_path: str, past: Past, resume: Resume | None = None) -> Recovery:
    """Read an output as ``open_journal`` does, but change nothing.

    Raises:
        CommandError: as there.
    """
    if resume is None:
        _require_nothing_there(path, errors_path)
    recovery, query_file = Recovery(past, resume or Resume()), QueryFile(path, past.query)
    if resume is not None and resume.force:
        Replaced(path, errors_path).stay()
        return recovery
    _require_same_query(query_file, path, errors_path)
    fd = open_existing(path, os.O_RDONLY)
    if fd is not None:
        with _closing(fd), _readable(path):
            lock(fd, path, shared=True)
            recovery.read_leads(fd, path)
    fd = open_existing(errors_path, os.O_RDONLY)
    if fd is not None:
        with _closing(fd), _readable(errors_path):
            recovery.read_errors(fd, errors_path)
    return recovery


def _open_locked(path: str, *, may_exist: bool) -> tuple[LineWriter, bool]:
    """Open the output, or create it; return whether it is new.

    If another run has locked it meanwhile it belongs to that run, even if it was created here.
    """
    fd = open_existing(path, os.O_RDWR | os.O_APPEND) if may_exist else None
    is_new = fd is None
    if fd is None:
        fd = create(path)
    leads = LineWriter(fd, path)
    with contextlib.ExitStack() as on_error:
        on_error.callback(leads.close)
        lock(fd, path)
        if not is_at(fd, path):
            raise CommandError(f"{path} was changed by another run; start again.")
        on_error.pop_all()
    return leads, is_new


def _take_over(
    writer: LineWriter, recovery: Recovery, read: Callable[[int, str], Readback]
) -> None:
    """Read what earlier runs have written; then make the file whole and private."""
    with _readable(writer.name):
        found = read(writer.fd, writer.name)
        if make_private(writer.fd):
            recovery.remark(f"Others could read {writer.name}; only you can now (mode 0600).")
        writer.fd = repair(writer.name, writer.fd, found)


def _open_errors(path: str) -> LineWriter | None:
    fd = open_existing(path, os.O_RDWR | os.O_APPEND)
    if fd is not None:
        return LineWriter(fd, path)
    if os.path.lexists(path) or not os.access(Path(path).parent, os.W_OK):
        raise CommandError(f"{path} could not be created when needed; choose another output.")
    return None


@contextlib.contextmanager
def _closing(fd: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def _readable(path: str) -> Iterator[None]:
    """Turn a system error into a sentence."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} cannot be read back and repaired: {reason_of(error)}; choose another output."
        ) from None


def _require_same_query(query_file: QueryFile, path: str, errors_path: str) -> None:
    """Check the query of what is there; without a byte of it, any query is welcome."""
    for each in (path, errors_path):
        if os.path.lexists(each) and os.lstat(each).st_size:
            query_file.require_same()


def _require_nothing_there(path: str, errors_path: str) -> None:
    require_no_link(path)
    if os.path.lexists(path):
        raise CommandError(f"{path} exists already; {ADD_RESUME}.")
    for each in (errors_path, query_path(path)):
        if os.path.lexists(each):
            raise CommandError(
                f"{each} is left from an earlier run; add --resume to continue it, or remove that "
                "file."
            )
