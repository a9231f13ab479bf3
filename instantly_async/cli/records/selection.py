"""A lead's line cut down to some fields. Pure: bytes in, bytes out."""

from collections.abc import Iterable
from typing import Any

import msgspec

from instantly_async._api import split_members
from instantly_async.cli.output.lines import line_of

_NULL = b"null"

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Selection:
    """Cuts lines down to the fields with these names, ``id`` always: first, if not named.

    ``keys`` are those of the lines it makes, in order. ``payload.<key>`` is one of them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        given = tuple(names)
        self.keys = given if "id" in given else ("id", *given)
        self._encoded = [msgspec.json.encode(key) for key in self.keys]

    def cut(self, line: bytes) -> bytes:
        r"""Return the line with these fields only, and ``\n`` at its end.

        Values are the server's own bytes, ``null`` where there is none. A line that nothing
        can take apart (nested a thousand deep) or that has no ``id`` is kept as it is.
        """
        members = _split(line)
        if members is None or "id" not in members:
            return line_of(line)
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
        return line_of(b"{%s}" % b",".join(pairs))


def keys_of(line: bytes) -> tuple[str, ...] | None:
    """Return the keys of a line's object, in order; ``None`` when it is none."""
    members = _split(line)
    return None if members is None else tuple(members)


def _split(text: bytes) -> dict[str, Any] | None:
    """Give the members of an object; ``None`` when it is something else."""
    try:
        return _members.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return split_members(text)
