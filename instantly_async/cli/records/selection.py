"""``Selection``: a lead's line with only some of its fields. Bytes in, bytes out."""

import csv
import functools
import io
import json
from collections.abc import Iterable
from typing import Any

import msgspec

from instantly_async._api import split_members

from .line import is_cut, to_line
from .payload_keys import PayloadKeys

PAYLOAD_KEY = "payload."
"""Begins the name of a key of the payload."""

_BEGINS_KEY = b'"payload.'
_NULL = b"null"

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Selection:
    """Reduces lines to the named fields and ``id``, which comes first if it is not named.

    ``keys`` are the keys of the lines it makes, in order. ``payload.<key>`` is one key.
    ``payload_keys`` knows which of those keys no lead had.
    """

    def __init__(self, names: Iterable[str]) -> None:
        given = tuple(names)
        self.keys = given if "id" in given else ("id", *given)
        self._inner = {key: inner for key in self.keys if (inner := payload_key(key))}
        self.payload_keys = PayloadKeys(self._inner.values())

    def cut(self, line: bytes) -> bytes:
        """Return the line with these fields only, marked as cut.

        Values are the server's own bytes, ``null`` where there is none. A line that cannot be
        parsed (nested a thousand deep) or that has no ``id`` is kept as it is.
        """
        members = _split(restored(line))
        if members is None or "id" not in members:
            return to_line(line)
        if self._inner:
            payload = _split(bytes(members.get("payload", _NULL))) or {}
            self.payload_keys.see(payload)
            members |= {key: payload.get(inner, _NULL) for key, inner in self._inner.items()}
        values = [bytes(members.get(key, _NULL)) for key in self.keys]
        return to_line(_object(zip(self.keys, values, strict=True)), cut=True)


def restored(line: bytes) -> bytes:
    """Return a line in which each ``payload.<key>`` is a key of the payload, as in a whole lead.

    A ``null`` there may mean that the lead had no such key, so it says nothing.
    """
    if _BEGINS_KEY not in line:
        return line
    members = _split(line) or {}
    names = {name: key for name in members if (key := payload_key(name))}
    if not names:
        return line
    given = {key: members[name] for name, key in names.items() if bytes(members[name]) != _NULL}
    whole = {name: value for name, value in members.items() if name not in names}
    if given:
        payload = _split(bytes(whole.get("payload", _NULL))) or {}
        whole["payload"] = _object((payload | given).items())
    return _object(whole.items())


def _object(members: Iterable[tuple[str, Any]]) -> bytes:
    """Return an object with these members; values are JSON already."""
    pairs = (b"%s:%s" % (_key(key), bytes(value)) for key, value in members)
    return b"{%s}" % b",".join(pairs)


@functools.lru_cache(maxsize=1000)
def _key(key: str) -> bytes:
    try:
        return msgspec.json.encode(key)
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(key).encode()


def payload_key(name: str) -> str | None:
    """Return ``<key>`` of ``payload.<key>``; ``None``: the name is another one."""
    return name.removeprefix(PAYLOAD_KEY) if name.startswith(PAYLOAD_KEY) else None


def keys_of(line: bytes) -> tuple[str, ...] | None:
    """Return the keys of a line's object, in order; ``None`` if it is not an object."""
    members = _split(line)
    return None if members is None else tuple(members)


def cut_keys(line: bytes) -> tuple[str, ...] | None:
    """Return the keys to which a line was cut; ``None`` if it is a whole lead."""
    return keys_of(line) if is_cut(line) else None


def fields_text(keys: Iterable[str]) -> str:
    """Return the value of ``--fields`` that selects these keys."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(keys)
    return text.getvalue()


def _split(text: bytes) -> dict[str, Any] | None:
    """Return the members of an object; ``None`` if it is something else."""
    try:
        return _members.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return split_members(text)
