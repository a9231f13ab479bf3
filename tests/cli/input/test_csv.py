"""CSV that loses lines in silence: quotes that swallow rows, comments, joined files."""

import csv
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import read

from instantly_async.cli.exits import InputError
from instantly_async.cli.input.csv_records import MAX_RECORD_CHARS
from instantly_async.testing import lead_ids

A, B, C, D = lead_ids(4)

SWALLOWED = {
    "an inch mark": f'id,note\n{A},"5 inch\n{B},plain\n{C},6" pipe\n',
    "an inch mark, next row": f'id,note\n{A},"5 inch\n{B},6" pipe\n',
    "id last": f'note,id\n"5 inch,{A}\nx,{B}\n6" pipe,{C}\n',
    "id last, next row": f'note,id\n"5 inch,{A}\n6" pipe,{B}\n',
    "id in the middle": f'n,id,note\nx,{A},"5 inch\nz,{C},6" pipe\n',
    "note before the id": f'note,id,n\n"5 inch,{A},x\n6" pipe,{C},y\n',
    "Spark": f'id,note\n{A},"5\\""\n{B},plain\n{C},"6\\""\n',
    "Spark, next row": f'id,note\n{A},"5\\""\n{C},"6\\""\n',
    "MySQL, with a comma": f'id,note\n{A},"5\\""\n{C},"6\\" pipe, long\\""\n',
    "MySQL, with many commas": f'id,note\n{A},"5\\""\n{C},"6, 7\\", or, 8\\""\n',
    "a quote and commas": f'id,note\n{A},"""\n{C},"","\n',
    "all cells quoted": f'"id","note"\n"{A}","5""\n"{B}","plain"\n',
    "one column": f'id\n"{A}\n{B}"\n',
    "semicolons": f'id;note\n{A};"5 inch\n{B};6" pipe\n',
    "in the header": f'id,"size\n{A},x\n{B},y"\n',
    "upper case": f'id,note\n{A},"5 inch\n{B.upper()},6" pipe\n',
    "CR": f'id,note\r{A},"5 inch\r{B},6" pipe\r',
}


@pytest.mark.parametrize("text", SWALLOWED.values(), ids=SWALLOWED)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_quote_that_swallows_rows_is_named(text: str, size: int) -> None:
    first = 1 if "size" in text else 2
    with pytest.raises(InputError) as caught:
        read(text, "csv", size=size)
    assert f'A quote (") that begins in line {first} of in swallows other rows' in str(caught.value)


def test_it_names_the_row_and_what_comes_before_is_read() -> None:
    """A pipe has been read up to there."""
    text = f'id,note\n{D},x\n\n{A},"5 inch\n\nx\n{B},y\n{C},6" pipe\n'
    with pytest.raises(InputError, match=r"begins in line 4 of in .* in line 7; close it in its"):
        read(text, "csv")


def test_a_quote_that_is_closed_very_late_is_named() -> None:
    """It is found at the end of the record, or earlier if that is too long."""
    for rows, problem in ((2000, "swallows other rows"), (20_000, "is never closed")):
        lines = f"{B},{'y' * 90}\n" * rows
        with pytest.raises(InputError, match=rf"A quote .* begins in line 2 of in {problem}"):
            read(f'id,note\n{A},"5 inch\n{lines}{C},6" pipe\n', "csv", size=1 << 16)


def test_a_cell_may_be_large() -> None:
    """Python's own limit is 128 KiB, which an email in HTML exceeds."""
    cell = "x" * (MAX_RECORD_CHARS // 2)
    text = f'id,note\n{A},"{cell}"\n{B},"{cell}\n{cell[:-100]}"\n{C},{cell}\n'
    assert [each for each, _ in read(text, "csv", size=1 << 16)] == [A, B, C]


def test_a_cell_that_is_too_large() -> None:
    with pytest.raises(InputError, match=r"Line 2 of in is not CSV .field larger than field limit"):
        read(f"id,note\n{A},{'x' * (MAX_RECORD_CHARS + 1)}\n", "csv", size=1 << 16)


def test_a_line_that_python_cannot_read_in_another_way() -> None:
    """With its quotes the cell is longer than the limit, without them it is not."""
    text = f'id,note,more\n{A},"one\ntwo","{"x" * (MAX_RECORD_CHARS - 1)}"\n{B},y,z\n'
    assert [each for each, _ in read(text, "csv", size=1 << 16)] == [A, B]


FINE = {
    "an address": (f'id,address\n{A},"1 Main St\nSpringfield, IL\nUSA"\n{B},x\n', [A, B]),
    "id last": (f'note,id\n"one\ntwo",{A}\n"three\nfour",{B}\n', [A, B]),
    "id in the middle": (f'a,id,b\n"one\ntwo",{A},"three\nfour"\nx,{B},y\n', [A, B]),
    "an id within a text": (f'id,note\n{A},"see\nlead {B}, please\n{C}\nend"\n', [A]),
    "a list of ids in a note": (f'n,id,note\nx,{A},"{B}\n{C}\n{D}"\n', [A]),
    "the same id again": (f'id,note\n{A},"see\n{A},x"\n{B},y\n', [A, B]),
    "escaped quotes": (f'id,note\n{A},"5"" pipe\n6"" pipe"\n{B},y\n', [A, B]),
    "text after a quote": (f'id,note\n{A},"5"x\n{B},5"\n', [A, B]),
    "backslashes in one line": (f'id,note\n{A},"say \\"hi\\" now"\n{B},"C:\\"\n', [A, B]),
    "lines in the header": (f'"lead\nno.",id\n1,{A}\n2,{B}\n', [A, B]),
}


@pytest.mark.parametrize(("text", "ids"), FINE.values(), ids=FINE)
def test_lines_in_quoted_cells_are_fine(text: str, ids: list[str]) -> None:
    assert [each for each, _ in read(text, "csv")] == ids


@given(st.lists(st.tuples(st.text('"\\,\n a', max_size=9), st.uuids()), max_size=6))
def test_no_id_is_lost_in_silence(rows: list[tuple[str, object]]) -> None:
    """Law: whatever a cell holds, and however badly it is quoted, each id is read or it is said."""
    ids = [str(lead_id) for _, lead_id in rows]
    text = "".join(f'{lead_id},"{note}"\n' for note, lead_id in rows)
    try:
        found = [each for each, _ in read(f"id,note\n{text}", "csv", size=50)]
    except InputError:
        return
    assert set(ids) <= set(found)


@given(st.lists(st.tuples(st.text('"\\,\n a', max_size=9), st.uuids()), max_size=6))
def test_what_is_quoted_well_is_not_refused(rows: list[tuple[str, object]]) -> None:
    file = io.StringIO()
    csv.writer(file).writerows([("note", "id"), *rows])
    expected = list(dict.fromkeys(str(lead_id) for _, lead_id in rows))
    assert [each for each, _ in read(file.getvalue(), "csv", size=50)] == expected


def test_a_row_that_lacks_its_id_is_no_comment() -> None:
    """The name of a company may begin with #."""
    text = f'name,id\n#1 Realty,typo\n"#2, Ltd",typo\n#3,{A}\n# a note, and more, of it\n#4\n'
    assert read(text, "csv") == [("typo", 2), ("typo", 3), (A, 4)]
    assert read(f"id,name\n#{B},Ada\n{A},x\n", "csv") == [(A, 3)]


def test_a_row_with_a_shifted_id_is_no_comment() -> None:
    """The comma in the name is not quoted, so the id is in another cell."""
    text = f"name,id,city\n#1 Realty, Inc.,{A},Rome\n#2,,{B}\n# a, note, and, more\nx,{C}\n"
    assert read(text, "csv") == [("Inc.", 2), ("", 3), (C, 5)]
    assert read(f"id,list\n#{A},{B},{C}\n{C},x\n", "csv") == [(C, 3)]


def test_a_column_may_be_named_with_a_hash() -> None:
    assert read(f"# export\n#,id\n1,{A}\n", "csv") == [(A, 3)]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_header_of_a_joined_file_is_skipped(mark: str) -> None:
    text = f"id,name\n{A},x\n{mark}ID, name\n{B},y\n"
    assert read(text, "csv") == [(A, 2), (B, 4)]


def test_another_header_of_a_joined_file_is_refused() -> None:
    """Its ids are in another column; a row that only says *id* is a bad row."""
    with pytest.raises(InputError, match="Line 3 of in names other columns than the first one"):
        read(f"id,campaign\n{A},{C}\ncampaign,id\n{C},{B}\n", "csv")
    assert read(f"id,state\n{A},MT\nid,ID\n", "csv") == [(A, 2), ("id", 3)]


@pytest.mark.parametrize(
    "header",
    ["name, first;id", '"name, first";"id"', "id;a, b, c", "id,a;b;c", "id;x", "#;a, b;ID"],
)
def test_the_delimiter_is_the_one_that_shows_the_column(header: str) -> None:
    """Names may have commas in files with semicolons, and the other way round."""
    row = header.lower().replace("id", A).replace("#", "1")
    assert read(f"# a; b, c\n{header}\n{row}\n", "csv") == [(A, 3)]


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;"])
def test_the_separator_that_excel_names(first: str) -> None:
    assert read(f"{first}\r\nname, first;id\r\nx;{A}\r\n", "csv") == [(A, 3)]


def test_what_excel_names_is_not_a_row() -> None:
    assert read(f"sep=\t\nname\tid\nx\t{A}\n", "csv") == [(A, 3)]
    for text in ('sep="\n', "sep=\\\n", "sep= \n", "sep=a\n", "sep=;;\n"):
        with pytest.raises(InputError, match='its columns are "sep='):
            read(text, "csv")


def test_short_rows_and_trailing_commas() -> None:
    assert read(f"name,id\nx\n,\nz,{A},,,\n", "csv") == [("", 2), ("", 3), (A, 4)]


@pytest.mark.parametrize(
    "text",
    [
        f"id\n{A}\n{B},{C}\n",
        f"id,name\n{A},x\n{B},y,{C}\n",
        f"{A}\n{B},{C}\n",
        f"{A},first\n{B},{C}\n",
        f"batch 1,{A}\nbatch 2,{B},{C}\n",
    ],
)
def test_a_row_with_another_id_is_refused(text: str) -> None:
    """That id would be lost: it is behind the last column, or the table has no names."""
    with pytest.raises(InputError, match=r"Line \d of in has more ids than the first row; write"):
        read(text, "csv")


def test_other_ids_of_a_named_column_are_not_meant() -> None:
    assert read(f"id,campaign\n{A},{C}\n", "csv") == [(A, 2)]
    assert read(f"{A},{C}\n", "csv", "1") == [(A, 1)]
    shifted = f"name,id,city\nx,{C},Rome\nInc., X,{A},Rome,{B}\n"
    assert read(shifted, "csv") == [(C, 2), ("X", 3)]


def test_a_row_that_names_an_id_column_elsewhere_is_refused() -> None:
    """Files with other columns were joined; ``ID`` alone is also a state of the USA."""
    with pytest.raises(InputError, match="Line 3 of in names other columns than the first one"):
        read(f"id,name\n{A},x\ncampaign_id,lead_id\n{C},{B}\n", "csv")


def test_a_name_beside_ids_is_no_header() -> None:
    """It is a label: all ids behind it would be lost."""
    assert read(f"id,{A}\nid,{B}\n", "csv") == [(A, 1), (B, 2)]
    with pytest.raises(InputError, match="The first line of in has 2 ids and no column names"):
        read(f"id,{A},{B}\n", "csv")
    assert read(f"id,{A},{B}\n", None) == [("id", 1), (A, 1), (B, 1)]


@pytest.mark.parametrize(
    "line",
    [
        f"WHERE id IN ('{A}','{B}');",
        f"curl https://x.example/{A}, {B}",
    ],
)
def test_a_sentence_with_ids_is_no_row(line: str) -> None:
    """As a row, it would lose the id that is beside other text."""
    with pytest.raises(InputError, match=r"^in holds UUIDs beside other text and no lead ids"):
        read(f"{line}\n", None)


def test_a_label_in_front_of_ids_is_an_invalid_id() -> None:
    for line in (f"ids = ['{A}', '{B}']", f"ids: {A}, {B}", f"[{A}, ids, {B}]"):
        found = [each for each, _ in read(f"{line}\n", None)]
        assert [each for each in found if len(each) > 5] == [A, B]


@pytest.mark.parametrize("above", ["\n", "# export\n", "# a\n\n# b\n"])
def test_the_separator_may_be_below_comments(above: str) -> None:
    for form in ("csv", None):
        assert read(f"{above}sep=;\nid;name\n{A};x\n", form)[0][0] == A


def test_a_name_of_two_lines_is_a_header_from_a_pipe_too() -> None:
    text = f'"Notes\n(internal)",Lead ID\nx,{A}\n'
    assert read(text, None) == read(text, "csv") == [(A, 3)]


def test_a_first_row_with_an_id_is_no_comment() -> None:
    assert read(f"#1,{A}\n2,{B}\n", "csv") == read(f"#1,{A}\n2,{B}\n", None) == [(A, 1), (B, 2)]
    assert read(f"# a note, and more\n1,{A}\n", "csv") == [(A, 2)]


@pytest.mark.parametrize("name", ["Lead ID (Instantly)", "Lead UUID", "my lead id"])
def test_an_id_beside_that_of_a_lead_is_not_taken(name: str) -> None:
    """``id`` is then the id of something else, such as a row."""
    text = f"id,{name}\n{C},{A}\n"
    with pytest.raises(InputError, match="has 2 columns that could hold the lead ids"):
        read(text, "csv")
    assert read(text, "csv", "2") == [(A, 2)]
    for same in ("lead:id", "Lead/ID"):
        assert read(f"id,{same}\n{C},{A}\n", "csv") == [(A, 2)]


def test_blank_lines_in_a_quote_have_a_limit_and_take_linear_time() -> None:
    """The delimiter is guessed once per record, which is long here."""
    before = time.thread_time()
    with pytest.raises(InputError, match="never closed"):
        read('"' + "a," * 30_000 + "\n" * MAX_RECORD_CHARS, "csv", size=1 << 16)
    assert time.thread_time() - before < 60  # it took about 20 minutes
