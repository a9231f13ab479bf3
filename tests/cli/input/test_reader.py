"""The reader of ids, without I/O: chunks in, ids out."""

import csv
import gzip
import io
import json
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reading import ids_of, read

from instantly_async.cli.exits import InputError
from instantly_async.cli.input import InputFormat
from instantly_async.cli.input.csv_records import MAX_RECORD_CHARS
from instantly_async.cli.input.formats import format_of_name
from instantly_async.cli.input.reader import MOST_EMPTY, PIECE_BYTES, IdReader
from instantly_async.cli.records import MAX_LINE_BYTES, LineId
from instantly_async.testing import lead_ids

A, B, C = lead_ids(3)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("a.csv", "csv"),
        ("A.CSV", "csv"),
        ("a.csv.gz", "csv"),
        ("a.TSV.Zst", "tsv"),
        ("a.json.xz", "json"),
        ("a.jsonl", "json"),
        ("a.ndjson.bz2", "json"),
        ("a.xlsx", "excel"),
        ("a.xls", "excel"),
        ("a.txt", None),
        ("a.gz", None),
        ("csv", None),
        ("-", None),
    ],
)
def test_the_suffix_selects_the_format(path: str, form: str | None) -> None:
    assert format_of_name(path) == form


def test_text_skips_everything_that_is_not_an_id() -> None:
    """BOM, CRLF, blank lines, comments and white space; the last line may have no line end."""
    data = b"\xef\xbb\xbf# ids\r\n\r\n  " + A.encode() + b"\t\r\n#x\n\n" + B.encode()
    assert read(data) == [(A, 3), (B, 6)]


def test_a_line_id_is_a_string_with_a_line() -> None:
    lead_id = LineId(A, 4)
    assert lead_id == A
    assert lead_id.line == 4


def test_an_empty_input_has_no_ids() -> None:
    assert read(b"") == []
    assert read(b"", "jsonl") == []


def test_every_kind_of_line_end_counts() -> None:
    """LF, CRLF, CR, and what a wrong conversion makes of them; also where a chunk ends."""
    for size in (1, 7, 1000):
        assert read(f"{A}\r{B}\r", size=size) == [(A, 1), (B, 2)]
        assert read(f"{A}\r\n{B}\r{C}", size=size) == [(A, 1), (B, 2), (C, 3)]
        assert read(f"{A}\r\r\n{B}\n\r{C}\r\r", size=size) == [(A, 1), (B, 3), (C, 5)]
        assert read(f"id,note\r{A},x\r{B},y", "csv", size=size) == [(A, 2), (B, 3)]


@pytest.mark.parametrize("between", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_other_characters_end_no_line(between: str) -> None:
    """``str.splitlines`` would take them for line ends, and all numbers would be wrong."""
    assert read(f"{A}{between}{B}\n{C}\n") == [(A, 1), (B, 1), (C, 2)]
    assert read(f"note,id\nx{between}y,{A}\n", "csv") == [(A, 2)]


def test_each_of_joined_files_may_begin_with_a_bom() -> None:
    """``cat`` keeps the marks; if a file has no line end, one is inside of a line."""
    assert read(f"\ufeff{A}\n\ufeff{B}\n{C}\ufeff\n") == [(A, 1), (B, 2), (C, 3)]
    quoted = f'\ufeff"id"\n"{A}"\n\ufeff"id"\n"{B}"\n'
    assert read(quoted, "csv") == [(A, 2), (B, 4)]
    assert read(f'{{"id":"{A}"}}\n\ufeff{{"id":"{B}"}}\n', "jsonl") == [(A, 1), (B, 2)]


def test_duplicates_are_skipped_and_counted_without_case() -> None:
    reader = IdReader("text", "in")
    data = f"{A}\n{A.upper()}\n{B}\nno id\nno id\n {A} \n".encode()
    assert [str(each) for each in reader.feed(data)] == [A, B, "no id", "no id"]
    assert (reader.duplicates, reader.yielded, reader.lines) == (2, 4, 6)


@pytest.mark.parametrize("form", ["text", "csv", "jsonl"])
def test_text_beside_ids_need_not_be_utf8(form: InputFormat) -> None:
    """Nor the same in each line of joined files; 0x81 is no character in Windows-1252 either."""
    texts = {
        "text": f"# J\xfcrgen\n{A} # \x81\n",
        "csv": f"J\xfcrgen,id\n\xfc\x81,{A}\n",
        "jsonl": f'# J\xfcrgen\n{{"id": "{A}", "x": "\xfc\x81"}}\n',
    }
    reader = IdReader(form, "in")
    data = texts[form].encode("latin-1")
    assert [(each, each.line) for each in (*reader.feed(data), *reader.finish())] == [(A, 2)]
    assert reader.understood.facts()["encoding"] == "UTF-8, but 2 lines in Windows-1252"
    named = f"J\xfcrgen,id\n{A},{B}\n".encode("latin-1")
    assert read(named, "csv", "J\xfcrgen") == [(A, 2)]


def test_a_file_without_line_ends_is_not_read_into_memory() -> None:
    with pytest.raises(InputError, match="Line 1 of in is longer than 129 MiB"):
        read(b"x" * (MAX_LINE_BYTES + 1), size=1 << 20)


def test_jsonl_takes_ids_from_objects() -> None:
    """Lines of ``fetch``, half a surrogate pair (which msgspec refuses), lines without an id."""
    lines = [
        f'{{"id": "{A}", "payload": {{"id": 1}}}}',
        "",
        "# comment",
        f'{{"note": "\\ud83d", "id": "{B}"}}',
        '{"email": null}',
        '{"id": 7}',
        f'{{"id": " {C} "}}',
    ]
    assert read("\r\n".join(lines), "jsonl") == [(A, 1), (B, 4), ("", 5), ("", 6), (C, 7)]


@pytest.mark.parametrize("line", ["{", "[]", "7", A, "{} {}", "[" * 5000, '{"a": "\\ud83d"'])
def test_a_line_that_is_not_an_object_is_reported(line: str) -> None:
    with pytest.raises(
        InputError, match=r"Line 2 of in is not a JSON object or string; .*--input-format"
    ):
        read(f'{{"id": "{A}"}}\n{line}\n', "jsonl", size=1000)


@pytest.mark.parametrize("header", ["id", "ID", "lead_id", " Lead_ID ", '"id"'])
def test_csv_finds_its_column(header: str) -> None:
    assert read(f"name,{header}\r\nx,{A}\r\ny, {B}\r\n", "csv") == [(A, 2), (B, 3)]


def test_csv_takes_the_named_column() -> None:
    assert read(f"id,Ref\n1,{A}\n", "csv", "ref") == [(A, 2)]


def test_csv_with_semicolons_and_tsv() -> None:
    assert read(f"name;id\nx, y;{A}\n", "csv") == [(A, 2)]
    assert read(f"name\tid\nx, y; z\t{A}\n", "tsv") == [(A, 2)]


def test_csv_skips_comments_and_blank_lines_but_no_id() -> None:
    """After the header, a row that begins with # is a comment only if it has no id."""
    data = f"# export\n\nrank,id\n#1,{A}\n# a note\n\n,{B}\n"
    assert read(data, "csv") == [(A, 4), (B, 7)]


def test_csv_reports_rows_without_an_id() -> None:
    assert read(f"name,id\nx\ny,\nz,{A}\n", "csv") == [("", 2), ("", 3), (A, 4)]


def test_a_csv_record_may_go_over_several_lines() -> None:
    """Its line number is that of its first line; a UUID inside a quoted note is not an id."""
    data = f'note,id\n"one\n{B}\n""two""\n#three, four",{A}\nfive,{C}\n'
    assert read(data, "csv") == [(A, 2), (C, 6)]


def test_csv_accepts_a_quote_inside_a_field() -> None:
    assert read(f'note,id\n5" nail,{A}\nx,{B}\n', "csv") == [(A, 2), (B, 3)]


@pytest.mark.parametrize("tail", ["", ("\n" + "x" * 999) * (MAX_RECORD_CHARS // 900)])
def test_csv_with_an_open_quote_is_refused(tail: str) -> None:
    """At the end of the input, or earlier if the record is too long."""
    data = f'note,id\nx,{A}\n"open,{B}{tail}'
    with pytest.raises(InputError, match=r"A quote .* begins in line 3 of in is never closed"):
        read(data, "csv", size=1 << 16)


@given(st.lists(st.text('",a', max_size=8), max_size=8))
@example(['"a', 'a"a"a'])
@example(['"', '"a","'])
def test_csv_records_end_where_python_says(lines: list[str]) -> None:
    """Also those with quotes in odd places."""
    *rows, last = csv.reader([*lines, "the,end"])
    data = "\n".join(["id,b", A, *lines])
    if last == ["the", "end"]:
        assert [text for text, _ in read(data, "csv")] == [A, *(row[0] for row in rows if row)]
    else:
        with pytest.raises(InputError, match="never closed"):
            read(data, "csv")


def test_csv_that_python_cannot_read_is_refused() -> None:
    """It limits the length of a cell."""
    with pytest.raises(InputError, match="Line 2 of in is not CSV"):
        read(f"note,id\n{'a' * (MAX_RECORD_CHARS + 1)},{A}\n", "csv", size=1 << 16)


@pytest.mark.parametrize(
    ("header", "column", "message"),
    [
        (
            "name,Mail",
            None,
            'in has no column with lead ids; its columns are "name", "Mail"; use --column to name',
        ),
        (
            "id,Id",
            None,
            'in has 2 columns that could hold the lead ids, "id", "Id"; use --column 1',
        ),
        ("id,x", "led", 'in has no column "led"; its columns are "id", "x"; use --column to name'),
        ("a,Lead", "lead id", 'its columns are "a", "Lead"; the nearest is "Lead" (--column).'),
        ("a,leads id", None, 'its columns are "a", "leads id"; the nearest is "leads id"'),
        (
            "Ada,ada@example.com",
            None,
            "The first line of in has emails and no lead ids; add --by email, or put a line with",
        ),
        (
            f"{A},{A}",
            None,
            "The first line of in has 2 ids and no column names; use --column 1",
        ),
        (f"{A},x", "name", "The first line of in looks like data"),
    ],
)
def test_csv_without_the_column_lists_its_columns(
    header: str, column: str | None, message: str
) -> None:
    """Unless the first line looks like data, because it could be personal."""
    with pytest.raises(InputError) as caught:
        read(f"{header}\nx,y\n", "csv", column)
    assert message in str(caught.value)
    assert "ada" not in str(caught.value).lower()


def test_a_message_lists_some_columns_and_the_beginnings_of_their_names() -> None:
    header = ",".join("x" * 1000 + str(number) for number in range(1000))
    with pytest.raises(InputError) as caught:
        read(f"{header}\n", "csv", "y" * 1000, size=1 << 16)
    assert str(caught.value).count('"' + "x" * 40 + '"') == 20
    assert '"y' in str(caught.value)
    assert ", …; use --column" in str(caught.value)
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "id,name\n", "sep=;\n"])
def test_csv_without_rows_is_empty(text: str) -> None:
    """Like an empty text, whether or not it has a header."""
    reader = IdReader("csv", "in")
    assert [*reader.feed(text.encode()), *reader.finish()] == []
    assert reader.is_empty


def test_text_has_no_columns() -> None:
    with pytest.raises(InputError, match="--column is for tables and JSON, and in is read as text"):
        IdReader("text", "in", "id")


uuids = st.uuids().map(str)
cells = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20
).filter(lambda text: not text.startswith("#"))


@given(st.lists(uuids, max_size=20), st.integers(1, 100), st.sampled_from(["\n", "\r\n"]))
def test_every_id_is_yielded_once_and_in_order(ids: list[str], size: int, end: str) -> None:
    """Law: text, CSV and JSON Lines yield the same ids, no matter where chunks end."""
    expected = list(dict.fromkeys(ids))
    text = end.join(ids)
    table = end.join(["x,id", *(f",{each}" for each in ids)])
    lines = end.join(json.dumps({"id": each}) for each in ids)
    assert [str(each) for each in ids_of(text, "text", None, size)] == expected
    assert [str(each) for each in ids_of(table, "csv", None, size)] == expected
    assert [str(each) for each in ids_of(lines, "jsonl", None, size)] == expected


@given(st.lists(st.tuples(cells, st.uuids(), cells), max_size=8), st.integers(1, 50))
def test_any_csv_that_python_writes_can_be_read(
    rows: list[tuple[str, UUID, str]], size: int
) -> None:
    """Law: quotes, commas and line ends in other cells do not matter."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(["before", "id", "after"])
    writer.writerows(rows)
    expected = list(dict.fromkeys(str(row[1]) for row in rows))
    assert [str(each) for each in ids_of(file.getvalue(), "csv", None, size)] == expected


def test_a_table_may_begin_with_many_rows_without_an_id() -> None:
    """A CRM sorts empty values to the top; but not without end."""
    text = "name,lead_id\n" + "x,\n" * 2_000 + f"y,{A}\n"
    assert read(text, "csv", size=1 << 16)[-1] == (A, 2_002)
    with pytest.raises(InputError, match=r"first 10000 entries of in .column .lead_id.. are empty"):
        read("name,lead_id\n" + "x,\n" * MOST_EMPTY + f"y,{A}\n", "csv", size=1 << 16)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_lines_in_another_encoding_behind_utf16_are_refused(encoding: str, size: int) -> None:
    """A program that knows only ASCII has added them; they would be read as other characters."""
    data = f"Lead ID,Name\r\n{A},x".encode(encoding) + f"\r\n{B},z\r\n".encode()
    with pytest.raises(InputError, match=r"in begins in UTF-.* and goes on in another encoding"):
        read(data, "csv", size=size)


def test_pieces_are_small_whatever_a_chunk_unpacks_to() -> None:
    """Between them, other tasks run."""
    data = gzip.compress(b"\n" * (1 << 20) + A.encode())
    reader = IdReader(None, "in")
    pieces = [list(piece) for piece in reader.in_pieces(data)]
    assert len(pieces) >= (1 << 20) / PIECE_BYTES
    assert [each for piece in reader.in_pieces(b"") for each in piece] == [A]


@pytest.mark.parametrize(
    "header",
    [
        "Ada Lovelace,+49 151 1234567,Rome",
        "x,004915112345678",
        "Ada;030 12345",
        "ada(at)x.example,x",
        "x,https://x.example/in/ada",
    ],
)
def test_a_row_of_personal_data_is_not_shown(header: str) -> None:
    with pytest.raises(InputError, match="The first line of in looks like data"):
        read(f"{header}\nx,y,z\n", "csv")
    with pytest.raises(InputError, match='its columns are "2026-01-02", "Phone 2"'):
        read("2026-01-02,Phone 2\n", "csv")


def test_ids_before_lines_in_another_encoding_are_read() -> None:
    for size in (16, 100, 1 << 16):
        reader = IdReader(None, "in")
        data = f"{A}\n{B}\n".encode("utf-16") + f"{C}\n".encode()
        found: list[str] = []
        with pytest.raises(InputError, match="goes on in another encoding"):
            for start in range(0, len(data), size):
                found += reader.feed(data[start : start + size])
        assert found == [A, B]


def test_an_empty_file_named_like_a_compressed_one_was_cut_off() -> None:
    with pytest.raises(InputError, match=r"^ids\.gz is cut off: its gzip data ends too"):
        list(IdReader(None, "ids.gz").finish())
