"""Invented leads, made from their id: the same id always gives the same lead.

Nothing is stored. A few templates are rendered once; the id selects a template and is put
into it. Every person, company and domain is made up (RFC 2606 reserves ``example.com`` and
``.test``). Must not know HTTP.
"""

import zlib
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from random import Random
from typing import Any

import msgspec

from ._template import PLACEHOLDER, lead_template

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

    def render(self, lead_id: str) -> bytes:
        """Return one lead as JSON."""
        lead_id = lead_id.lower()
        key = lead_id.encode()
        templates = self._templates or self._fill()
        return key.join(templates[zlib.crc32(key) % TEMPLATES])

    def _fill(self) -> list[list[bytes]]:
        # On first use, not on import, because most programs that import this render nothing.
        self._templates = [self._template(number) for number in range(TEMPLATES)]
        return self._templates

    def _template(self, number: int) -> list[bytes]:
        seeded = Random(f"lead {number}")  # noqa: S311 - variety, not secrecy
        lead = lead_template(seeded, number)
        if lead["payload"] is not None:
            lead["payload"] = {
                self._payload_keys.get(key, key): value for key, value in lead["payload"].items()
            }
        return msgspec.json.encode(lead).split(PLACEHOLDER.encode())


_GET_LEAD = LeadRenderer()
