"""Invented leads, made from their id: the same id always gives the same lead.

Nothing is stored. A few templates are rendered once; the id selects a template and is put
into it. Every person, company and domain is made up (RFC 2606 reserves ``example.com`` and
``.test``). Must not know HTTP.
"""

import zlib
from collections.abc import Container, Iterator, Mapping
from functools import cache
from hashlib import blake2b
from random import Random
from typing import Any

import msgspec

from ._template import CAMPAIGNS, LISTS, PLACEHOLDER, lead_template

TEMPLATES = 64
"""Number of lead templates: few enough to render in milliseconds."""

FIRST_LEAD_MS = 1_762_000_000_000
"""When the first generated lead was created: November 2025, in Unix milliseconds.

Later than 2025-10-15, so that order by id is order in time, as the vendor says.
"""


def lead_ids(count: int, seed: int = 0) -> Iterator[str]:
    """Return ``count`` different lead ids, lazily, in ascending order.

    They are lower-case UUIDs that look like version 7 (RFC 9562). The same ``seed``
    gives the same ids, another one gives others. Memory does not grow with ``count``.
    """
    return (lead_id_at(index, seed) for index in range(count))


def lead_id_at(index: int, seed: int = 0) -> str:
    """Return the id that ``lead_ids`` yields at ``index``, counted from 0."""
    noise = blake2b(b"%d/%d" % (seed, index), digest_size=9).hexdigest()
    time = f"{FIRST_LEAD_MS + index:012x}"
    # One lead per millisecond: ids are different and ascending. The noise hides the counter.
    return f"{time[:8]}-{time[8:]}-7{noise[:3]}-{'89ab'[index & 3]}{noise[3:6]}-{noise[6:]}"


def lead_index(lead_id: str, seed: int = 0) -> int | None:
    """Return the index at which ``lead_ids`` yields this id; ``None``: it never does."""
    try:
        index = int(lead_id[:8] + lead_id[9:13], 16) - FIRST_LEAD_MS
    except ValueError:
        return None
    return index if index >= 0 and lead_id_at(index, seed) == lead_id else None


def campaign_ids() -> tuple[str, ...]:
    """Return the ids of the campaigns: each invented lead is in one of them."""
    return CAMPAIGNS


def list_ids() -> tuple[str, ...]:
    """Return the ids of the lists: three quarters of the invented leads are in one of them."""
    return LISTS


def email_of(lead_id: str) -> str:
    """Return the email of the lead of that id. The id is a part of it."""
    email: str = invented_field(lead_id.lower(), "email")
    return email


def invented_field(lead_id: str, name: str) -> Any:
    """Return one field of the lead of that (lower-case) id, without rendering the lead."""
    value = _template(_template_number(lead_id.encode()))[name]
    return value.replace(PLACEHOLDER, lead_id) if isinstance(value, str) else value


def lead_json(lead_id: str) -> bytes:
    """Return the lead of that id as the API sends it: about 3 kB of JSON."""
    return _GET_LEAD.render(lead_id)


def make_lead(lead_id: str) -> dict[str, Any]:
    """Return the lead of that id as decoded JSON."""
    lead: dict[str, Any] = msgspec.json.decode(lead_json(lead_id))
    return lead


class LeadRenderer:
    """Renders leads as one endpoint sends them.

    ``payload_keys`` renames keys inside ``payload`` (old name to new name), because
    *List leads* and *Get lead* are reported to name some differently.
    """

    def __init__(self, payload_keys: Mapping[str, str] | None = None) -> None:
        self._payload_keys = dict(payload_keys or {})
        self._templates: list[list[bytes]] = []

    def render(
        self, lead_id: str, own: Mapping[str, Any] | None = None, without: Container[str] = ()
    ) -> bytes:
        """Return one lead as JSON, with its ``own`` fields, ``without`` the fields named there."""
        key = lead_id.lower().encode()
        templates = self._templates or self._fill()
        body = key.join(templates[_template_number(key)])
        if not own and not without:
            return body
        lead = msgspec.json.decode(body) | dict(own or {})
        return msgspec.json.encode({name: lead[name] for name in lead if name not in without})

    def _fill(self) -> list[list[bytes]]:
        # On first use, not on import, because most programs that import this render nothing.
        self._templates = [self._pieces(number) for number in range(TEMPLATES)]
        return self._templates

    def _pieces(self, number: int) -> list[bytes]:
        lead = _template(number)
        if (payload := lead["payload"]) is not None:
            renamed = {self._payload_keys.get(key, key): value for key, value in payload.items()}
            lead = {**lead, "payload": renamed}
        return msgspec.json.encode(lead).split(PLACEHOLDER.encode())


def _template_number(key: bytes) -> int:
    return zlib.crc32(key) % TEMPLATES


@cache
def _template(number: int) -> dict[str, Any]:
    return lead_template(Random(f"lead {number}"), number)  # noqa: S311 - variety, not secrecy


_GET_LEAD = LeadRenderer()
