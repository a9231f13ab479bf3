"""``Sought``: what is read from an input, the ids of leads or emails. Pure.

Everything in which the two differ is a field of this class, so that readers need not ask which of
them is meant.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from instantly_async._api import wire_id
from instantly_async.cli.records import LineEmail, LineId, Noun

from .cells import (
    AROUND,
    MENTIONED_EMAIL,
    MENTIONED_ID,
    email_in,
    holds_email,
    holds_id,
    tidy_email,
    tidy_id,
)
from .names import Names, named_so, plain, shown

_BULLETS = "-*\u2022"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PERSONAL = re.compile(r"@|\uff20|\(at\)|://|(?:[0-9][^0-9]*){5}", re.IGNORECASE)
"""Parts of emails, addresses and phone numbers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sought:
    """What is read from an input.

    ``noun`` is also its key in our own lines. ``kind``: the noun for people, in the plural, ``one``
    in the singular; ``are`` says what they look like. ``switch``: how to read these instead of the
    others. ``entry`` is the class of what is read, ``wire`` returns its valid form, ``tidy`` that
    of a cell, or the cell's text; ``holds``: whether a cell has one; ``shown``: what messages may
    show of it. ``mentioned`` finds one among other characters, ``added`` in the bytes of UTF-16.
    ``separators``: what may be between several on a line. ``wrappers``: keys of an object in which
    also a bare name counts. ``certain_lists``: keys of an array that always holds what is sought,
    ``lists``: those of one that does unless the same object has one itself. ``may_lack``: an entry
    without a value is no mistake.
    """

    noun: Noun
    kind: str
    one: str
    are: str
    switch: str
    entry: type[LineId]
    wire: Callable[[str], str | None]
    tidy: Callable[[str], str]
    holds: Callable[[str], bool]
    shown: Callable[[str], str]
    mentioned: re.Pattern[str]
    added: re.Pattern[bytes]
    separators: Sequence[re.Pattern[str]]
    names: Names
    wrappers: Sequence[str]
    certain_lists: Sequence[str]
    lists: Sequence[str]
    may_lack: bool

    @property
    def nouns(self) -> str:
        return f"{self.noun}s"

    @property
    def other(self) -> "Sought":
        """What could have been sought instead."""
        return SOUGHT["id" if self.noun == "email" else "email"]

    def words_of(self, line: str) -> list[str]:
        """Return the texts of a line, tidied, without a comment behind ids, which ``#`` begins."""
        words: list[str] = []
        for between in self.separators:
            words = self._words(between.split(line))
            if all(map(self.wire, words)):
                break
        return words

    def _words(self, texts: Iterable[str]) -> list[str]:
        words = [self.tidy(text) for text in texts if text.strip(AROUND + _BULLETS)]
        note = next((number for number, word in enumerate(words) if word.startswith("#")), None)
        return words[:note] if all(map(self.wire, words[:note])) else words

    def texts_of(self, line: str) -> list[str]:
        """Return the ids of a line of text, tidied: usually one; without any, one invalid id.

        Other texts between ids are invalid ids, unless there are as many as ids: such a line is a
        row of a table, and as a whole one invalid id.
        """
        whole = self.tidy(line)
        if whole.startswith("#") or not line.strip(AROUND):
            return []
        if self.wire(whole) is not None:
            return [whole]
        words = self.words_of(line)
        ids = list(filter(self.wire, words))
        return words if 2 * len(ids) > len(words) else [whole]

    def matches(self, names: Sequence[str], column: str | None) -> list[int]:
        """Return which names of columns are meant; several, if they cannot be told apart.

        ``column``: the name that the user gave; ``None``: the most specific of ``names``.
        """
        return self.names.best_of(names) if column is None else named_so(names, column)

    def wanted(self, column: str | None, noun: str = "column") -> str:
        """Return what is looked for, for a message."""
        return f"{noun} with {self.kind}" if column is None else f"{noun} {shown(column)}"

    def nearest(self, names: Sequence[str], column: str | None) -> str:
        """Return an option that names the nearest column, or any: the end of a message."""
        by_plain = {plain(name): name for name in reversed(names)}
        wanted = (
            [column] if column is not None else [each for tier in self.names.tiers for each in tier]
        )
        if column is None:
            by_plain = {each: by_plain[each] for each in by_plain if self._may_be_meant(each)}
        for each in wanted:
            if close := difflib.get_close_matches(plain(each), by_plain, n=1, cutoff=0.6):
                return f"the nearest is {shown(by_plain[close[0]])} (--column)"
        use = f"use --column to name the one that holds the {self.kind}"
        has_others = column is None and self.other.names.best_of(names)
        return f"{use}, or {self.other.switch}" if has_others else use

    def _may_be_meant(self, name: str) -> bool:
        """Whether a name that is not ours may be a longer or misspelt one of ours."""
        return (
            self.names.similar.match(name) is not None
            and self.other.names.rank_of_column(name) is None
        )


def looks_like_data(names: Iterable[str]) -> bool:
    """Whether names hold an email, a phone number or an id, which could be personal data."""
    return any(
        MENTIONED_ID.search(name) or holds_id(name) or _PERSONAL.search(_DATE.sub("", name))
        for name in names
    )


_OTHERS = (
    "account|bounc|click|count|date|domain|from|mailing|opened|opt|reply|send|sent|status|valid"
    "|verif"
)
"""Parts of names of columns that tell something about an email, or hold that of the sender."""

_LISTS = ("items", "data", "results", "records", "rows", "leads", "ids", "lead_ids")
_WRAPPERS = ("body", "data", "item", "lead", "object", "payload", "record", "row")

IDS = Sought(
    noun="id",
    kind="lead ids",
    one="a lead id, which is a UUID",
    are=", which are UUIDs",
    switch="leave out --by email",
    entry=LineId,
    wire=wire_id,
    tidy=tidy_id,
    holds=holds_id,
    shown=str,
    mentioned=MENTIONED_ID,
    added=re.compile(rb"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"),
    separators=(re.compile(r"[\s,;|]+"),),
    names=Names(
        (("instantly_lead_id",), ("lead_id",), ("id",), ("uuid",)),
        bare=2,
        of_lead="lead(?:id|uuid)",
    ),
    wrappers=_WRAPPERS,
    certain_lists=("leads", "ids", "lead_ids"),
    lists=_LISTS,
    may_lack=False,
)

EMAILS = Sought(
    noun="email",
    kind="emails",
    one="an email",
    are="",
    switch="add --by email",
    entry=LineEmail,
    wire=email_in,
    tidy=tidy_email,
    holds=holds_email,
    shown=lambda email: f"…@{email.rpartition('@')[2]}",
    mentioned=MENTIONED_EMAIL,
    # In UTF-16, Chinese text has many bytes that are ASCII letters, too; hardly ever so many.
    added=re.compile(rb"[a-z0-9._+-]{2,}@[a-z0-9-]{2,}(?:\.[a-z0-9-]+)*\.[a-z]{2,}"),
    # "Ada Lovelace <ada@example.com>, Bob <bob@example.com>" has blanks in its entries.
    separators=(re.compile(r"[\t,;|]+|\s+(?=#)"), re.compile(r"[\s,;|]+")),
    names=Names(
        (
            ("lead_email",),
            ("email", "email_address", "email_id", "mail", "mail_address"),
            (
                *("work_email", "business_email", "primary_email", "contact_email"),
                *("customer_email", "person_email", "prospect_email", "subscriber_email"),
                *("email_work", "person_email_work", "email_value"),  # the latter: Google Contacts
            ),
        ),
        bare=1,
        of_lead="leade?mail",
        similar=rf"(?!.*(?:{_OTHERS})).*mail",
        are_numbered=True,
    ),
    # Not the payload: that of a lead holds the customer's own variables.
    wrappers=(
        *(each for each in _WRAPPERS if each != "payload"),
        *("attributes", "contact", "fields", "person", "properties"),
    ),
    certain_lists=("leads",),
    lists=(*_LISTS, "contacts", "emails"),
    may_lack=True,
)

SOUGHT: dict[Noun, Sought] = {"id": IDS, "email": EMAILS}
