"""``Selection``: a lead's line with only some of its fields. Pure: bytes in, bytes out."""

from collections.abc import Iterable
from typing import Any

import msgspec

from instantly_async._api import split_members

from .line import to_line

_NULL = b"null"

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Selection:
    """Reduces lines to the named fields and ``id``, which comes first if it is not named.

    ``keys`` are the keys of the lines it makes, in order. ``payload.<key>`` is one key.
    """

    def __init__(self, names: Iterable[str]) -> None:
        given = tuple(names)
        self.keys = given if "id" in given else ("id", *given)
        self._encoded = [msgspec.json.encode(key) for key in self.keys]

    def cut(self, line: bytes) -> bytes:
        r"""Return the line with these fields only, and ``\n`` at its end.

        Values are the server's own bytes, ``null`` where there is none. A line that cannot be
        parsed (nested a thousand deep) or that has no ``id`` is kept as it is.
        """
        members = _split(line)
        if members is None or "id" not in members:
            return to_line(line)
        payload: dict[str, Any] | None = None
        values = []
        for key in self.keys:
            field, dot, inner = key.partition(".")
            value = members.get(field, _NULL)
            if dot:
                payload = (_split(bytes(value)) or {}) if payload is None else payload
                value = payload.get(inner, _NULL)
            values.append(bytes(value))
        pairs = map(b"%s:%s".__mod__, zip(self._encoded, values, strict=True))
        return to_line(b"{%s}" % b",".join(pairs))


def keys_of(line: bytes) -> tuple[str, ...] | None:
    """Return the keys of a line's object, in order; ``None`` if it is not an object."""
    members = _split(line)
    return None if members is None else tuple(members)


def _split(text: bytes) -> dict[str, Any] | None:
    """Return the members of an object; ``None`` if it is something else."""
    try:
        return _members.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return split_members(text)
