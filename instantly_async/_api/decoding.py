"""Bytes to leads: a fast decoder, and a fallback that salvages leads with odd fields.

A lead fails with ``DecodeError`` only if its body is not a JSON object, is not UTF-8, or has
another id, or if a required field of the caller's own type does not fit. Otherwise each field is
salvaged by itself, and ``problems`` names the fields that were converted or left out.
"""

import contextlib
import json
import operator
import re
from collections.abc import Generator
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from instantly_async.errors import ConfigurationError, DecodeError

from .fitting import MISFIT
from .foreign import foreign
from .ids import wire_id as to_wire_id
from .pieces import Failure, PieceReader
from .salvage import Cleaner, salvage_lead
from .scanning import find_members
from .steps import Steps

L = TypeVar("L")

Decoded = tuple[L, tuple[str, ...]]
"""A lead and the paths of its fields that had to be converted or left out."""

MAX_BYTES_AT_ONCE = 64 * 1024
"""Longer JSON is decoded in steps. Usually so much takes 0.3 ms, but 10 ms if all of its values are
as expensive as can be."""

_OBJECT = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{")
_MAX_ID_LENGTH = 1000  # a longer text is no id that anybody has asked for
_A_LEAD_KEY = re.compile(rb'"(?:timestamp_created|email)"\s*:')  # the schema has them
_STRICT = json.JSONDecoder(parse_int=float)  # which values there are does not matter here


class LeadItem(msgspec.Struct, Generic[L], gc=False):
    """A lead, the fields that had to be converted or left out, and the server's own JSON.

    ``raw`` may be ``None`` if it is not to be kept and there are no ``problems``.
    """

    lead: L
    problems: tuple[str, ...] = ()
    raw: bytes | None = None


class _IdOnly(msgspec.Struct, gc=False):
    id: str


class LeadDecoder(Generic[L]):
    """Decodes bodies into ``lead_type``, a ``msgspec.Struct``.

    Raises:
        ConfigurationError: the type is not a Struct, or it is tagged, array-like or forbids
            unknown fields, so leads of the API would not fit it.
    """

    def __init__(self, lead_type: type[L]) -> None:
        self.type = lead_type
        self._fields = _check_lead_type(lead_type)
        try:
            self._fast = msgspec.json.Decoder(lead_type)
        except TypeError as error:  # such as a union of untagged Structs
            raise ConfigurationError(
                f"lead_type {lead_type.__name__} cannot be decoded: {error}"
            ) from error
        self._id_name = next((f.name for f in self._fields if f.encode_name == "id"), None)
        self._get_id = operator.attrgetter(self._id_name or "id")
        self._id_only = msgspec.json.Decoder(_IdOnly)

    def decode(self, body: bytes, wire_id: str) -> Decoded[L] | Steps[Decoded[L]]:
        """Decode one lead and check that it is the requested one.

        Returns steps if the lead is odd or large, because that takes long. ``wire_id`` is in lower
        case.

        Raises (the steps do, too):
            DecodeError: see the module's docstring.
        """
        if len(body) <= MAX_BYTES_AT_ONCE:
            decoded = self._decode_fast(body, wire_id)
            if decoded is not None:
                found_id, lead = decoded
                if found_id != wire_id:
                    raise _not_the_lead(body, found_id)
                return lead, ()
        return Steps(self._decode_in_steps(body, wire_id))

    def decode_item(self, body: bytes) -> tuple[str | None, LeadItem[L] | None]:
        """Return the id and the lead of one item of a page, as in ``PageItems``."""
        return self._item_at_once(body) or Steps(self._odd_item_in_steps(body)).at_once()

    def item_in_steps(
        self, body: bytes
    ) -> Generator[None, None, tuple[str | None, LeadItem[L] | None]]:
        """Return the same, in steps."""
        return self._item_at_once(body) or (yield from self._odd_item_in_steps(body))

    def _item_at_once(self, body: bytes) -> tuple[str | None, LeadItem[L]] | None:
        """Return the same; ``None``: it is odd or large."""
        decoded = self._decode_fast(body) if len(body) <= MAX_BYTES_AT_ONCE else None
        return decoded and (decoded[0], LeadItem(decoded[1], (), body))

    def _odd_item_in_steps(
        self, body: bytes
    ) -> Generator[None, None, tuple[str | None, LeadItem[L] | None]]:
        found = yield from _find_members(body.decode(errors="replace"))
        if isinstance(found, str) or (found_id := found.id) is None:
            return None, None
        if utf8_problem(body) is not None:
            return wire_form(found_id), None
        try:
            lead, problems = yield from self._salvage(found, body)
        except DecodeError:
            return wire_form(found_id), None
        return wire_form(found_id), LeadItem(lead, problems, body)

    def ids_of(self, leads: list[L]) -> list[str | None] | None:
        """Return the leads' ids in lower case; ``None``: the type has no field for them."""
        if self._id_name is None:
            return None
        found_ids = list(map(self._get_id, leads))
        if all(found_ids):
            with contextlib.suppress(TypeError):  # not all are strings
                is_lower = "".join(found_ids).islower()  # the usual case, in one call
                return found_ids if is_lower else list(map(str.lower, found_ids))
        return [wire_form(found_id) for found_id in found_ids]

    def _id_of(self, lead: L, body: bytes) -> str | None:
        if self._id_name is None:
            return wire_form(self._id_only.decode(body).id)
        return wire_form(getattr(lead, self._id_name))

    def _decode_fast(self, body: bytes, expected: str | None = None) -> tuple[str | None, L] | None:
        """Return id and lead; ``None``: the lead is odd, or no lead."""
        if not body.isascii() and utf8_problem(body) is not None:
            return None
        try:
            lead = self._fast.decode(body)
            if self._id_name is not None and self._get_id(lead) == expected:
                return expected, lead  # the usual case
            return self._id_of(lead, body), lead
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _decode_in_steps(self, body: bytes, wire_id: str) -> Generator[None, None, Decoded[L]]:
        problem = utf8_problem(body)
        found = problem or (yield from _find_members(body.decode()))
        if isinstance(found, _Members):
            if wire_form(found.id) == wire_id:
                return (yield from self._salvage(found, body))
            raise _not_the_lead(body, found.id)
        if not _names(body, wire_id):
            raise foreign(body, "the lead")
        raise _not_an_object(body, found) if isinstance(found, str) else found

    def _salvage(self, found: "_Members", body: bytes) -> Generator[None, None, Decoded[L]]:
        try:
            lead, problems = yield from salvage_lead(self.type, found.text, found.parts)
        except RecursionError:  # half a pair at a depth that only the scanner can take
            lead, problems = None, []
        if lead is None:
            raise _not_an_object(body, "malformed")
        if lead is MISFIT:
            raise DecodeError(
                f"The lead does not match its type at {problems[-1]}", path=problems[-1], raw=body
            )
        return lead, tuple(dict.fromkeys(problems))


class _Members(NamedTuple):
    """An object: where the value of each key is in the text. ``id`` ``None``: it is no string."""

    text: str
    parts: dict[str, slice]
    id: str | None


def _find_members(text: str) -> Generator[None, None, _Members | Failure]:
    """Return the members of an object; or why it is not one."""
    text = text.removeprefix("\ufeff")  # not valid JSON, but harmless
    reader = PieceReader(text, _STRICT)
    try:
        parts = yield from find_members(reader)
    except (ValueError, IndexError, RecursionError):
        return reader.failure
    return _Members(text, parts, _read_id(text[parts["id"]]) if "id" in parts else None)


def _names(body: bytes, wire_id: str) -> bool:
    """Whether a body that cannot be read was meant to be this lead: an object with its id."""
    named = rb'"id"\s*:\s*"' + re.escape(wire_id.encode()) + b'"'
    return _OBJECT.match(body) is not None and re.search(named, body, re.IGNORECASE) is not None


def _read_id(text: str) -> str | None:
    cleaner = Cleaner()
    is_id = text.startswith('"') and len(text) <= _MAX_ID_LENGTH
    return cleaner.clean(cleaner.decoder.decode(text)) if is_id else None


def _check_lead_type(lead_type: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    if not (isinstance(lead_type, type) and issubclass(lead_type, msgspec.Struct)):
        raise ConfigurationError("lead_type must be a msgspec.Struct class.")
    config = lead_type.__struct_config__
    if config.tag is not None or config.array_like or config.forbid_unknown_fields:
        raise ConfigurationError(
            f"lead_type {lead_type.__name__} is tagged, array-like or forbids unknown fields; "
            "use a plain Struct, because the API may add fields."
        )
    return msgspec.structs.fields(lead_type)


def wire_form(found_id: object) -> str | None:
    # None: the id is empty, or the lead has none, which only a caller's own type allows.
    return str(found_id).lower() if found_id else None


def utf8_problem(body: bytes) -> DecodeError | None:
    # msgspec checks only the bytes of the fields that it keeps, but a journal line must be
    # readable as a whole.
    if body.isascii():
        return None
    try:
        body.decode()
    except UnicodeDecodeError as error:
        cut = error.reason == "unexpected end of data"  # in the middle of a character
        return DecodeError(
            "The answer is not UTF-8", raw=body, reason="truncated" if cut else "malformed"
        )
    return None


def _not_an_object(body: bytes, reason: Failure) -> DecodeError:
    return DecodeError("The answer is not a JSON object", raw=body, reason=reason)


def _not_the_lead(body: bytes, found_id: str | None) -> DecodeError:
    # No id, or that of something else, such as a request; that may be a UUID, too.
    if to_wire_id(found_id) is None or _A_LEAD_KEY.search(body) is None:
        return foreign(body, "the lead")
    return DecodeError(
        "The answer is a different lead than the requested one",
        path="$.id",
        raw=body,
        reason="other lead",
    )
