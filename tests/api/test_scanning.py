"""The scan of a page in steps finds what a scan at once would find."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from places import SAMPLES

from instantly_async._api.pieces import PIECE, is_cut_off
from instantly_async._api.scanning import PageScan
from instantly_async.testing import lead_ids, lead_json

LEADS = [lead_json(lead_id) for lead_id in lead_ids(3)]
FAST = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Found = list[bytes] | str
"""The items, or why there are none."""


# --- the same at once, as text in UTF-8: simple, and blocks a loop ---

SPACE = re.compile(r"[ \t\n\r]*")
CUT_TOKEN = re.compile(
    r'[ \t\n\r]*(?:"(?:[^"\\]|\\.)*+\\?|\\?u[0-9a-fA-F]{0,4}|-|\.|[eE][+-]?|tr?u?|fa?l?s?|nu?l?)?',
    re.DOTALL,
)
SCANNER = json.JSONDecoder(parse_int=len, strict=False)


def skip(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    assert match
    return match.end()


def expect(text: str, character: str, at: int) -> int:
    at = skip(text, at)
    if text[at] != character:
        raise ValueError
    return skip(text, at + 1)


def next_part(text: str, at: int, closing: str) -> int:
    at = skip(text, at)
    return at if text[at] == closing else expect(text, ",", at)


def scan_elements(text: str, at: int) -> tuple[list[slice], int]:
    spans = []
    while text[at] != "]":
        _, end = SCANNER.raw_decode(text, at)
        spans.append(slice(at, end))
        at = next_part(text, end, "]")
    return spans, at + 1


def scan_members(text: str, at: int) -> tuple[list[slice] | None, int]:
    spans: list[slice] | None = None
    while text[at] != "}":
        key, at = SCANNER.raw_decode(text, at)
        at = expect(text, ":", at)
        if key == "items" and text[at] == "[":
            spans, at = scan_elements(text, expect(text, "[", at))
        else:
            spans = None if key == "items" else spans
            _, at = SCANNER.raw_decode(text, at)
        at = next_part(text, at, "}")
    return spans, at + 1


def find_at_once(body: bytes) -> Found:
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    try:
        spans, end = scan_members(text, expect(text, "{", 0))
        if spans is not None and skip(text, end) == len(text):
            return [text[span].encode("utf-8", "surrogateescape") for span in spans]
    except (ValueError, IndexError, RecursionError):
        pass
    return "truncated" if is_cut_off_at_once(text) else "malformed"


def is_cut_off_at_once(text: str) -> bool:
    try:
        SCANNER.raw_decode(text, skip(text, 0))
    except json.JSONDecodeError as error:
        return CUT_TOKEN.fullmatch(text, error.pos) is not None
    except RecursionError:
        pass
    return False


def find_in_steps(body: bytes) -> Found:
    """Also in pieces, of which the smallest can hold ``-Infinity`` and little more."""
    by_piece = []
    for piece in (12, 21, PIECE):
        scan = PageScan(body, piece)
        found: list[bytes] = []
        for part in scan:
            if part is None:
                found.clear()
            elif part:
                found.append(part)
        by_piece.append(found if scan.failure is None else scan.failure)
    assert by_piece[0] == by_piece[1] == by_piece[2]
    return by_piece[0]


# --- laws ---

TOKENS = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"items"', b'"items":[', b'{"items":[', b'"a":'),
    *(b'"', b"\\", b'"a"', rb'"\ud83d"', rb'"\u00', b'"\xff"', '"é"'.encode(), b'"\n"', b"\xff"),
    *(b"0", b"-", b"1.", b"2e", b"-1.5e+1", b"7" * 5000, b"NaN", b"-Infinity", b"Inf"),
    *(b"t", b"true", b"fals", b"null", b"nul", b" ", b"\n", b"\xef\xbb\xbf", b"\x00", b"\xa0"),
    *(b'{"id":"x","a":[1,{"b":null}]}', b"1,]", b'"a":1,}', b'],"b":2}', b"5:1", b"],"),
]
PIECES = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=2), max_size=12).map(b"".join)
LEAD = rb'{"id":"019e18e2-6487", "status":-1.5e2, "payload":{"cut \ud83d":[true,[]],"n":{}}}'
PAGE = b' {"a" : [1, {"b": 2}] , "items" : [%s , "\xc3\xa9\\\\", 5 ] ,"n":null}\n' % LEAD


@settings(FAST, max_examples=1000)
@given(PIECES, st.sampled_from([b"%s", b'{"items":[%s]}', b'{"items":[{},%s', b'{"items":[],%s}']))
@example(b"1,", b'{"items":[%s],"a":')  # invalid before it is cut off
@example(b"", b'{"items":[1],"items":null%s}')
@example(b"5:", b'{"items":[1],%s')
@example(b'"' + b"x" * 99, b'{"a":1,"items":[%s')
def test_in_steps_as_at_once(pieces: bytes, around: bytes) -> None:
    """The same items, or the same reason why there are none."""
    body = around % pieces
    assert find_in_steps(body) == find_at_once(body)


@FAST
@given(st.binary() | PIECES)
def test_a_text_is_cut_off_as_bytes_if_it_is_as_characters(body: bytes) -> None:
    text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    assert is_cut_off(body.removeprefix(b"\xef\xbb\xbf").decode("latin-1")) == is_cut_off_at_once(
        text
    )


@pytest.mark.parametrize("change", [b"", b"}", b"]", b",", b'"', b"\xff", b"x"])
def test_a_page_that_is_changed_or_cut_anywhere(change: bytes) -> None:
    for at in range(len(PAGE) + 1):
        for body in (PAGE[:at] + change, PAGE[:at] + change + PAGE[at + 1 :]):
            assert find_in_steps(body) == find_at_once(body), body


@pytest.mark.parametrize(
    "sample", sorted(SAMPLES.rglob("*.json")), ids=lambda path: path.parent.name
)
def test_samples(sample: Path) -> None:
    body = sample.read_bytes()
    for text in (body, b'{"items":[%s]}' % body, b'{"items":[%s,%s],"n":%s' % (body, body, body)):
        for cut in (len(text), len(text) - 1, len(text) // 2):
            assert find_in_steps(text[:cut]) == find_at_once(text[:cut])


# --- steps ---


def test_a_step_finds_one_item_or_passes_one_member() -> None:
    body = b'{"a":[1,2],"items":[%s],"b":{"c":[]},"n":null}' % b",".join(LEADS)
    assert list(PageScan(body)) == [b"", None, *LEADS, b"", b""]
    twice = b'{"items":[1],"items":[2, 3],"items":5}'
    scan = PageScan(twice)
    assert list(scan) == [None, b"1", None, b"2", b"3", b""]
    assert scan.failure == "malformed"
