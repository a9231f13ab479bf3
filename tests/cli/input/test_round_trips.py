"""Laws of the input: any format, encoding and compression; cut, split and damaged anywhere."""

import csv
import io
import json
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inputs import COMPRESS, Outcome, book, bytewise, read_input, understand

from instantly_async._api import email_key, wire_email, wire_id
from instantly_async.cli.input.sought import EMAILS
from instantly_async.testing import lead_ids

A, B, C = lead_ids(3)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be")
SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    str.upper,
    lambda each: each.replace("-", ""),
    lambda each: f"{{{each}}}",
    lambda each: f"urn:uuid:{each}",
    lambda each: f"\xa0{each}\u200b",
    lambda each: f"'{each}'",
)


def table(delimiter: str, ids: list[str]) -> str:
    file = io.StringIO()
    rows = [(f"Zo\xeb{delimiter}\n{number}", each) for number, each in enumerate(ids)]
    csv.writer(file, delimiter=delimiter).writerows([("name", "Lead ID"), *rows])
    return file.getvalue()


def objects(ids: list[str]) -> list[dict[str, object]]:
    return [{"n": number, "x": {"y": [1]}, "id": each} for number, each in enumerate(ids)]


FORMATS: dict[str, Callable[[list[str]], str]] = {
    "lines.txt": lambda ids: "\n".join(["lead_id", *ids]),
    "several.txt": lambda ids: f"# ids\n{', '.join(ids)}\n",
    "comma.csv": lambda ids: table(",", ids),
    "semicolon.csv": lambda ids: f"sep=;\n{table(';', ids)}",
    "tab.tsv": lambda ids: table("\t", ids),
    "strings.json": json.dumps,
    "pretty.json": lambda ids: json.dumps(objects(ids), indent=2),
    "page.json": lambda ids: json.dumps({"n": 1, "items": objects(ids), "next": None}),
    "objects.jsonl": lambda ids: "\n".join(map(json.dumps, objects(ids))),
    "strings.jsonl": lambda ids: "\n".join(map(json.dumps, ids)),
}

spelled = st.tuples(st.uuids(), st.sampled_from(SPELLINGS))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([*FORMATS]),
    st.lists(spelled, min_size=1, max_size=8),
    st.sampled_from(ENCODINGS),
    st.sampled_from(["", *COMPRESS]),
    st.integers(1, 500),
)
def test_every_list_of_ids_comes_back(
    name: str,
    ids: list[tuple[UUID, Callable[[str], str]]],
    encoding: str,
    suffix: str,
    size: int,
) -> None:
    """Law: whatever the format, encoding, compression and spelling, and however it is read."""
    text = FORMATS[name]([spell(str(each)) for each, spell in ids])
    data = text.encode(encoding)
    data = COMPRESS[suffix](data) if suffix else data
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    found, _ = understand(name + suffix, pieces)
    assert [each for each, _ in found] == list(dict.fromkeys(str(each) for each, _ in ids))


@settings(max_examples=15, deadline=None)
@given(st.lists(spelled, min_size=1, max_size=8), st.integers(0, 3), st.integers(0, 2))
def test_every_workbook_comes_back(
    ids: list[tuple[UUID, Callable[[str], str]]], above: int, left: int
) -> None:
    """Law: likewise, with empty rows above and other columns beside."""
    rows = [["Lead ID"], *([spell(str(each))] for each, spell in ids)]
    data = book([*[[]] * above, *([*[7] * left, *row, "x"] for row in rows)])
    found, _ = understand("in.xlsx", data)
    assert [each for each, _ in found] == list(dict.fromkeys(str(each) for each, _ in ids))


# --- emails ----------------------------------------------------------------------------------

SPELLED_EMAILS: tuple[Callable[[str], str], ...] = (
    str,
    str.upper,
    lambda each: f"<{each}>",
    lambda each: f"mailto:{each}",
    lambda each: f"Zo\xeb van Dam <{each}>",
    lambda each: f"\xa0{each}\u200b",
    lambda each: f"'{each}'",
)

emails = st.from_regex(
    r"[a-zA-Z0-9\xfc](?:[a-zA-Z0-9.+'_-]{0,20}[a-z0-9])?@[a-z0-9-]{1,20}\.[a-z]{2,3}",
    fullmatch=True,
)
spelled_emails = st.lists(
    st.tuples(emails, st.sampled_from(SPELLED_EMAILS)), min_size=1, max_size=8
)


def of_emails(text: str) -> str:
    """Give columns and keys the names of emails."""
    return text.replace("Lead ID", "E-mail").replace("lead_id", "email").replace('"id"', '"email"')


def first_spellings(spelled: list[tuple[str, Callable[[str], str]]]) -> list[str]:
    """Return each email once, as it is spelled where it occurs first."""
    texts = [wire_email(spell(each).strip("'")) or "" for each, spell in spelled]
    firsts: dict[str, str] = {}
    for text in texts:
        firsts.setdefault(email_key(text), text)
    return list(firsts.values())


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([*FORMATS]),
    spelled_emails,
    st.sampled_from(ENCODINGS),
    st.sampled_from(["", *COMPRESS]),
    st.integers(1, 500),
)
def test_every_list_of_emails_comes_back(
    name: str,
    spelled: list[tuple[str, Callable[[str], str]]],
    encoding: str,
    suffix: str,
    size: int,
) -> None:
    """Law: as for ids, with each email once, whatever its case."""
    text = of_emails(FORMATS[name]([spell(each) for each, spell in spelled]))
    data = text.encode(encoding)
    data = COMPRESS[suffix](data) if suffix else data
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    outcome = read_input(name + suffix, pieces, by=EMAILS)
    assert (outcome.ids, outcome.sentence) == (first_spellings(spelled), None)


@settings(max_examples=15, deadline=None)
@given(spelled_emails, st.integers(0, 3), st.integers(0, 2))
def test_every_workbook_of_emails_comes_back(
    spelled: list[tuple[str, Callable[[str], str]]], above: int, left: int
) -> None:
    """Law: likewise."""
    rows = [["Lead Email"], *([spell(each)] for each, spell in spelled)]
    data = book([*[[]] * above, *([*[7] * left, *row, "x"] for row in rows)])
    outcome = read_input("in.xlsx", data, by=EMAILS)
    assert (outcome.ids, outcome.sentence) == (first_spellings(spelled), None)


# --- cut and damaged -------------------------------------------------------------------------

SMALL = {
    **{
        f"{name}, {encoding}": (name, FORMATS[name]([A, f"{{{B}}}"]).encode(encoding))
        for name in FORMATS
        for encoding in ("utf-8-sig", "utf-16-le")
    },
    **{
        f"{name}{suffix}": (f"{name}{suffix}", compress(FORMATS[name]([A, B]).encode()))
        for name in ("lines.txt", "comma.csv", "pretty.json")
        for suffix, compress in COMPRESS.items()
    },
    "bad.csv": ("bad.csv", f'n,id\r\nx,{A}\r\n"y,{B}\r\nz",{C}\r\n'.encode()),
    "bad.jsonl": ("bad.jsonl", f'{{"id": "{A}"}}\n\n{B}\n'.encode()),
    "bad.json": ("bad.json", f'[\n"{A}", "{B}"; 1]'.encode()),
    "bad.txt": ("bad.txt", f"{A}\r\n{B}\r\0\n".encode()),
    "no.txt": ("no.txt", b"ada@example.com\r\n" * 3),
}


@pytest.mark.parametrize(("name", "data"), SMALL.values(), ids=SMALL)
def test_it_does_not_matter_where_chunks_end(name: str, data: bytes) -> None:
    """Two chunks with their border at each byte, and one byte at a time."""
    expected = read_input(name, data)
    assert len(expected.found) == 2 or expected.sentence
    for border in range(1, len(data)):
        assert read_input(name, [data[:border], data[border:]]) == expected
    assert read_input(name, bytewise(data)) == expected


def assert_honest(outcome: Outcome, ids: list[str]) -> None:
    """Assert that there are only first ids of these, and one sentence at most."""
    assert outcome.ids == ids[: len(outcome.found)]
    if outcome.sentence is not None:
        assert outcome.sentence.endswith(".")
        assert "\n" not in outcome.sentence
        assert A not in outcome.sentence


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("name", ["lines.txt", "comma.csv", "pretty.json"])
def test_a_compressed_file_that_is_cut_off_anywhere(name: str, suffix: str) -> None:
    """It says how many ids were read, and yields no wrong one; before that it is no such file."""
    data = COMPRESS[suffix](FORMATS[name]([A, B]).encode())
    for length in range(1, len(data)):
        outcome = read_input(f"{name}{suffix}", bytewise(data[:length]))
        assert_honest(outcome, [A, B])
        if length >= 10:  # there is a magic number
            count = "1 id" if len(outcome.found) == 1 else f"{len(outcome.found)} ids"
            assert outcome.sentence is not None
            assert f" data ends too early, after {count}; copy or download" in outcome.sentence


@pytest.mark.parametrize("name", ["strings.json", "pretty.json", "page.json"])
def test_a_document_that_is_cut_off_anywhere(name: str) -> None:
    text = FORMATS[name]([A, B, C])
    for length in range(1, len(text)):
        outcome = read_input(name, text[:length].encode())
        assert_honest(outcome, [A, B, C])
        assert outcome.sentence


@pytest.mark.parametrize("name", ["lines.txt", "comma.csv", "objects.jsonl"])
def test_lines_that_are_cut_off_anywhere(name: str) -> None:
    """What is left of the last line is refused, or an invalid id with its line."""
    text = FORMATS[name]([A, B, C])
    for length in range(1, len(text)):
        outcome = read_input(name, text[:length].encode())
        ids = [each for each in outcome.ids if wire_id(each)]
        assert ids == [A, B, C][: len(ids)]
        assert outcome.ids[: len(ids)] == ids
        assert len(outcome.ids) <= len(ids) + 1


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([*FORMATS, "book.xlsx"]),
    st.sampled_from(["", *COMPRESS]),
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=4)), max_size=4),
)
def test_damaged_files_are_read_or_refused(
    name: str, suffix: str, damage: list[tuple[int, bytes]]
) -> None:
    """Law: ids or one sentence, never an error of a library.

    No damage goes unnoticed, except with zstd, which need not have a checksum.
    """
    data = book([["id"], [A]]) if name == "book.xlsx" else FORMATS[name]([A, B]).encode()
    data = COMPRESS[suffix](data) if suffix else data
    for place, wrong in damage:
        at = place % len(data)
        data = data[:at] + wrong + data[at + len(wrong) :]
    outcome = read_input(name + suffix, data)
    assert outcome.sentence is None or outcome.sentence.endswith(".")
    if suffix not in {"", ".zst"} and outcome.sentence is None:
        assert set(outcome.ids) <= {A, B}
    if not suffix:
        assert read_input(name, bytewise(data)) == outcome
