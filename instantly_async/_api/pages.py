"""List pages to leads: in pieces of some leads, and item by item where one is odd."""

import re
from codecs import BOM_UTF8
from collections.abc import Generator, Iterator
from itertools import repeat
from typing import Any, Generic, TypeVar

import msgspec

from instantly_async.errors import DecodeError
from instantly_async.settings import max_page_bytes

from .decoding import MAX_BYTES_AT_ONCE, LeadDecoder, LeadItem, utf8_problem, wire_form
from .foreign import foreign
from .pieces import Failure
from .scanning import PageScan
from .steps import Steps

L = TypeVar("L")


class PageItems(dict[str | None, LeadItem[L] | None]):
    """Leads by id, in lower case. Key ``None``: no id. Value ``None``: it does not decode.

    ``nameless`` counts the items without an id. ``is_cut``: the page has more items.
    """

    nameless = 0
    is_cut = False


_ENOUGH = 1000
"""Items after which a page is not read on. It has ten times as many as were requested, so it is no
answer to that request, whatever follows."""

_BEGINNING = re.compile(rb'\{\s*"items"\s*:')

_LEADING_ID = re.compile(rb'\{\s*"id"\s*:\s*"([0-9A-Fa-f-]{36})"')

_FIRST_KEY = re.compile(rb'"items"\s*:\s*\[\s*\{\s*("[^"\\]*")')


class _IdOnly(msgspec.Struct, gc=False):
    id: str


class _IdPage(msgspec.Struct, gc=False):
    items: list[_IdOnly]


class _RawPage(msgspec.Struct, gc=False):
    items: list[msgspec.Raw]


class PageDecoder(Generic[L]):
    """Decodes list pages, ``{"items": [lead, …]}``: many leads at once, or item by item.

    An item over ``max_lead_bytes`` counts as one that does not decode; its id is known if it comes
    first, as in the vendor's schema. ``max_bytes`` is the cap of a page.
    """

    def __init__(self, leads: LeadDecoder[L], max_lead_bytes: int) -> None:
        self.max_bytes = max_page_bytes(max_lead_bytes)
        self._leads = leads
        self._max_lead_bytes = max_lead_bytes
        # In so few bytes, there is no item that is too large.
        self._max_at_once = min(MAX_BYTES_AT_ONCE, max_lead_bytes)
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
        items = self._decode_at_once(body, keep_raw=keep_raw)
        return Steps(self._decode_in_steps(body, keep_raw=keep_raw)) if items is None else items

    def _decode_at_once(self, body: bytes, *, keep_raw: bool) -> PageItems[L] | None:
        """Decode a page that is not large; ``None``: it is, or it is odd."""
        # Raw JSON must be UTF-8, but msgspec checks only the fields that it keeps. The check is
        # skipped if no raw JSON is kept, because it costs half as much as the decoding.
        if len(body) > self._max_at_once or (keep_raw and utf8_problem(body) is not None):
            return None
        return self._decode_fast(body, keep_raw=keep_raw)

    def _decode_in_steps(
        self, body: bytes, *, keep_raw: bool
    ) -> Generator[None, None, PageItems[L]]:
        items = PageItems[L]()
        for page in _cut(body, self._max_at_once // 2):
            fast = self._decode_at_once(page, keep_raw=keep_raw)
            yield
            some = (yield from self._scan(page)) if fast is None else fast
            if isinstance(some, str):  # it is malformed, or was cut where no item begins
                break
            items.update(some)
            items.nameless += some.nameless
            if len(items) > _ENOUGH:
                items.is_cut = True
                return items
        else:
            return items
        whole = (yield from self._scan(body)) if page is not body else some
        if isinstance(whole, str):
            # A pattern takes ten times as long for white space.
            if _BEGINNING.match(body.removeprefix(BOM_UTF8).lstrip()) is None:
                raise foreign(body, "a page of leads")
            raise DecodeError("The answer is not a page of leads", raw=body, reason=whole)
        return whole

    def _scan(self, body: bytes) -> Generator[None, None, PageItems[L] | Failure]:
        """Find an item, decode it, find the next one; return why the body is no page."""
        items = PageItems[L]()
        count = 0
        scan = PageScan(body)
        for part in scan:
            yield
            if part is None:
                items = PageItems()
            elif part.startswith(b"{") and len(part) <= self._max_lead_bytes:
                found_id, item = yield from self._leads.item_in_steps(part)
                items[found_id] = item
                items.nameless += found_id is None
            elif part:  # not an object, or too large
                found_id = _leading_id(part)
                items[found_id] = None
                items.nameless += found_id is None
            count += bool(part)
            if count > _ENOUGH:
                items.is_cut = True
                return items
        return items if scan.failure is None else scan.failure

    def _decode_fast(self, body: bytes, *, keep_raw: bool) -> PageItems[L] | None:
        try:
            leads = self._fast.decode(body).items
            ids = self._leads.ids_of(leads) or [
                wire_form(item.id) for item in self._ids.decode(body).items
            ]
            if keep_raw:
                # Copies, because a view would keep the whole page in memory.
                raws = [bytes(raw) for raw in self._raws.decode(body).items]
                pairs = zip(ids, map(LeadItem, leads, repeat(()), raws), strict=True)
            else:
                pairs = zip(ids, map(LeadItem, leads), strict=True)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        items = PageItems(pairs)
        items.nameless = ids.count(None)
        return items


def _leading_id(part: bytes) -> str | None:
    found = _LEADING_ID.match(part)
    return found[1].decode().lower() if found else None


def _cut(body: bytes, size: int) -> Iterator[bytes]:
    """Cut a page into several, each of about ``size`` bytes, where items seem to begin.

    An item seems to begin where an object begins with the same key as the first item, after
    another object. If that was wrong, there is a page that is not valid. Where no item seems to
    begin, the rest is not cut.
    """
    first_key = _FIRST_KEY.search(body, 0, size) if len(body) > 2 * size else None
    if first_key is None:
        yield body
        return
    boundary = re.compile(rb"\}(\s*,\s*)\{\s*" + re.escape(first_key[1]))
    head, start, view = b"", 0, memoryview(body)  # a view, so that each byte is copied once
    while found := boundary.search(body, start + size, start + 8 * size):
        yield b"".join((head, view[start : found.start(1)], b"]}"))
        head, start = b'{"items":[', found.end(1)
    yield b"".join((head, view[start:]))
