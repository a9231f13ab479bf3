"""Which ids without a lead are named: ten of a kind, then how many others there are and where."""

import re
from pathlib import Path

import pytest
from commands import Command
from hypothesis import given
from hypothesis import strategies as st
from terminals import OnTerminal

from instantly_async.cli.records import LineId
from instantly_async.cli.show.naming import INVALID, MOST_NAMED, NOT_FOUND, Kind, Naming, kind_of
from instantly_async.errors import DecodeError, InvalidLeadIdError, LeadError, ServerError
from instantly_async.outcomes import Failed, NotFound
from instantly_async.testing import FakeInstantly, lead_ids

pytestmark = [
    pytest.mark.fake_instantly(rate_limit=None),
    pytest.mark.usefixtures("environment"),
]

MANY = list(lead_ids(25))
KINDS = [NOT_FOUND, INVALID, Kind("failed with ServerError", is_temporary=True)]


def failed(error: LeadError, lead_id: str = MANY[0], attempts: int = 1) -> Failed:
    return Failed(lead_id=lead_id, index=0, error=error, attempts=attempts, elapsed_s=0.0)


def test_the_kind_of_an_outcome() -> None:
    """By the error's class, and whether a later run tries the id again."""
    missing = NotFound(lead_id=MANY[0], index=0, attempts=1, elapsed_s=0.0)
    assert kind_of(missing) == ("not found", False)
    invalid = failed(InvalidLeadIdError("The id is not a UUID"), LineId("x", 7), attempts=0)
    assert kind_of(invalid) == ("invalid", False)
    assert kind_of(failed(ServerError("HTTP 500"))) == ("failed with ServerError", True)
    malformed = DecodeError("x", path="$", raw=b"")
    assert kind_of(failed(malformed)) == ("failed with DecodeError", False)
    foreign = DecodeError("x", reason="foreign", path="$", raw=b"")
    assert kind_of(failed(foreign)) == ("failed with DecodeError", True)


@given(st.lists(st.sampled_from(KINDS)), st.none() | st.integers(0, 5))
def test_each_kind_is_named_as_often_as_allowed(kinds: list[Kind], most: int | None) -> None:
    """A kind is summed up if some of it were not named; with 0 nothing is said at all."""
    naming = Naming(most)
    named = [kind for kind in kinds if naming.takes(kind)]
    rest = "\n".join(naming.rest("errors"))
    for kind in KINDS:
        count = kinds.count(kind)
        assert named.count(kind) == (count if most is None else min(count, most))
        hidden = count - named.count(kind)
        assert (f"… and {hidden} more {kind.reason};" in rest) == bool(hidden and most)


def test_the_line_says_where_all_are() -> None:
    naming = Naming(MOST_NAMED)
    for kind in KINDS:
        for number in range(1000):
            naming.takes(kind)
            if kind == NOT_FOUND or number < 300:
                naming.on_recorded(kind)
    assert list(naming.rest("out.errors.jsonl")) == [
        "… and 990 more not found; all 1,000 are in out.errors.jsonl.",
        "… and 990 more invalid; 300 of all 1,000 are in out.errors.jsonl so far.",
        "… and 990 more failed with ServerError; --resume tries all 1,000 again.",
    ]
    assert (
        next(naming.rest()) == "… and 990 more not found; 1,000 in all, and -o FILE records each."
    )


def input_of(tmp_path: Path) -> Path:
    """Return a file with 25 ids that are not found, and 12 that are invalid."""
    path = tmp_path / "ids"
    path.write_text("\n".join([*MANY, *["bad"] * 12]))
    return path


def test_a_file_records_what_is_not_named(
    command: Command, fake_instantly: FakeInstantly, tmp_path: Path
) -> None:
    fake_instantly.unknown = set(MANY)
    output = tmp_path / "leads.jsonl"
    result = command("fetch", input_of(tmp_path), "-o", output)
    errors = f"{output}.errors.jsonl"
    assert result.code == 3
    assert [len(re.findall(f"(?m)^{each}: ", result.err)) for each in ("not found", "invalid")] == [
        10,
        10,
    ]
    assert f"… and 15 more not found; all 25 are in {errors}.\n" in result.err
    assert f"… and 2 more invalid; all 12 are in {errors}.\n" in result.err
    assert Path(errors).read_bytes().count(b"\n") == 37
    again = command("fetch", input_of(tmp_path), "-o", output, "--resume", "--quiet")
    assert again == (3, b"", f"37 of 37 ids have no lead; they are in {errors}.\n")


def test_a_log_is_the_only_record_of_stdout(
    command: Command, fake_instantly: FakeInstantly, tmp_path: Path
) -> None:
    """So it has every id, also with --quiet; a person on a terminal is spared."""
    fake_instantly.unknown = set(MANY)
    path = input_of(tmp_path)
    for options in ([], ["--quiet"]):
        err = command("fetch", path, *options).err
        assert len(re.findall(r"(?m)^(?:not found|invalid): ", err)) == 37
        assert "…" not in err
    with OnTerminal("fetch", path) as terminal:
        assert terminal.wait() == 3
    assert len([line for line in terminal.lines if line.startswith("not found: ")]) == 10
    assert "… and 15 more not found; 25 in all, and -o FILE records each." in terminal.lines
    with OnTerminal("fetch", path, "--quiet") as terminal:
        assert terminal.wait() == 3
    said = "37 of 37 ids have no lead; name a file with -o, which records them."
    assert terminal.lines == [said, ""]


def test_a_dry_run_names_ten_too(command: Command, tmp_path: Path) -> None:
    err = command("fetch", input_of(tmp_path), "-o", tmp_path / "out.jsonl", "--dry-run").err
    assert err.count("\n") == 11
    assert err.endswith("… and 2 more invalid; 12 in all, and -o FILE records each.\n")
