"""``Query``: what the leads of a journal answer to. It is in a file beside the journal.

So no run continues a journal that holds leads of something else. By id, there is no such file.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from instantly_async._api import wire_id
from instantly_async.cli.exits import CommandError
from instantly_async.cli.keys import holds_key
from instantly_async.cli.system import open_existing, reason_of, replacement, sync_folder
from instantly_async.cli.terminal import shell_quoted

_MOST_BYTES = 1000


class Query(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The leads of a ``campaign``, of a list, ``all`` of the workspace, or those of an input.

    ``workspace``: the sub-workspace of an export or a search; ``None``: that of the key.
    """

    campaign: str | None = None
    list_id: str | None = None
    all: bool = False
    by: Literal["id", "email"] = "id"
    workspace: str | None = None

    @property
    def is_valid(self) -> bool:
        """Whether it asks for one thing, and not for ids, for which there is no file.

        Ids are in the form that a run writes, so messages may show them.
        """
        for each in (self.campaign, self.list_id):
            if each != wire_id(each):
                return False
        asked = (self.campaign is not None, self.list_id is not None, self.all, self.by == "email")
        return asked.count(True) == 1

    def describe(self) -> str:
        """Return what the leads are, such as *leads fetched by id*."""
        where = "" if self.workspace is None else f" (--workspace {self.workspace})"
        return self._what() + where

    def _what(self) -> str:
        if self.campaign is not None:
            return f"leads of the campaign {self.campaign}"
        if self.list_id is not None:
            return f"leads of the list {self.list_id}"
        return "all leads of the workspace" if self.all else f"leads fetched by {self.by}"

    @property
    def command(self) -> tuple[str, str]:
        """The command that has these leads, and its options; empty: none is needed."""
        name, option = self._kind()
        where = "" if self.workspace is None else f" --workspace {shell_quoted(self.workspace)}"
        return name, option + where

    def _kind(self) -> tuple[str, str]:
        if self.campaign is not None:
            return "export", f"--campaign {self.campaign}"
        if self.list_id is not None:
            return "export", f"--list {self.list_id}"
        if self.all:
            return "export", "--all"
        return "fetch", "" if self == BY_ID else f"--by {self.by}"


BY_ID = Query()

_QUERY = msgspec.json.Decoder(Query)


class QueryFile:
    """The file beside a journal with its query.

    ``query`` is that of the run. ``there`` is what the file holds, and ``None`` if that is no
    query; without a file it is ``BY_ID``.

    Raises:
        CommandError: it cannot be read, is a link, or belongs to another user.
    """

    def __init__(self, journal: str, query: Query) -> None:
        self.path = query_path(journal)
        self.query = query
        self._journal = journal
        self.there = _read(self.path)

    @property
    def is_current(self) -> bool:
        return self.there == self.query

    def require_same(self) -> None:
        """Check that the journal holds what the run is for.

        Raises:
            CommandError: it holds something else.
        """
        if self.is_current:
            return
        if self.there is None:
            raise CommandError(
                f"{self.path} does not say which leads {self._journal} holds; choose another "
                "output."
            )
        command, option = self.there.command
        again = option if command == self.query.command[0] else f"{command} {option}"
        if self.query.workspace is not None and self.there.workspace is None:
            again += " and without --workspace"
        remedy = f"resume it with {again}, or " if option else ""
        raise CommandError(
            f"{self._journal} holds {self.there.describe()}; {remedy}choose another output."
        )

    def put(self, before: Callable[[], object] = lambda: None) -> None:
        """Make the file hold the query of the run, durably; ``before`` is called just before.

        Raises:
            CommandError: it cannot be created.
            OutputError: it cannot be written.
            OSError: the folder cannot be changed.
        """
        if self.query == BY_ID:
            before()
            self.remove()
            sync_folder(self.path)
        else:
            with replacement(self.path) as file:
                file.write(msgspec.json.encode(self.query) + b"\n")
                file.flush()  # while a full disk changes nothing yet
                before()
        self.there = self.query

    def remove(self) -> None:
        Path(self.path).unlink(missing_ok=True)


def query_path(journal: str) -> str:
    """Return the name of the file with the query of a journal."""
    return f"{journal}.query.json"


def _read(path: str) -> Query | None:
    fd = open_existing(path, os.O_RDONLY)
    if fd is None:
        return BY_ID
    try:
        text = os.read(fd, _MOST_BYTES)
    except OSError as error:
        raise CommandError(
            f"{path} cannot be read: {reason_of(error)}; choose another output."
        ) from None
    finally:
        os.close(fd)
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        query = _QUERY.decode(text)
        if query.is_valid and not holds_key(query.workspace or ""):
            return query
    return None
