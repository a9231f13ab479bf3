"""Bytes to leads: a fast decoder, and a fallback that salvages leads with odd fields.

A lead fails with ``DecodeError`` only if its body is not a JSON object, is not UTF-8, or has
another id, or if a required field of the caller's own type does not fit. Otherwise each field is
salvaged by itself, and ``problems`` names the fields that were converted or left out.
"""

import contextlib
import operator
from collections.abc import Generator
from itertools import repeat
from typing import Any, Generic, TypeVar

import msgspec

from instantly_async.errors import ConfigurationError, DecodeError
from instantly_async.settings import max_page_bytes

from .salvage import MISFIT, parse_object, salvage_struct
from .scanning import PageScan, is_cut_off
from .steps import Steps

L = TypeVar("L")

Decoded = tuple[L, tuple[str, ...]]
"""A lead and the paths of its fields that had to be converted or left out."""

_MAX_BYTES_AT_ONCE = 4 * 1024 * 1024
"""Pages of up to 100 leads are smaller, usually by far. Decoding so much takes about 10 ms."""


class LeadItem(msgspec.Struct, Generic[L], gc=False):
    """A lead, the fields that had to be converted or left out, and the server's own JSON.

    ``raw`` may be ``None`` if it is not to be kept and there are no ``problems``.
    """

    lead: L
    problems: tuple[str, ...] = ()
    raw: bytes | None = None


PageItems = dict[str | None, LeadItem[L] | None]
"""Leads by id, in lower case. Key ``None``: the item has no id. Value ``None``: the item does not
decode."""


class _IdOnly(msgspec.Struct, gc=False):
    id: str


class _IdPage(msgspec.Struct, gc=False):
    items: list[_IdOnly]


class _RawPage(msgspec.Struct, gc=False):
    items: list[msgspec.Raw]


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

    def decode(self, body: bytes, wire_id: str) -> Decoded[L]:
        """Decode one lead and check that it is the requested one.

        ``wire_id`` is in lower case.

        Raises:
            DecodeError: see the module's docstring.
        """
        problem = _utf8_problem(body)
        if problem is not None:
            raise problem
        try:
            lead = self._fast.decode(body)
            if self._id_name is not None and self._get_id(lead) == wire_id:
                return lead, ()  # the usual case
            found_id = self._id_of(lead, body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found_id = None
        if found_id is None:  # outside the except block, as msgspec's error can quote values
            return self._salvage(body, wire_id)
        if found_id != wire_id:
            raise _other_lead(body)
        return lead, ()

    def ids_of(self, leads: list[L]) -> list[str | None] | None:
        """Return the leads' ids in lower case; ``None``: the type has no field for them."""
        if self._id_name is None:
            return None
        found_ids = list(map(self._get_id, leads))
        if all(found_ids):
            with contextlib.suppress(TypeError):  # not all are strings
                return list(map(str.lower, found_ids))
        return [_wire_form(found_id) for found_id in found_ids]

    def _id_of(self, lead: L, body: bytes) -> str | None:
        if self._id_name is None:
            return _wire_form(self._id_only.decode(body).id)
        return _wire_form(getattr(lead, self._id_name))

    def decode_item(self, body: bytes) -> tuple[str | None, LeadItem[L] | None]:
        """Return the id and the lead of one item of a page, as in ``PageItems``."""
        is_utf8 = _utf8_problem(body) is None
        if is_utf8:
            try:
                lead = self._fast.decode(body)
                return self._id_of(lead, body), LeadItem(lead, (), body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass  # salvaged outside the except block, as the error can quote values
        parsed = parse_object(body if is_utf8 else body.decode(errors="replace").encode())
        if parsed is None or not isinstance(parsed[0].get("id"), str):
            return None, None
        found_id = _wire_form(parsed[0]["id"])
        if not is_utf8:
            return found_id, None
        try:
            lead, problems = self._fit(*parsed, body)
        except DecodeError:
            return found_id, None
        return found_id, LeadItem(lead, problems, body)

    def _salvage(self, body: bytes, wire_id: str) -> Decoded[L]:
        parsed = parse_object(body)
        if parsed is None:
            raise DecodeError(
                "The answer is not a JSON object",
                raw=body,
                reason="truncated" if is_cut_off(body) else "malformed",
            )
        if _wire_form(parsed[0].get("id")) != wire_id:
            raise _other_lead(body)
        return self._fit(*parsed, body)

    def _fit(self, fields: dict[str, Any], converted: set[str], body: bytes) -> Decoded[L]:
        problems = [f.encode_name for f in self._fields if f.encode_name in converted]
        lead = salvage_struct(self.type, fields, "", problems)
        if lead is MISFIT:
            raise DecodeError(
                f"The lead does not match its type at {problems[-1]}", path=problems[-1], raw=body
            )
        return lead, tuple(dict.fromkeys(problems))


class PageDecoder(Generic[L]):
    """Decodes list pages, ``{"items": [lead, …]}``: all at once, or item by item if that fails.

    An item over ``max_lead_bytes`` counts as one without a usable id, so ids that the page leaves
    out are fetched alone, which shows which of them is too large. ``max_bytes`` is the cap of a
    page.
    """

    def __init__(self, leads: LeadDecoder[L], max_lead_bytes: int) -> None:
        self.max_bytes = max_page_bytes(max_lead_bytes)
        self._leads = leads
        self._max_lead_bytes = max_lead_bytes
        # A smaller page has no item that is too large.
        self._max_at_once = min(_MAX_BYTES_AT_ONCE, max_lead_bytes)
        page_type = msgspec.defstruct("Page", [("items", list[leads.type])], gc=False)  # type: ignore[name-defined]  # a type made at run time
        self._fast: msgspec.json.Decoder[Any] = msgspec.json.Decoder(page_type)
        self._ids = msgspec.json.Decoder(_IdPage)
        self._raws = msgspec.json.Decoder(_RawPage)

    def decode(self, body: bytes, *, keep_raw: bool = False) -> PageItems[L] | Steps[PageItems[L]]:
        """Decode a page, in its order. If two items have the same id, the last one counts.

        Returns steps if an item is odd or the page is large, because that takes long. The ids are
        not checked: the caller must compare them with the requested ones.

        Raises (the steps do):
            DecodeError: the body is not an object with an array of items.
        """
        if len(body) <= self._max_at_once:
            # Raw JSON must be UTF-8, but msgspec checks only the fields that it keeps. The check
            # is skipped if no raw JSON is kept, because it costs half as much as the decoding.
            is_clean = not keep_raw or _utf8_problem(body) is None
            items = self._decode_fast(body, keep_raw=keep_raw) if is_clean else None
            if items is not None:
                return items
        return Steps(self._decode_in_steps(body))

    def _decode_in_steps(self, body: bytes) -> Generator[None, None, PageItems[L]]:
        """Find an item, decode it, find the next one; each of these is a step."""
        items: PageItems[L] = {}
        scan = PageScan(body)
        for part in scan:
            yield
            if part is None:
                items.clear()
            elif part.startswith(b"{") and len(part) <= self._max_lead_bytes:
                found_id, item = self._leads.decode_item(part)
                items[found_id] = item
                yield
            elif part:  # not an object, or too large
                items[None] = None
        if scan.failure is not None:
            raise DecodeError("The answer is not a page of leads", raw=body, reason=scan.failure)
        return items

    def _decode_fast(self, body: bytes, *, keep_raw: bool) -> PageItems[L] | None:
        try:
            leads = self._fast.decode(body).items
            ids = self._leads.ids_of(leads) or [
                _wire_form(item.id) for item in self._ids.decode(body).items
            ]
            if keep_raw:
                # Copies, because a view would keep the whole page in memory.
                raws = [bytes(raw) for raw in self._raws.decode(body).items]
                return dict(zip(ids, map(LeadItem, leads, repeat(()), raws), strict=True))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return dict(zip(ids, map(LeadItem, leads), strict=True))


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


def _wire_form(found_id: object) -> str | None:
    # None: the id is empty, or the lead has none, which only a caller's own type allows.
    return str(found_id).lower() if found_id else None


def _utf8_problem(body: bytes) -> DecodeError | None:
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


def _other_lead(body: bytes) -> DecodeError:
    return DecodeError(
        "The answer is a different lead than the requested one",
        path="$.id",
        raw=body,
        reason="other lead",
    )
