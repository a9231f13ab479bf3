"""What earlier runs have recorded, for each kind of query. No I/O.

A line of the journal has a lead; a line of the errors file names an entry without a lead. Both
settle entries: ids or emails of an input, or leads of a listing.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple
from uuid import UUID

from instantly_async._api import wire_id
from instantly_async._fetch import SeenIds
from instantly_async.cli.known import KnownIds
from instantly_async.cli.records import email_number, has_more, number_of, value_of_object
from instantly_async.models import Lead
from instantly_async.outcomes import Failed, Found, NotFound

from .query import BY_EMAIL, BY_ID, Query

Key = Literal["id", "email"]


class Line(NamedTuple):
    """A good line. ``after_gap``: lines before it were no leads, and are dropped."""

    text: bytes
    after_gap: bool


class Past(ABC):
    """Learns what is settled. ``query``: of the journal; ``key``: of a line of the errors file."""

    query: Query
    key: ClassVar[Key] = "id"
    noun: ClassVar[str] = "id"
    line_end: ClassVar[bytes] = b"\n"
    """What a good last line gets that has lost its end."""

    @abstractmethod
    def add_lead(self, lead_id: str, line: Line) -> bool | None:
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

    def __init__(self, known: KnownIds) -> None:
        self.known = known

    def add_lead(self, lead_id: str, _: Line) -> bool | None:
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

    A killed run can have written some leads of an email only: then the last of them says that more
    follow. Behind lines that are dropped, nobody knows whether one of them was of the same email.
    Such an email is searched again, and its leads that are there are not written again. ``matched``
    counts the others.
    """

    query = BY_EMAIL
    key = "email"
    noun = "email"
    line_end = b"\t\n"

    def __init__(self, known: KnownIds) -> None:
        super().__init__(known)
        self.matched = 0
        self._doubtful: int | None = None
        self._partial: dict[int, set[int]] = {}
        self._nameless: set[int] = set()

    def add_lead(self, lead_id: str, line: Line) -> bool | None:
        lead = number_of(lead_id)
        if lead is None:
            return None
        email = self.number_of(value_of_object(line.text, "email"))
        self._doubtful = email if line.after_gap or self._doubtful == email else None
        if email is None:
            self._nameless.add(lead)
        elif self._doubtful is not None or has_more(line.text):
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
    """Leads of a listing. ``after``: the last one of the journal; ``None``: there is none.

    Memory: 16 bytes per lead.
    """

    noun = "lead"

    def __init__(self, query: Query) -> None:
        self.query = query
        self.after: str | None = None
        self._leads = SeenIds()
        self._failed: set[int] = set()
        self._nameless = 0

    def add_lead(self, lead_id: str, _: Line) -> bool | None:
        wire = wire_id(lead_id)
        if wire is None:
            return None
        self.after = wire
        return self._leads.add(wire)

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
