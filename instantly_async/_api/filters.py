"""``LeadFilter``: which leads a listing is for, as a request and as a check of each lead.

The API ignores filters that it does not know and returns the whole workspace (reported), and
ignores documented ones at times (reported). So each lead is compared with what was asked for.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

import msgspec

from .emails import email_key
from .ids import wire_id

_IGNORED_DOMAIN = "example.invalid"  # no mailbox can be there (RFC 2606)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadFilter:
    """A filter of *List leads*. Source: https://developer.instantly.ai (API v2).

    ``body`` is its part of the request. ``field`` is the field of a lead that shows whether it was
    asked for, which is so if ``key_of`` its value is one of ``keys``. ``None``: all leads are.
    """

    body: Mapping[str, Any]
    field: str | None = None
    keys: Collection[str] = ()
    key_of: Callable[[str], str | None] = wire_id

    @property
    def name(self) -> str:
        """The name that the API has for it."""
        return next(iter(self.body), "")

    @classmethod
    def everything(cls) -> Self:
        """Return the filter that lets all leads of the workspace pass."""
        return cls(body={})

    @classmethod
    def by_id(cls, field: str, wanted: str) -> Self:
        """Return the filter for the leads of a ``campaign`` or a ``list_id``."""
        return cls(body={field: wanted}, field=field, keys={wanted})

    @classmethod
    def by_emails(cls, addresses: Collection[str]) -> Self:
        """Return the filter for the leads with these emails, in any case."""
        keys = set(map(email_key, addresses))
        body = {"contacts": list(addresses)}
        return cls(body=body, field="email", keys=keys, key_of=email_key)

    def canary(self) -> Self | None:
        """Return a filter of the same kind that no lead passes; ``None``: there is none."""
        if self.field is None:
            return None
        if self.field == "email":
            return self.by_emails([f"{uuid4()}@{_IGNORED_DOMAIN}"])
        return self.by_id(self.field, str(uuid4()))

    def value_in(self, raw: bytes) -> str | None:
        """Return what a lead's JSON has in the field; ``None``: it does not show it."""
        try:
            value = getattr(_SHOWN.decode(raw), self.field or "id")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return value if isinstance(value, str) and value else None

    def key_in(self, raw: bytes | None) -> str | None:
        """Return what a lead's JSON has to be compared by; ``None``: it does not show it."""
        value = None if raw is None else self.value_in(raw)
        return None if value is None else self.key_of(value)

    def passes(self, raw: bytes | None) -> bool | None:
        """Whether a lead was asked for; ``None``: its JSON does not show it."""
        if self.field is None:
            return True
        key = self.key_in(raw)
        return None if key is None else key in self.keys


class _Shown(msgspec.Struct, gc=False):
    """The fields that filters ask for, whatever their types; the caller's type may lack them."""

    id: Any = None
    campaign: Any = None
    list_id: Any = None
    email: Any = None


_SHOWN = msgspec.json.Decoder(_Shown)
