"""JSON as people have it: documents, pages, lines and events; where its ids are found."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inputs import bytewise, read_input, refusal, understand

from instantly_async.testing import lead_ids

A, B, C = lead_ids(3)
EVENT = "3fe1b2c4-0000-4000-8000-00000000000e"


def lines(*values: Any) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


PAGE = {"total": 2, "items": [{"id": A, "n": {"id": C}}, {"id": B}], "next": B}
FILES: dict[str, tuple[str, list[str], str | None]] = {
    "an array of strings": (json.dumps([A, B]), [A, B], None),
    "printed prettily": (json.dumps([A, B], indent=2), [A, B], None),
    "behind blanks": (f" \n\t {json.dumps([A, B])}", [A, B], None),
    "null before": (json.dumps([None, A, {"id": None}, B]), ["", A, "", B], None),
    "an array of objects": (json.dumps([{"n": 1, "id": A}, {"id": B}]), [A, B], "id"),
    "one array per line": (lines([A], [B, C]), [A, B, C], None),
    "a page": (json.dumps({"items": [{"id": A}], "next": B}), [A], "id"),
    "a page with other keys first": (json.dumps(PAGE), [A, B], "id"),
    "a page, printed prettily": (json.dumps(PAGE, indent=1), [A, B], "id"),
    "a page of ids": (json.dumps({"campaign": "x", "lead_ids": [A, B]}), [A, B], None),
    "pages, one per line": (lines({"n": 1, "data": [{"id": A}]}, {"data": [B]}), [A, B], "id"),
    "pages without line ends": (f"{json.dumps(PAGE)}{json.dumps([C])}", [A, B, C], "id"),
    "an empty page before": (lines({"n": 0, "leads": []}, PAGE), [A, B], "id"),
    "objects over several lines": (
        f'{json.dumps({"id": A}, indent=2)}\n{json.dumps({"id": B}, indent=2)}', [A, B], "id",
    ),
    "strings behind": (f'["{A}"]\n"{B}"', [A, B], None),
    "objects in one line": (f'{{"id": "{A}"}}{{"id": "{B}"}}', [A, B], "id"),
    "several levels of arrays in a lead": (
        json.dumps([{"x": [[{"id": C}], C], "id": A}, {"id": B, "x": [C]}]), [A, B], "id",
    ),
    "a list and an id": (json.dumps({"id": C, "ids": [A, B]}), [A, B], None),
    "a list of leads and an id": (lines({"leads": [{"id": A}, {"id": B}], "id": C}), [A, B], "id"),
    "records of Airtable": (
        json.dumps({"records": [{"id": "rec1", "fields": {"Lead ID": A}}]}), [A], "fields.Lead ID",
    ),
    "rows": (json.dumps({"rows": [{"uuid": A}, {"uuid": B}]}), [A, B], "uuid"),
    "a long run of digits in a string": (
        json.dumps([{"id": A, "x": "9" * 5000}, {"id": B}]), [A, B], "id",
    ),
    "an empty key": (json.dumps([{"": {"id": C}, "id": A}, {"id": B}]), [A, B], "id"),
    "an empty key at the top": (json.dumps({"": {"n": 1}, "items": [A, B]}), [A, B], None),
    "keys with points": (json.dumps([{"a": {"b.item": [1]}, "id": A}, {"id": B}]), [A, B], "id"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "ids", "key"), FILES.values(), ids=FILES)
def test_documents(text: str, ids: list[str], key: str | None) -> None:
    """They are known by their beginning, whatever the name says; elements have numbers."""
    places = [(each, f"element {number}") for number, each in enumerate(ids, 1)]
    for name in ("in.json", "in.jsonl", "in", "in.txt"):
        found, facts = understand(name, text.encode())
        assert (found, facts["format"], facts.get("column")) == (places, "JSON document", key)
        assert understand(name, bytewise(text.encode())) == (found, facts)


LEAD = {"id": A, "email": "ada@example.com", "payload": {"id": "7", "lead_id": C}}
LINES: dict[str, tuple[str, list[str], str | None]] = {
    "leads that fetch has written": (lines(LEAD, {**LEAD, "id": B}), [A, B], "id"),
    "its errors file": (
        lines({"id": A, "error": "not_found"}, {"id": "typo", "error": "invalid_id", "line": 2}),
        [A, "typo"],
        "id",
    ),
    "events": (lines({"event": "x", "lead_id": A}, {"lead_id": B}), [A, B], "lead_id"),
    "events with an id of their own": (
        lines({"id": EVENT, "lead_id": A}, {"lead_id": B, "id": EVENT}), [A, B], "lead_id",
    ),
    "events around a lead": (
        lines({"id": EVENT, "lead": {"id": A}}, {"lead": {"id": B}}), [A, B], "lead.id",
    ),
    "events around data": (lines({"data": {"id": A}}, {"data": {"id": B}}), [A, B], "data.id"),
    "events with a list": (
        lines({"lead_id": A, "items": [{"id": C}]}, {"lead_id": B, "items": []}), [A, B], "lead_id",
    ),
    "events with an empty list first": (
        lines({"items": [], "lead_id": A}, {"items": [C], "lead_id": B}), [A, B], "lead_id",
    ),
    "objects around leads with lists": (
        lines({"lead": {"id": A}, "data": [C]}, {"lead": {"id": B}}), [A, B], "lead.id",
    ),
    "other spellings": (
        lines({"leadId": A.upper()}, {"leadId": f" {{{B}}} "}), [A, B], "leadId",
    ),
    "an empty key": (lines({"": {"id": C}, "id": A}, {"id": B}), [A, B], "id"),
    "integers that Python refuses": (
        f'{{"n": {"9" * 4301}, "lead_id": "{A}"}}\n{{"n": {"9" * 4301}, "lead_id": "{B}"}}\n',
        [A, B],
        "lead_id",
    ),
    "what JSON does not know": (f'{{"id": "{A}", "score": NaN}}\n', [A], "id"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "ids", "key"), LINES.values(), ids=LINES)
def test_lines(text: str, ids: list[str], key: str | None) -> None:
    """An object per line has the number of its line."""
    places = [(each, f"line {number}") for number, each in enumerate(ids, 1)]
    for name in ("in.json", "in.jsonl", "in", "in.txt"):
        found, facts = understand(name, text.encode())
        assert (found, facts["format"], facts.get("column")) == (places, "JSON Lines", key)
        assert understand(name, bytewise(text.encode())) == (found, facts)


def test_lines_of_strings() -> None:
    """As JSON only by name: otherwise they are ids in quotes."""
    text = lines(A, B).encode()
    for name, form in (("in.jsonl", "JSON Lines"), ("in.json", "JSON Lines"), ("in", "text")):
        found, facts = understand(name, text)
        assert (found, facts["format"]) == ([(A, "line 1"), (B, "line 2")], form)


@pytest.mark.parametrize(
    ("value", "column", "ids"),
    [
        ({"id": C, "lead": {"id": A}}, "id", [C]),
        ({"id": C, "lead": {"id": A}}, "lead.id", [A]),
        ({"id": C, "x": {"y": {"Ref": A}}}, "x.y.ref", [A]),
        ({"ref": A, "items": [C]}, "ref", [A]),
        ({"n": 1, "items": [{"id": C, "ref": A}, {"ref": B}]}, "ref", [A, B]),
    ],
)
def test_the_named_key(value: dict[str, Any], column: str, ids: list[str]) -> None:
    found, _ = understand("in.json", json.dumps(value).encode(), column)
    assert [each for each, _ in found] == ids


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ([{"id": A, "items": [B]}], [A]),
        ([{"items": [], "id": A}], [A]),
        ([{"data": [{"n": 1}], "id": A}], None),
        ([{"results": [A, B], "lead": {"id": C}}], None),
        ([{"lead": {"id": C}, "results": [A, B]}], [C]),
        ([{"id": C, "lead_ids": []}], [C]),
        ([{"id": A, "leads": []}, {"id": B}], [A, B]),
        ([{"leads": [A], "lead_id": C}], None),
        ([{"id": A, "lead_id": "-"}, {"id": B, "lead_id": C}], ["-", C]),
        ([{"id": A}, {"id": B, "lead_id": C}], None),
        ([{"id": C, "data": {"lead_id": A}}], [A]),
        ([{"id": C, "lead": {"uuid": A}}], [A]),
        ([{"id": A, "payload": {"lead_id": C}}], [A]),
        ([{"id": A}, {"id": B, "payload": {"lead_id": C}}], [A, B]),
        ([{"items": [A, B], "uuid": "x"}], [A, B]),
        ([{"uuids": [A, B]}], None),
        ([{"0": {"id": A}, "1": {"id": B}}], None),
    ],
)
def test_white_space_does_not_decide(values: list[Any], ids: list[str] | None) -> None:
    """One line or several: the same ids, or the same refusal (``None``)."""
    outcomes = [
        read_input(name, "\n".join(json.dumps(each, indent=indent) for each in values).encode())
        for name in ("in.json", "in.jsonl")
        for indent in (None, 0, 4)
    ]
    assert {outcome.sentence is None for outcome in outcomes} == {ids is not None}
    for outcome in outcomes:
        assert ids is None or outcome.ids == ids
    assert len({(outcome.sentence or "").replace("jsonl", "json") for outcome in outcomes}) == 1


inner = st.dictionaries(
    st.sampled_from(["id", "lead_id", "n", ""]), st.sampled_from([A, B, 7, None, [C]]), max_size=3
)
member = st.one_of(
    st.sampled_from([A, C, 7, None, True, 'x\\"']),
    inner,
    st.lists(st.one_of(st.sampled_from([A, B, None, 7, [C]]), inner), max_size=3),
)
top = st.dictionaries(
    st.sampled_from(["id", "lead", "items", "data", "ids", "leads", "uuid", "0", "", "n"]), member
)


@settings(max_examples=300, deadline=None)
@given(top, st.sampled_from([None, "id", "lead.id", "n"]))
def test_neither_white_space_nor_pieces_decide(value: dict[str, Any], column: str | None) -> None:
    """Law: an object on one line gives the same as over several, in pieces of any size."""
    data = [json.dumps(value, indent=indent).encode() for indent in (None, 1)]
    outcomes = [
        read_input("in.json", pieces, column)
        for each in data
        for pieces in (each, bytewise(each), [each[:9], each[9:]])
    ]
    sentences = [str(each.sentence).replace("JSON Lines", "JSON document") for each in outcomes]
    assert len({*zip((tuple(each.ids) for each in outcomes), sentences, strict=True)}) == 1


LONG = "x" * 70_000


@pytest.mark.parametrize("name", ["in.jsonl", "in.ndjson"])
def test_a_long_first_line(name: str) -> None:
    """Its end is behind what is looked at, so the name decides; a page stays a document."""
    data = lines({"x": LONG, "id": A}) + "# comment\n\n" + lines({"id": B})
    found, facts = understand(name, data.encode())
    assert (found, facts["format"]) == ([(A, "line 1"), (B, "line 4")], "JSON Lines")
    pages = (
        lines({"items": [{"id": A, "x": LONG}]}, {"items": [B]}),
        lines([{"id": A, "x": LONG}], [B]),
        json.dumps({"id": A}) + lines({"id": B, "x": LONG}),
    )
    for each in pages:
        found, facts = understand(name, each.encode())
        assert found == [(A, "element 1"), (B, "element 2")]
        assert facts["format"] == "JSON document"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (json.dumps([1, A, None]), ["1", A, ""]),
        (json.dumps([-1.5, A], indent=1), ["-1.5", A]),
        (json.dumps([True, A]), ["True", A]),
        (json.dumps([False, A], indent=1), ["False", A]),
    ],
)
def test_arrays_that_begin_with_another_value(text: str, ids: list[str]) -> None:
    for name in ("in.json", "in.jsonl", "in"):
        outcome = read_input(name, text.encode())
        assert (outcome.ids, outcome.facts["format"]) == (ids, "JSON document")


PLAIN = "12345678123456781234567812345678"  # an id without hyphens


@pytest.mark.parametrize("text", [f"[{A}]", f"[{A}, {B}]", f"[{PLAIN}]", f"[{PLAIN}, {A}]"])
def test_ids_in_brackets_are_text(text: str) -> None:
    assert understand("in", text.encode())[1]["format"] == "text"


JQ = "write one id per line, for example with jq"
NO_KEY = "The first object of in.json has no key with lead ids; "
UNCLEAR: dict[str, tuple[Any, str]] = {
    "an array in a list": (
        {"items": [[{"id": A}, {"id": B}]]},
        f"Element 1 of in.json is an array, not an object or a string; {JQ}.",
    ),
    "an array in an array": (
        [A, ["x"]], f"Element 2 of in.json is an array, not an object or a string; {JQ}.",
    ),
    "an id behind the list": (
        {"items": [A, B], "id": C},
        (
            'An object of in.json has an id beside its list "items", so it is not clear which of '
            f"them is meant; {JQ}."
        ),
    ),
    "a list that is deeper": (
        {"data": {"items": [A]}}, f'{NO_KEY}its keys are "data.items[]"; {JQ}.',
    ),
    "a list under another key": ({"uuids": [A]}, f'{NO_KEY}its keys are "uuids[]"; {JQ}.'),
    "a list under the key of an id": ({"id": [A]}, f'{NO_KEY}its keys are "id[]"; {JQ}.'),
    "a lead that is deeper": (
        {"type": "x", "event": {"lead": {"id": A}}},
        (
            f'{NO_KEY}its keys are "type", "event.lead.…"; use --column to name the one that '
            f"holds the lead ids, or {JQ}."
        ),
    ),
    "objects by number": (
        {"0": {"id": A}, "1": {"id": B}}, f'{NO_KEY}its keys are "0.id", "1.id"; {JQ}.',
    ),
    "leads by number": (
        {"0": {"lead_id": A}, "1": {"lead_id": B}},
        f'{NO_KEY}its keys are "0.lead_id", "1.lead_id"; {JQ}.',
    ),
    "objects by id": (
        {A: {"lead_id": A}, B: {"n": 1}}, f"{NO_KEY}its keys are ids or emails; {JQ}.",
    ),
    "lists by email": ({"ada@example.com": [A]}, f"{NO_KEY}its keys are ids or emails; {JQ}."),
}  # fmt: skip


@pytest.mark.parametrize(("value", "sentence"), UNCLEAR.values(), ids=UNCLEAR)
def test_ids_that_are_unclear_or_elsewhere(value: Any, sentence: str) -> None:
    """No id is lost silently; the sentence shows the way out."""
    for indent in (None, 1):
        assert refusal("in.json", json.dumps(value, indent=indent).encode()) == sentence


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_an_event_without_its_lead_does_not_bring_its_own_id(name: str) -> None:
    """``null`` and an empty text keep their place: ``id`` is that of the event."""
    for empty in (None, ""):
        events = [{"id": C, "lead_id": empty}, {"id": C, "lead_id": A}, {"id": C, "lead_id": B}]
        lines = "\n".join(map(json.dumps, events)) if name == "a.jsonl" else json.dumps(events)
        ids, facts = understand(name, lines.encode())
        assert [each for each, _ in ids] == ["", A, B]
        assert facts["column"] == "lead_id"


@pytest.mark.parametrize("name", ["in.json", "in.jsonl"])
def test_leads_within_an_element_are_not_lost(name: str) -> None:
    """Two campaigns with their leads: the ids of the campaigns are not meant."""
    campaigns = [{"id": C, "leads": [{"id": A}]}, {"id": C, "leads": [{"id": B}]}]
    outcome = read_input(name, json.dumps(campaigns).encode())
    assert outcome.sentence is not None
    assert 'has a list "leads" of its own' in outcome.sentence
    later = json.dumps({"id": C}) + "\n" + json.dumps(campaigns[0])
    assert 'has a list "leads" of its own' in (
        read_input("in.jsonl", later.encode()).sentence or ""
    )
