"""``Payloads``: single keys of a lead's payload, each payload parsed once."""

from typing import Any

import msgspec

from instantly_async.cli.records import PayloadKeys

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Payloads:
    """Reads keys of payloads; ``keys`` watches for the keys that were selected."""

    def __init__(self, keys: PayloadKeys) -> None:
        self._keys = keys
        self._lead: Any = None
        self._members: dict[str, Any] | None = None

    def of(self, lead: Any) -> dict[str, Any] | None:
        """Return the JSON of each key; ``None``: the payload is not an object, or too deep."""
        if lead is not self._lead:
            self._members, self._lead = _read(lead), lead
            self._keys.see(self._members or {})
        return self._members


def _read(lead: Any) -> dict[str, Any] | None:
    try:
        members: dict[str, Any] = _decode_members(lead.payload)
    except (msgspec.DecodeError, RecursionError):
        return None
    return members
