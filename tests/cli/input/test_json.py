"""JSON as people have it: documents, pages, lines and events; where its ids are found."""

import json
from typing import Any

import pytest
from inputs import Found, bytewise, result, understand

from instantly_async.testing import lead_ids

A, B, C = lead_ids(3)
EVENT = "3fe1b2c4-0000-4000-8000-00000000000e"


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
    data = f'["{A}", {{"n": {number}, "id": "{B}"}}]'.encode()
    sentence = "in.json is not JSON {}; fix it, or copy it again."
    assert result("in.json", data) == sentence.format(place)
    assert result("in.json", bytewise(data)) == sentence.format("behind element 1")
