"""What earlier runs have recorded, for each kind of query. No I/O.

A line of the journal has a lead; a line of the errors file names an entry without a lead. Both
settle entries: ids or emails of an input, or leads of a listing.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal
from uuid import UUID

from instantly_async._api import wire_id
from instantly_async._fetch import SeenIds
from instantly_async.cli.known import KnownIds
from instantly_async.cli.records import email_number, has_more, number_of, value_of_object
from instantly_async.models import Lead
from instantly_async.outcomes import Failed, Found, NotFound

from .query import BY_ID, Query

Key = Literal["id", "email"]


class Past(ABC):
    """Learns what is settled. ``query``: of the journal; ``key``: of a line of the errors file.

    ``has_gaps``: the journal has lines that are not leads, so that more may be missing than a later
    run could see. If it ``heals_at_end``, they stay until a run has finished that knows of them.
    """

    query: Query
    has_gaps = False
    heals_at_end: ClassVar[bool] = True
    key: ClassVar[Key] = "id"
    noun: ClassVar[str] = "id"
    line_end: ClassVar[bytes] = b"\n"
    """What a good last line gets that has lost its end."""

    @abstractmethod
    def add_lead(self, lead_id: str, line: bytes) -> bool | None:
        """Note a lead of the journal; return whether it is new. ``None``: it is not a lead."""

    def number_of(self, entry: object) -> int | None:
        """Return the number of an entry; ``None``: it is invalid."""
        return number_of(str(entry))

    @abstractmethod
    def is_done(self, number: int) -> bool: ...

    @abstractmethod
    def add_done(self, number: int) -> object:
        """Note that an entry is settled."""

    @abstractmethod
    def add_invalid(self, text: str) -> None:
        """Note that the errors file has this entry, which is invalid."""


class PastIds(Past):
    """Ids that are done, for the source of the ids, too."""

    query = BY_ID
    heals_at_end = False

    def __init__(self, known: KnownIds) -> None:
        self.known = known

    def add_lead(self, lead_id: str, _: bytes) -> bool | None:
        number = number_of(lead_id)
        return None if number is None else self.known.add_done(number)

    def is_done(self, number: int) -> bool:
        return self.known.is_done(number)

    def add_done(self, number: int) -> None:
        self.known.add_done(number)

    def add_invalid(self, text: str) -> None:
        self.known.add_invalid(text)


class PastEmails(PastIds):
    """Emails that are done.

    A killed run can have written some leads of an email only: then each of them says that more
    follow. And nobody knows of which emails the lines in gaps were. Such emails are searched again,
    and their leads that are there are not written again. ``matched`` counts the others.
    """

    heals_at_end = True
    key = "email"
    noun = "email"
    line_end = b"\t\n"

    def __init__(self, known: KnownIds, workspace: str | None = None) -> None:
        super().__init__(known)
        self.query = Query(by="email", workspace=workspace)
        self.matched = 0
        self._partial: dict[int, set[int]] = {}
        self._nameless: set[int] = set()

    def add_lead(self, lead_id: str, line: bytes) -> bool | None:
        lead = number_of(lead_id)
        if lead is None:
            return None
        email = self.number_of(value_of_object(line, "email"))
        if email is None:
            self._nameless.add(lead)
        elif self.has_gaps or has_more(line):
            self._partial.setdefault(email, set()).add(lead)
        else:
            self._partial.pop(email, None)
            self.matched += self.known.add_done(email)
        return True

    def number_of(self, entry: object) -> int | None:
        return email_number(entry)

    def has(self, email: str, found: Found[Lead]) -> bool:
        """Whether the journal has this lead of an email that is not done."""
        lead = number_of(str(found.lead_id))
        return lead in self._nameless or lead in self._partial.get(self.number_of(email) or 0, ())


class PastListing(Past):
    """Leads of a listing. Memory: 16 bytes per lead."""

    noun = "lead"

    def __init__(self, query: Query) -> None:
        self.query = query
        self._last: str | None = None
        self._leads = SeenIds()
        self._failed: set[int] = set()
        self._nameless = 0

    def add_lead(self, lead_id: str, _: bytes) -> bool | None:
        wire = wire_id(lead_id)
        if wire is None:
            return None
        self._last = wire
        return self._leads.add(wire)

    @property
    def after(self) -> str | None:
        """The lead behind which to go on; ``None``: from the first."""
        return None if self.has_gaps else self._last

    @property
    def leads(self) -> int:
        return len(self._leads)

    def is_done(self, number: int) -> bool:
        return number in self._failed or str(UUID(int=number)) in self._leads

    def add_done(self, number: int) -> None:
        self._failed.add(number)

    def add_invalid(self, _: str) -> None:
        self._nameless += 1

    def has(self, outcome: Found[Lead] | NotFound | Failed) -> bool:
        """Whether the files have this lead."""
        number = self.number_of(outcome.lead_id)
        if number is not None:
            return self.is_done(number)
        self._nameless -= 1  # items without an id are the same again
        return self._nameless >= 0
