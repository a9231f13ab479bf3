"""Which leads of the fake's workspace a query asks for, in the order of their ids.

Nothing is stored. A lead is found by its place in the workspace, by its id, or by the id inside
its email, so that a page of any workspace, however large, takes the same time.
"""

import heapq
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, Protocol

from .behaviour import Behaviour, contains
from .leads import campaign_ids, invented_field, lead_id_at, lead_index, list_ids
from .query import Query

_id_in_email = re.compile(r"[^+]+\+([0-9a-f-]{36})@example\.com", re.IGNORECASE).fullmatch


class SortedIds(Protocol):
    """Ids in ascending order. They may be computed when they are read."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> str: ...


class Matching:
    """The leads that a query asks for."""

    def __init__(self, query: Query, behaviour: Behaviour) -> None:
        self._query = query
        self._behaviour = behaviour
        self._fold: Callable[[str], str] = str if behaviour.contacts_match_case else str.casefold
        # Whether an empty array means no lead or all leads is unknown; all is the worse case.
        self._contacts = set(map(self._fold, (query.contacts or ())[: behaviour.reads_contacts]))
        self._sources = list(self._find_sources())

    def after(self, cursor: str) -> Iterator[str]:
        """Yield the ids after the cursor, ascending."""
        found = heapq.merge(*(_after(ids, cursor) for ids in self._sources))
        return filter(self._matches, _once_each(found))

    def back_from(self, cursor: str) -> Iterator[str]:
        """Yield the ids up to the cursor, descending."""
        found = heapq.merge(*(_back_from(ids, cursor) for ids in self._sources), reverse=True)
        return filter(self._matches, _once_each(found))

    def _find_sources(self) -> Iterator[SortedIds]:
        """Yield ids that include all leads asked for, as few as can be had without a search."""
        if self._query.ids:
            yield sorted({lead_id.lower() for lead_id in self._query.ids})
        elif self._contacts:
            yield sorted(self._with_contacts())
        else:
            yield sorted(self._behaviour.fields)
            if not self._asks_for_foreign():
                yield _Invented(self._behaviour)

    def _asks_for_foreign(self) -> bool:
        """Whether no invented lead can match: the query has a campaign or list of its own."""
        campaign, list_id = self._query.campaign, self._query.list_id
        return (campaign is not None and campaign.lower() not in campaign_ids()) or (
            list_id is not None and list_id.lower() not in list_ids()
        )

    def _with_contacts(self) -> set[str]:
        named = (_id_in_email(contact) for contact in self._contacts)
        ids = {match[1].lower() for match in named if match}
        return {*filter(self._is_in_workspace, ids), *self._behaviour.fields}

    def _is_in_workspace(self, lead_id: str) -> bool:
        index = lead_index(lead_id, self._behaviour.workspace_seed)
        return index is not None and index < self._behaviour.workspace_size

    def _matches(self, lead_id: str) -> bool:
        return (
            self._behaviour.has_lead(lead_id)
            and not contains(self._behaviour.list_omits, lead_id)
            and self._is_in("campaign", lead_id)
            and self._is_in("list_id", lead_id)
            and self._is_contact(lead_id)
        )

    def _is_in(self, name: str, lead_id: str) -> bool:
        asked: str | None = getattr(self._query, name)
        return asked is None or self._field(lead_id, name) == asked.lower()

    def _is_contact(self, lead_id: str) -> bool:
        if not self._contacts:
            return True
        email = self._field(lead_id, "email")
        return isinstance(email, str) and self._fold(email) in self._contacts

    def _field(self, lead_id: str, name: str) -> Any:
        own = self._behaviour.fields.get(lead_id, {})
        return own[name] if name in own else invented_field(lead_id, name)


class _Invented:
    """The ids of ``lead_ids`` as a sequence."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._size, self._seed = behaviour.workspace_size, behaviour.workspace_seed

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int, /) -> str:
        return lead_id_at(index, self._seed)


def _once_each(ids: Iterable[str]) -> Iterator[str]:
    return (lead_id for lead_id, _ in groupby(ids))


def _after(ids: SortedIds, cursor: str) -> Iterator[str]:
    return (ids[index] for index in range(bisect_right(ids, cursor), len(ids)))


def _back_from(ids: SortedIds, cursor: str) -> Iterator[str]:
    return (ids[index] for index in reversed(range(bisect_right(ids, cursor))))
