"""JSON as people have it: documents, pages, lines and events; where its ids are found."""

import json
from typing import Any

import pytest
from inputs import bytewise, refusal, understand

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
        json.dumps([{"x": [[{"id": C}], C], "id": A}, {"id": B, "leads": [C]}]), [A, B], "id",
    ),
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
    "objects around leads with lists": (
        lines({"lead": {"id": A}, "data": [C]}, {"lead": {"id": B}}), [A, B], "lead.id",
    ),
    "other spellings": (
        lines({"leadId": A.upper()}, {"leadId": f" {{{B}}} "}), [A, B], "leadId",
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


@pytest.mark.parametrize("opening", ["[", '{"x": ', '[{"x": ', '{"items": ['])
def test_documents_that_are_nested_too_deeply(opening: str) -> None:
    """Each level takes the memory of its path: 100 kB of brackets would take 25 GB."""
    data = f"{opening * 100_000}".encode()
    pieces = [data[start : start + 5000] for start in range(0, len(data), 5000)]
    assert refusal("in.json", pieces) == (
        "in.json is not JSON at its beginning; fix it, or copy it again."
    )


@pytest.mark.parametrize("number", ["1" * 1900, "1e400", "-1E-400", "1." + "3" * 1900])
def test_numbers_that_no_one_needs_are_read_over(number: str) -> None:
    text = f'[{{"n": {number}, "id": "{A}"}}]'
    assert understand("in.json", text.encode())[0] == [(A, "element 1")]


@pytest.mark.parametrize(
    ("number", "place"),
    [
        ("1" * 5000, "at its beginning"),
        ("1" * 70_000, "at its beginning"),
        (f"1e{'9' * 30}", "behind element 1"),
        (f"1e-{'9' * 30}", "behind element 1"),
    ],
)
def test_numbers_that_python_refuses(number: str, place: str) -> None:
    """ijson crashes on the first two, and raises an error of ``decimal`` for the others."""
    data = f'["{A}",\n{{"n": {number}, "id": "{B}"}}]'.encode()
    sentence = "in.json is not JSON {}; fix it, or copy it again."
    assert refusal("in.json", data) == sentence.format(place)
    assert refusal("in.json", bytewise(data)) == sentence.format("behind element 1")
