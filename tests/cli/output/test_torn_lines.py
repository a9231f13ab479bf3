"""Only what a run of ours can have left at the end of a file is removed; nothing else changes."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from commands import IDS, Command
from hypothesis import example, given
from hypothesis import strategies as st

from instantly_async.cli.exits import CommandError
from instantly_async.cli.known import KnownIds
from instantly_async.cli.output import PastIds, Resume, open_journal
from instantly_async.cli.records import Selection
from instantly_async.testing import lead_json

LINES = [lead_json(lead_id) + b"\n" for lead_id in IDS]
ERRORS = [
    b'{"id":"%s","error":"NotFoundError","message":"not found","attempts":1}\n' % IDS[0].encode(),
    b'{"id":"say \\"hi\\"","error":"InvalidLeadIdError","message":"no","attempts":0,"line":7}\n',
]
WAYS = [Resume(), Resume(repair=True), Resume(retry_errors=True)]

pytestmark = pytest.mark.fake_instantly(rate_limit=None)


def resumed(leads: bytes, errors: bytes | None, how: Resume) -> tuple[bytes, bytes]:
    """Resume files with this content, and return what they hold afterwards.

    Raises:
        CommandError: one of them is refused; both are as they were.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, errors_path = Path(folder, "leads.jsonl"), Path(folder, "errors.jsonl")
        path.write_bytes(leads)
        errors_path.write_bytes(errors or b"")
        try:
            with open_journal(str(path), str(errors_path), PastIds(KnownIds()), how):
                pass
        except CommandError:
            assert path.read_bytes() == leads
            assert errors_path.read_bytes() == (errors or b"")
            assert len(list(Path(folder).iterdir())) == 2
            raise
        return path.read_bytes(), errors_path.read_bytes()


# --- files that we did not write ------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NOTES = [
    b"{ my notes: call Anna",
    b"{\n",
    b"{",
    b"{}",
    b"[]",
    b"\0" * 5000,
    b"\n",
    b" ",
    b'{"id":"',
    b'{"id":',
    b'{"id":"not a uuid',
    b'{"id":"019a3f62-5401-759a-9386-e4e2107cdc5axx',
    b'{"id":"019a3f62-","name":"cut',
    b'{"id": 7, "name": "cut',
    b'{"name":"Anna","id":"019a3f62-5401-759a-9386-e4e2107cdc5a","x":',
    b'[{"id":"019a3f62-5401-759a-9386-e4e2107cdc5a"',
    b'{"id":"019a3f62-5401-759a-9386-e4e2107cdc5a"} and more',
]


@st.composite
def other_json(draw: st.DrawFn) -> bytes:
    """Draw JSON of another program, in one line or in many, whole or cut."""
    value: Any = draw(st.dictionaries(st.text(max_size=5), VALUES) | VALUES)
    text = json.dumps(value, indent=draw(st.none() | st.just(2))).encode()
    return text[: draw(st.integers(1, len(text)))] + draw(st.sampled_from([b"", b"\n", b"\0\0"]))


OTHERS = st.binary(min_size=1) | other_json() | st.sampled_from(NOTES)


@given(OTHERS, st.sampled_from(WAYS))
@example(b"\xff" + b"\0" * 9, WAYS[0])
def test_a_file_that_we_did_not_write_is_never_changed(content: bytes, how: Resume) -> None:
    """Neither as the output nor as its errors file."""
    with pytest.raises(CommandError, match="so it is not changed; choose another name"):
        resumed(content, None, how)
    begins = content.rstrip(b"\0") and b'{"id":"'.startswith(content.rstrip(b"\0"))
    if not begins and b'"id"' not in content and b'"\\u' not in content:  # any text is an id there
        with pytest.raises(CommandError, match="so it is not changed; choose another name"):
            resumed(LINES[0], content, how)


@pytest.mark.parametrize("content", NOTES, ids=repr)
@pytest.mark.parametrize("option", ["--resume", "--retry-errors", "--repair"])
def test_the_command_refuses_it(
    command: Command, ids_file: Path, tmp_path: Path, content: bytes, option: str
) -> None:
    output = tmp_path / "leads.jsonl"
    output.write_bytes(content)
    result = command("fetch", ids_file, "-o", output, option)
    sentence = f"{output} holds no leads, so it is not changed; choose another name.\n"
    assert result == (2, b"", sentence)
    assert output.read_bytes() == content


@pytest.mark.parametrize(
    "tail",
    [
        b"{ my notes: call Anna",
        b"notes",
        b"\0\0x",
        b'{"a":1}x',
        b'{"a":1,}',
        b"[1",
        b'{"note":"caf\xe9 and',
        b'{"a":"b',
    ],
)
def test_another_end_after_good_lines_is_a_bad_line(tail: bytes) -> None:
    """It is refused with its byte, and dropped only with ``--repair``. The last one is torn."""
    content = LINES[0] + tail
    if tail == b'{"a":"b':
        assert resumed(content, None, Resume())[0] == LINES[0]
        return
    with pytest.raises(CommandError, match=f"at byte {len(LINES[0])} is not a lead; fix it"):
        resumed(content, None, Resume())
    assert resumed(content, None, Resume(repair=True))[0] == LINES[0]


# --- files that we wrote --------------------------------------------------------------------

HALF = b'{"id":"%s","payload":{"\\ud83d":"\\ud83d \\u00e9 \xc3\xa9","n":-1.5e-7,"t":true}}\n'
DEEP = b'{"id":"%s","payload":%s1%s}\n' % (IDS[2].encode(), b'{"a":[' * 60, b"]}" * 60)
ODD = [HALF % IDS[1].encode(), DEEP, Selection(["email", "payload.a"]).cut(LINES[3])]


def sizes(line: bytes, start: int = 0, end: int | None = None) -> list[int]:
    """Return where to cut a line: everywhere; a long one at its ends, and here and there."""
    every = range(start, len(line) if end is None else end)
    return [size for size in every if size < 100 or size > len(line) - 20 or size % 23 == 0]


@pytest.mark.parametrize("line", [LINES[1], *ODD], ids=["lead", "half", "deep", "cut"])
@pytest.mark.parametrize("zeros", [b"", b"\0" * 40])
def test_a_journal_cut_at_any_byte_resumes(line: bytes, zeros: bytes) -> None:
    """What is left of the last line is removed, or kept if only its line end is missing."""
    first = (
        LINES[0] if b"payload.a" not in line else Selection(["email", "payload.a"]).cut(LINES[0])
    )
    keys = ("id", "email", "payload.a") if b"payload.a" in line else None
    whole = line.rstrip()
    for size in sizes(line):
        left, _ = resumed(first + line[:size] + zeros, None, Resume(keys=keys))
        end = b"\n" if keys is None else b" \n"
        assert left == (first if size < len(whole) else first + line[:size] + end)


def test_a_first_line_that_lost_its_mark_gets_it_again() -> None:
    """Otherwise a later run without ``--fields`` would continue it."""
    line = Selection(["email"]).cut(LINES[0])
    assert resumed(line[:-2], None, Resume(keys=("id", "email")))[0] == line


@pytest.mark.parametrize("zeros", [b"", b"\0" * 40])
def test_a_first_line_cut_at_any_byte_resumes(zeros: bytes) -> None:
    """From the first character of its id on; less could be any file."""
    start = len(b'{"id":"')
    for line in (LINES[0], HALF % IDS[1].encode()):
        for size in sizes(line, start + 1, len(line) - 1):
            assert resumed(line[:size] + zeros, None, Resume())[0] == b""


@pytest.mark.parametrize("good", [True, False])
def test_an_errors_file_cut_at_any_byte_resumes(*, good: bool) -> None:
    before = ERRORS[0] if good else b""
    for line in ERRORS if not good else ERRORS[1:]:
        for size in range(0 if good else 1, len(line) - 1):
            assert resumed(LINES[1], before + line[:size], Resume())[1] == before
