"""Text and tables as people have them: files in, ids out, and what the dry run says about them."""

import pytest
from inputs import COMPRESS, Found, bytewise, refusal, understand

from instantly_async.testing import lead_ids

A, B, C = lead_ids(3)
PLAIN = A.replace("-", "")


def at(*places: str) -> Found:
    """Return ``A line 2`` and the like as ids and places."""
    named = {"A": A, "B": B, "C": C}
    parts = (each.rpartition(" line ") for each in places)
    return [(named.get(name, name), f"line {number}") for name, _, number in parts]


# --- tables ----------------------------------------------------------------------------------

Table = tuple[str, str, str | None, Found, str, str]
"""Name, text, and ``--column``; ids, delimiter, and the column that is shown."""

TABLES: dict[str, Table] = {
    "comma": ("a.csv", f"name,id\nx,{A}\n", None, at("A line 2"), "comma", "id"),
    "semicolon": ("a.csv", f"name;id\nx, y;{A}\n", None, at("A line 2"), "semicolon", "id"),
    "tab": ("a.tsv", f"na;me\tid\nx\t{A}\n", None, at("A line 2"), "tab", "id"),
    "tab in .csv": ("a.csv", f"name\tid\nx\t{A}\n", None, at("A line 2"), "tab", "id"),
    "bar": ("a.csv", f"name|id\nx|{A}\n", None, at("A line 2"), "bar", "id"),
    "sep=": ("a.csv", f"sep=;\r\nname;id\r\nx;{A}\r\n", None, at("A line 3"), "semicolon", "id"),
    "sep= without suffix": ("a", f"sep=^\nname^id\nx^{A}\n", None, at("A line 3"), '"^"', "id"),
    "without suffix": ("a", f"name,id\nx,{A}\n", None, at("A line 2"), "comma", "id"),
    "text of Excel": ("a.txt", f"name\tID\r\nx\t{A}\r\n", None, at("A line 2"), "tab", "ID"),
    "quoted": (
        "a.csv", f'"a;b";"id"\n"x;\ny";"{A}"\n"";"{B}"\n', None, at("A line 2", "B line 4"),
        "semicolon", "id",
    ),
    "quoted behind blanks": (
        "a.csv", f'"name", "id"\n"x", "{A}"\n', None, at("A line 2"), "comma", '"id"',
    ),
    "in single quotes": ("a.csv", f"'n','id'\n'x','{A}'\n", None, at("A line 2"), "comma", "'id'"),
    "Lead ID": ("a.csv", f"Name,Lead ID\nx,{A}\n", None, at("A line 2"), "comma", "Lead ID"),
    "leadId": ("a.csv", f"leadId,n\n{A},\n", None, at("A line 2"), "comma", "leadId"),
    "the most specific": (
        "a.csv", f"id,uuid,Instantly Lead-ID\n1,{C},{A}\n", None, at("A line 2"), "comma",
        "Instantly Lead-ID",
    ),
    "UUID": ("a.csv", f"n,UUID\nx,{A}\n", None, at("A line 2"), "comma", "UUID"),
    "lead.id": ("a.csv", f"lead.id,n\n{A},1\n", None, at("A line 2"), "comma", "lead.id"),
    "no header": (
        "a.csv", f"x,{A}\ny,{B}\n", None, at("A line 1", "B line 2"), "comma", "2, without a name",
    ),
    "no header, and bad cells": (
        "a.csv", f"x,{A}\ny,typo\nz\n", None, at("A line 1", "typo line 2", " line 3"), "comma",
        "2, without a name",
    ),
    "no header and suffix": (
        "a", f"{A};x\n{B};y\n", None, at("A line 1", "B line 2"), "semicolon", "1, without a name",
    ),
    "one column": ("a.csv", f"{A}\n{B}\n", None, at("A line 1", "B line 2"), "comma",
        "1, without a name"),
    "--column by number": ("a.csv", f"a,b\nx,{A}\n", "2", at("A line 2"), "comma", "b"),
    "--column without header": (
        "a.csv", f"{A},{B}\n", "2", at("B line 1"), "comma", "2, without a name",
    ),
    "--column named by a number": ("a.csv", f"2,1\n{A},{B}\n", "2", at("A line 2"), "comma", "2"),
    "--column of .txt": ("a.txt", f"id;Ref\n{B};{A}\n", "ref", at("A line 2"), "semicolon", "Ref"),
    "rows of blanks above": (
        "a.csv", f";;\r\n ; ;\r\nn;id;\r\nx;{A};\r\n", None, at("A line 4"), "semicolon", "id",
    ),
    "cells of Excel": (
        "a.csv", f'id,n\n"=""{A}""",x\n="{B}",y\n', None, at("A line 2", "B line 3"), "comma", "id",
    ),
    "bad cells": (
        "a.csv", f"n,id\nx,{A}\ny,typo\nz,\n{B},{B}\n", None,
        at("A line 2", "typo line 3", " line 4", "B line 5"), "comma", "id",
    ),
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_tables(table: Table) -> None:
    """Each is read alike in pieces, and the dry run says how."""
    name, text, column, found, delimiter, shown = table
    understood = {"format": f"CSV, delimiter {delimiter}", "encoding": "UTF-8", "column": shown}
    understood["first id"] = found[0][0]
    assert understand(name, text.encode(), column) == (found, understood)
    assert understand(name, bytewise(text.encode()), column) == (found, understood)


@pytest.mark.parametrize("column", ["0", "3", "-1", "\xb2", "1.0", "9" * 5000])
def test_a_number_that_no_column_has(column: str) -> None:
    said = refusal("a.csv", f"n,id\nx,{A}\n".encode(), column)
    assert said.startswith(f'a.csv has no column "{column[:40]}"; its columns are "n", "id"; ')


# --- text ------------------------------------------------------------------------------------

TEXTS: dict[str, tuple[str, Found]] = {
    "commas": (f"{A},{B}, {C}\n", at("A line 1", "B line 1", "C line 1")),
    "semicolons, bars and blanks": (f"{A}; {B}|{C}\n", at("A line 1", "B line 1", "C line 1")),
    "tabs": (f"{A}\t{B}\n", at("A line 1", "B line 1")),
    "notes": (f"{A}  # note, {B}\n{C} # x\n", at("A line 1", "C line 2")),
    "notes behind several": (f"{A}, {B} # note, {C}\n", at("A line 1", "B line 1")),
    "comments": (f"# x, y\n\n{A}\n#{B}\n", at("A line 3")),
    "trailing commas": (f'"{A}",\n"{B}",\n', at("A line 1", "B line 2")),
    "cells of Excel": (f'="{A}"\n', at("A line 1")),
    "a list of Python": (f"['{A}', '{B}']\n", at("A line 1", "B line 1")),
    "a list of SQL": (f"('{A}',\n '{B}')\n", at("A line 1", "B line 2")),
    "a name before": (f"ids: {A}, {B}\n", at("ids: line 1", "A line 1", "B line 1")),
    "a query": (f"IN ('{A}', '{B}')\n", at("IN line 1", "A line 1", "B line 1")),
    "other quotes": (f"\u201c{A}\u201d\n`{B}`", at("A line 1", "B line 2")),
    "brackets": (f"[{A}]\n({B})\n<{C}>\n", at("A line 1", "B line 2", "C line 3")),
    "braces": (f"{{{A}}}\n{{{B.upper()}}}\n", at("A line 1", "B line 2")),
    "urn": (f"urn:uuid:{A}\nURN:UUID:{B}\n", at("A line 1", "B line 2")),
    "no hyphens": (f"{PLAIN}\n{{{B.replace('-', '')}}}\n", at("A line 1", "B line 2")),
    "blank characters": (f"\xa0{A}\u200b\n\u2060{B}\xad\u3000\n", at("A line 1", "B line 2")),
    "marks of joined files": (f"\ufeff{A}\n\ufeff{B}", at("A line 1", "B line 2")),
    "a header": (f"lead_id\n{A}\n", at("A line 2")),
    "a header in quotes": (f'"Lead ID"\n"{A}"\n', at("A line 2")),
    "a header with a comma": (f"id,\n{A},\n", at("A line 2")),
    "line ends of old Macs": (f"{A}\r{B}\r", at("A line 1", "B line 2")),
    "a bad line": (f"{A}\nhello world\n{B}\n", at("A line 1", "hello world line 2", "B line 3")),
    "a word beside": (f"{A}\n{B} x\n", [(A, "line 1"), (f"{B} x", "line 2")]),
    "a word among ids": (f"{A}\n{B}, x {C}\n", at("A line 1", "B line 2", "x line 2", "C line 2")),
    "half a hyphen": (f"{A}\n{B[:8]}{B[9:]}\n", at("A line 1", f"{B[:8]}{B[9:]} line 2")),
}  # fmt: skip


@pytest.mark.parametrize(("text", "found"), TEXTS.values(), ids=TEXTS)
def test_texts(text: str, found: Found) -> None:
    """One id per line, or several; nothing beside an id is lost in silence."""
    for name in ("a.txt", "a"):
        ids, facts = understand(name, text.encode())
        assert (ids, facts["format"]) == (found, "text")
        assert understand(name, bytewise(text.encode())) == (ids, facts)


@pytest.mark.parametrize(("around", "between"), [("", ","), ('"', ", "), ("{}", ";")])
def test_many_ids_on_one_line(around: str, between: str) -> None:
    """Also if the line is longer than what is looked at to choose the format."""
    ids = list(lead_ids(1900))
    text = between.join(f"{around[:1]}{each}{around[-1:]}" for each in ids)
    for cut in range(0, 40, 9):
        found, facts = understand("a", f"# {'x' * cut}\n{text}".encode())
        assert ([each for each, _ in found], facts["format"]) == (ids, "text")


# --- encodings and compressions --------------------------------------------------------------

ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16-LE",
    "utf-16-be": "UTF-16-BE",
    "utf-32": "UTF-32",
    "utf-32-le": "UTF-32-LE",
    "utf-32-be": "UTF-32-BE",
    "latin-1": "UTF-8, but 1 line in Windows-1252",
}
TABLE = f"name;id\r\nZo\xeb;{A}\r\n\r\nx;{B}\r\n"


@pytest.mark.parametrize(("encoding", "shown"), ENCODINGS.items(), ids=ENCODINGS)
def test_encodings(encoding: str, shown: str) -> None:
    for text, name, found in (
        (TABLE, "a.csv", at("A line 2", "B line 4")),
        (f"{A}\n{B}\n# \xeb\n", "a.txt", at("A line 1", "B line 2")),
    ):
        data = text.encode(encoding)
        ids, facts = understand(name, data)
        assert (ids, facts["encoding"]) == (found, shown)
        assert understand(name, bytewise(data)) == (ids, facts)


def test_joined_files_of_one_encoding_or_of_two() -> None:
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        data = f"id\n{A}\n".encode(encoding) + f"id\n{B}\n".encode(encoding)
        assert understand("a.csv", data)[0] == at("A line 2", "B line 4")
    data = f"n,id\nZo\xeb,{A}\n".encode() + f"Zo\xeb,{B}\n".encode("latin-1")
    found, facts = understand("a.csv", data)
    assert (found, facts["encoding"]) == (at("A line 2", "B line 3"), ENCODINGS["latin-1"])


def test_utf_16_that_is_cut_off() -> None:
    """Within a character, which is then an invalid one of the last line."""
    found, _ = understand("a.txt", f"{A}\n{B}".encode("utf-16")[:-1])
    assert found == [(A, "line 1"), (f"{B[:-1]}\ufffd", "line 2")]


def test_a_table_in_another_script() -> None:
    """With its mark; without one, zeros are all that shows UTF-16, and there are not enough."""
    text = f"\u0418\u043c\u044f\tid\r\n\u0416\t{A}\r\n"
    assert understand("a.txt", text.encode("utf-16"))[0] == at("A line 2")
    assert refusal("a.txt", text.encode("utf-16-le")) == (
        "Line 1 of a.txt has a NUL byte (at offset 7), so it is not text; save the file as text in "
        "UTF-8, or name another one."
    )


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_compressions(suffix: str, encoding: str) -> None:
    """With a name that shows it, and without; as several streams, and with padding behind."""
    compress = COMPRESS[suffix]
    data = compress(TABLE.encode(encoding))
    found, facts = understand(f"a.csv{suffix}", data)
    assert found == at("A line 2", "B line 4")
    names = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
    assert facts["compression"] == names[suffix]
    assert understand("a", data) == (found, facts)
    assert understand("a", bytewise(data)) == (found, facts)
    parts = TABLE.encode(encoding)[:50], TABLE.encode(encoding)[50:], b""
    joined = b"".join(map(compress, parts)) + bytes(300)
    assert understand("a", joined) == (found, facts)
    assert understand("a", bytewise(joined)) == (found, facts)
