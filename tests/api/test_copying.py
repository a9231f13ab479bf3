"""Copies of leads: equal, and with nothing in common that can be changed."""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from stepping import at_once

from instantly_async import Lead
from instantly_async._api import LeadDecoder, LeadItem, deep_copy
from instantly_async.testing import lead_ids, lead_json

(ID,) = lead_ids(1)


class Note(msgspec.Struct):
    text: str


class Fixed(msgspec.Struct, frozen=True):
    notes: list[Note]


class Pair(NamedTuple):
    tags: set[str]
    note: Note


@dataclass
class Plain:
    note: Note


@dataclass(frozen=True, slots=True)
class FixedPlain:
    note: Note


class Slotted:
    """As an attrs class appears to msgspec."""

    __slots__ = ("note",)
    note: Note

    def __init__(self, note: Note) -> None:
        self.note = note

    class _Attribute(NamedTuple):
        name: str

    __attrs_attrs__ = (_Attribute("note"),)


class Deep(msgspec.Struct, dict=True):
    """Every kind of type that msgspec decodes into and that can hold something changeable."""

    id: str
    fixed: Fixed
    pair: Pair
    pairs: tuple[Note, ...]
    plain: Plain
    fixed_plain: FixedPlain
    by_key: dict[str, list[Note]]
    data: bytearray
    anything: Any = None
    tags: Any = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        if not isinstance(self.tags, str):
            raise TypeError("tags is a string in JSON only")
        self.tags = self.tags.split(",")
        self.extra = [self.id]
        self.itself: Any = self


TEXT = json.dumps(
    {
        "id": ID,
        "fixed": {"notes": [{"text": "a"}]},
        "pair": [["x"], {"text": "b"}],
        "pairs": [{"text": "c"}],
        "plain": {"note": {"text": "d"}},
        "fixed_plain": {"note": {"text": "e"}},
        "by_key": {"k": [{"text": "f"}]},
        "data": "AA==",
        "anything": {"k": [{"k": []}, None]},
        "tags": "one,two",
    }
).encode()


def changeable(value: Any, seen: dict[int, Any] | None = None) -> dict[int, Any]:
    """Return all objects in a value that can be changed, by their ids."""
    seen = {} if seen is None else seen
    if id(value) in seen:
        return seen
    if isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, list | set | bytearray):
        parts = [*value]
    elif isinstance(value, tuple):
        for part in value:
            changeable(part, seen)
        return seen
    elif isinstance(value, msgspec.Struct | Plain | FixedPlain | Slotted):
        parts = [getattr(value, name) for name in getattr(value, "__slots__", ())]
        parts += [*msgspec.structs.astuple(value)] if isinstance(value, msgspec.Struct) else []
        parts += vars(value).values() if hasattr(value, "__dict__") else []
    else:
        return seen
    seen[id(value)] = value
    for part in parts:
        changeable(part, seen)
    return seen


def require_independent(value: Any) -> Any:
    copy = deep_copy(value)
    assert copy == value
    assert type(copy) is type(value)
    assert len(changeable(copy)) == len(changeable(value))
    assert not changeable(copy).keys() & changeable(value).keys()
    return copy


def test_any_type_that_a_lead_may_have_is_copied_to_its_end() -> None:
    """Also what ``__post_init__`` has added; it is not called again, as it could not take that."""
    lead, _ = at_once(LeadDecoder(Deep).decode(TEXT, ID))
    lead.itself = None
    copy = require_independent(lead)
    assert copy.tags == ["one", "two"]
    assert copy.extra == [ID]
    assert len(changeable(copy)) > 20  # the helper finds them


def test_a_lead_that_holds_itself_is_copied_once() -> None:
    lead, _ = at_once(LeadDecoder(Deep).decode(TEXT, ID))
    copy = deep_copy(lead)
    assert copy.itself is copy is not lead


def test_an_attrs_class_is_copied() -> None:
    original = Slotted(Note("a"))
    copy = deep_copy([original])[0]
    assert copy is not original
    assert copy.note == original.note
    assert copy.note is not original.note


def test_the_payload_is_all_of_a_lead_that_can_be_changed() -> None:
    """A copy can be encoded, compared and changed like the first one."""
    lead, _ = at_once(LeadDecoder(Lead).decode(lead_json(ID), ID))
    item = LeadItem(lead, ("$.x",), b"{}")
    copy = require_independent(item).lead
    assert msgspec.json.encode(copy) == msgspec.json.encode(lead)
    assert lead.payload is not None
    before = dict(lead.payload)
    copy.payload["x"] = "changed"
    assert lead.payload == before


def test_a_payload_may_be_as_deep_as_it_can_be_decoded() -> None:
    """Python's own stack is not deep enough for that."""
    for depth in (100, 400, 800):
        nested = b'{"k":' * depth + b"1" + b"}" * depth
        body = b'{"id":"%s","payload":%s}' % (ID.encode(), nested)
        lead, _ = at_once(LeadDecoder(Lead).decode(body, ID))
        original: Any = lead.payload
        copy: Any = deep_copy(lead).payload
        levels = 0
        while isinstance(original, dict):
            assert original is not copy
            original, copy = original["k"], copy["k"]
            levels += 1
        assert (levels, copy) == (depth, 1)


class Opaque:
    """An object of the caller's, that nobody could copy."""

    def __reduce__(self) -> str:
        raise TypeError


class WithObject(msgspec.Struct):
    note: Note
    opaque: Any = msgspec.field(default_factory=Opaque)


def test_what_a_type_made_itself_is_shared() -> None:
    original = WithObject(Note("a"))
    copy = deep_copy(original)
    assert copy.opaque is original.opaque
    assert copy.note is not original.note


leaves = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(values)
def test_law(value: Any) -> None:
    """Any value of lists, dicts and tuples has an equal copy that is independent of it."""
    require_independent(value)
