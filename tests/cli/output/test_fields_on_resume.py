"""A journal that was begun with ``--fields`` is continued with the same ones, or not at all."""

import json
import shlex
from pathlib import Path

import pytest
from commands import IDS, Command, ids_in
from hypothesis import given
from hypothesis import strategies as st

from instantly_async.cli.convert import parse_fields
from instantly_async.cli.exits import CommandError
from instantly_async.cli.records import Selection, cut_keys, fields_text, to_line
from instantly_async.testing import FakeInstantly, lead_json

LINES = [lead_json(lead_id) + b"\n" for lead_id in IDS]

pytestmark = pytest.mark.fake_instantly(rate_limit=None)


@pytest.mark.parametrize("options", [(), ("--fields", "email"), ("--fields", "phone,id,email")])
@pytest.mark.parametrize("how", [("--resume",), ("--retry-errors",), ("--resume", "--dry-run")])
def test_other_fields_are_refused(  # noqa: PLR0917 - fixtures
    command: Command,
    ids_file: Path,
    output: Path,
    fake_instantly: FakeInstantly,
    options: tuple[str, ...],
    how: tuple[str, ...],
) -> None:
    """Before any request, also in a dry run; the sentence names the option that works."""
    fields = 'email,"payload.a, b",phone'
    torn = b'{"id":"%s"' % IDS[4].encode()
    content = b"".join(map(Selection(parse_fields(fields)).cut, LINES[:2])) + torn
    output.write_bytes(content)
    result = command("fetch", ids_file, "-o", output, *how, *options)
    option = """--fields 'id,email,"payload.a, b",phone'"""
    sentence = f"holds only some fields; resume it with {option}, or choose another output."
    assert result == (2, b"", f"{output} {sentence}\n")
    assert output.read_bytes() == content
    assert not fake_instantly.requests
    assert command("fetch", ids_file, "-o", output, *how, *shlex.split(option)).code == 0


@pytest.mark.parametrize("how", [("--resume",), ("--repair",), ("--resume", "--dry-run")])
def test_fields_are_refused_for_whole_leads(
    command: Command, ids_file: Path, output: Path, fake_instantly: FakeInstantly, how: list[str]
) -> None:
    """The first good line decides, whatever is before it."""
    content = b"\n" + LINES[0] + LINES[1][:99]
    output.write_bytes(content)
    result = command("fetch", ids_file, "-o", output, *how, "--fields", "id,email")
    sentence = "holds whole leads; leave --fields out, or choose another output."
    assert result == (2, b"", f"{output} {sentence}\n")
    assert output.read_bytes() == content
    assert not fake_instantly.requests


def test_the_journal_of_a_table_holds_whole_leads(
    command: Command, ids_file: Path, tmp_path: Path
) -> None:
    """So one that was begun with fields is refused there, too."""
    journal = tmp_path / "leads.csv.jsonl"
    assert command("fetch", ids_file, "-o", journal, "--fields", "id,email").code == 0
    result = command("fetch", ids_file, "-o", tmp_path / "leads.csv", "--resume")
    assert (result.code, "resume it with --fields id,email," in result.err) == (2, True)


def test_a_whole_lead_with_exactly_these_keys_is_continued(
    command: Command, ids_file: Path, output: Path
) -> None:
    """As written by earlier versions, which did not mark lines."""
    output.write_bytes(b'{"id":"%s","email":"a@example.com"}\n' % IDS[0].encode())
    assert command("fetch", ids_file, "-o", output, "--resume", "--fields", "id,email").code == 0
    assert ids_in(output.read_bytes()) == IDS


@given(st.binary(max_size=5), st.text(" \t\r\n", max_size=4))
def test_only_a_selection_marks_a_line(value: bytes, space: str) -> None:
    """Whatever white space the server sends after a lead."""
    lead = json.dumps({"id": "x", "email": value.hex()}).encode() + space.encode()
    assert cut_keys(to_line(lead)) is None
    assert cut_keys(Selection(["email"]).cut(lead)) == ("id", "email")


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=6), max_size=4))
def test_the_named_option_selects_the_same_fields(inner: list[str]) -> None:
    """For all names that ``--fields`` can have."""
    try:
        names = parse_fields(fields_text(["email", *(f"payload.{key}" for key in inner)]))
    except CommandError:
        return
    keys = Selection(names).keys
    assert tuple(parse_fields(fields_text(keys))) == keys
