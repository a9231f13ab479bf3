"""JSON documents that are large or deep, and numbers that Python refuses."""

import json
from types import SimpleNamespace
from typing import Any

import ijson
import pytest
from inputs import bytewise, refusal, understand

from instantly_async.cli.input import json_documents
from instantly_async.cli.input.reader import IdReader
from instantly_async.testing import lead_ids

A, B, C = lead_ids(3)


@pytest.mark.parametrize("opening", ['{"x": ', '[{"x": ', '{"items": [{"x":'])
def test_documents_that_are_nested_deeply(opening: str) -> None:
    """A level takes no memory of its path, and no recursion."""
    pieces = [opening.encode() * 5000] * 20
    assert refusal("in.json", pieces) == (
        "in.json ends too early at its beginning; fix it, or copy it again."
    )


def test_long_strings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """ijson reads a string from its beginning with each piece, which would be quadratic."""
    sent: list[int] = []

    class Spy:
        def __init__(self, events: Any, **options: Any) -> None:
            self._json = ijson.basic_parse_coro(events, **options)
            self.close = self._json.close

        def send(self, data: bytes) -> None:
            sent.append(len(data))
            self._json.send(data)

    spied = SimpleNamespace(JSONError=ijson.JSONError, basic_parse_coro=Spy)
    monkeypatch.setattr(json_documents, "ijson", spied)
    data = json.dumps([A, {"x": '\\"y\\' * 100_000, "id": B}, C]).encode()
    found, _ = understand("in.json", [data[at : at + 1023] for at in range(0, len(data), 1023)])
    assert [each for each, _ in found] == [A, B, C]
    assert sum(sent) == len(data)
    assert len(sent) < 80  # those of 64 KiB, and of what is behind the string


def test_a_long_element_is_complete_at_its_end() -> None:
    """A pipe may be endless: an id does not wait for the next element."""
    reader = IdReader(None, "in.json")
    pieces = [f'[{{"id": "{A}", "x": "{"x" * 70_000}", "n":', " 1", "2", "}"]
    found = [[str(each) for each in reader.feed(piece.encode())] for piece in pieces]
    assert found == [[], [], [], [A]]


def test_elements_that_are_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is behind the list is not an element, and may have any length."""
    monkeypatch.setattr(json_documents, "MAX_LINE_BYTES", 1 << 20)  # instead of 129 MiB
    more = [b'{"x": "' + b"x" * 1000 + b'"},'] * 2000
    behind = [f'{{"items": ["{A}"], "n": ['.encode(), *more, b"1]}"]
    assert understand("in.json", behind)[0] == [(A, "element 1")]
    for long in ([b'"', *[b"x" * 1000] * 2000], [b'{"id": 1, "x": [', *[b"1, "] * 400_000]):
        assert refusal("in.json", [f'["{A}", '.encode(), *long]) == (
            "Element 2 of in.json is longer than 1 MiB; name another file."
        )


LONG = ["1" * 1900, "1" * 5000, "1" * 70_000, f"-{'1' * 4301}", "1." + "3" * 5000]


@pytest.mark.parametrize("number", ["1e400", "-1E-400", *LONG])
def test_numbers_that_no_one_needs_are_read_over(number: str) -> None:
    text = f'[{{"n": {number}, "id": "{A}"}}]'
    for pieces in (text.encode(), bytewise(text.encode())):
        assert understand("in.json", pieces)[0] == [(A, "element 1")]


@pytest.mark.parametrize("number", [f"1e{'9' * 30}", f"1e-{'9' * 30}"])
def test_numbers_that_python_refuses(number: str) -> None:
    """ijson raises an error of ``decimal``."""
    data = f'["{A}",\n{{"n": {number}, "id": "{B}"}}]'.encode()
    sentence = "in.json is not JSON behind element 1; fix it, or copy it again."
    assert refusal("in.json", data) == refusal("in.json", bytewise(data)) == sentence
