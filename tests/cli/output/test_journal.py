"""A resumed run fetches the ids that are not in the output, and changes no other file."""

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import queue
import resource
import shlex
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest
from commands import IDS, MODULE, Command, ids_in, wait_until
from hypothesis import given
from hypothesis import strategies as st

from instantly_async.cli import system
from instantly_async.cli.exits import CommandError, InputError, OutputError
from instantly_async.cli.known import KnownIds, Verdict
from instantly_async.cli.output import PastIds, Resume, journal, open_journal, opening, readback
from instantly_async.cli.output.error_lines import error_line
from instantly_async.cli.output.syncer import Syncer
from instantly_async.cli.records import number_of
from instantly_async.cli.system import files
from instantly_async.cli.target import Target
from instantly_async.errors import DecodeError, ServerError
from instantly_async.outcomes import Failed, NotFound
from instantly_async.testing import DEFAULT_API_KEY, FakeInstantly, Fault, lead_ids, lead_json

LINES = [lead_json(lead_id) + b"\n" for lead_id in IDS]

pytestmark = pytest.mark.fake_instantly(rate_limit=None)


def asked(fake: FakeInstantly) -> list[str]:
    return sorted(str(request.lead_id) for request in fake.requests)


def failed_in(errors: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in errors.read_bytes().splitlines()]
    return sorted((line["id"], line["error"]) for line in lines)


# --- resuming ----------------------------------------------------------------------------


def test_only_missing_ids_are_fetched(
    command: Command, ids_file: Path, output: Path, fake_instantly: FakeInstantly
) -> None:
    output.write_bytes(b"".join(LINES[:4]))
    result = command("fetch", ids_file, "-o", output, "--resume")
    assert result.code == 0
    assert asked(fake_instantly) == IDS[4:]
    assert output.read_bytes().startswith(b"".join(LINES[:4]))
    assert ids_in(output.read_bytes()) == IDS
    assert "Resuming after 4 leads and 0 failed ids.\n" in result.err


@pytest.mark.parametrize("before", [None, b""])
def test_resume_works_without_an_earlier_run(
    command: Command, ids_file: Path, output: Path, before: bytes | None
) -> None:
    """So a nightly job can always use ``--resume``."""
    if before is not None:
        output.write_bytes(before)
    result = command("fetch", ids_file, "-o", output, "--resume")
    assert (result.code, ids_in(output.read_bytes())) == (0, IDS)
    assert "Resuming" not in result.err


def test_when_all_ids_are_done_nothing_is_requested(
    command: Command, ids_file: Path, output: Path, fake_instantly: FakeInstantly
) -> None:
    output.write_bytes(b"".join(LINES))
    assert command("fetch", ids_file, "-o", output, "--resume", "--quiet") == (0, b"", "")
    assert not fake_instantly.requests


def test_demo_can_resume(command: Command, output: Path) -> None:
    output.write_bytes(LINES[0])
    assert command("demo", "--count", "5", "-o", output, "--resume", "--quiet").code == 0
    assert ids_in(output.read_bytes()) == IDS[:5]


def test_row_31_a_torn_line_is_removed_and_fetched_again(
    command: Command, ids_file: Path, output: Path, fake_instantly: FakeInstantly
) -> None:
    output.write_bytes(LINES[0] + LINES[1][:-2])
    result = command("fetch", ids_file, "-o", output, "--resume")
    assert (result.code, ids_in(output.read_bytes())) == (0, IDS)
    assert asked(fake_instantly) == IDS[1:]
    torn = f"{output} ended within a line; its {len(LINES[1]) - 2} bytes are removed"
    assert result.err.startswith(torn)


@pytest.mark.parametrize("option", ["--resume", "--repair"])
def test_a_last_line_that_only_lacks_its_end_is_kept(
    command: Command, ids_file: Path, output: Path, fake_instantly: FakeInstantly, option: str
) -> None:
    """It may hold the only copy of that lead."""
    other = lead_json(next(lead_ids(1, seed=9)))
    bad = b"{\n" if option == "--repair" else b""
    output.write_bytes(LINES[0] + bad + other)
    assert command("fetch", ids_file, "-o", output, option).code == 0
    assert output.read_bytes().startswith(LINES[0] + other + b"\n")
    assert asked(fake_instantly) == IDS[1:]
    result = command("fetch", ids_file, "-o", output, "--resume")
    assert "Resuming after 7 leads" in result.err


@pytest.mark.parametrize(
    "content",
    [
        b"some text",
        b"some text\n",
        b'{"precious":"data","n":1}',
        b"id,email\n1,2\n",
        b"{}\n",
        b'{"id": 7}\n',
        b"x" * 9_000_000,
    ],
)
@pytest.mark.parametrize("option", ["--resume", "--repair"])
def test_a_file_that_is_not_a_journal_is_not_changed(
    command: Command, ids_file: Path, output: Path, content: bytes, option: str
) -> None:
    output.write_bytes(content)
    result = command("fetch", ids_file, "-o", output, option)
    assert result.code == 2
    assert "so it is not changed; choose another name." in result.err
    assert output.read_bytes() == content


BAD = [b"\0\0\0\n", b'{"id": "x"}\n', b"{\n", b"[1]\n", b"x" * 5009 + b"\n"]


@pytest.fixture
def short_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a line be as long as 5 kB, instead of 129 MiB."""
    monkeypatch.setattr(readback, "MAX_LINE_BYTES", 5000)


@pytest.mark.usefixtures("short_lines")
@pytest.mark.parametrize("bad", BAD, ids=[f"{line[:9]!r}" for line in BAD])
def test_a_bad_line_is_reported_by_offset_and_dropped_with_repair(
    command: Command,
    ids_file: Path,
    output: Path,
    bad: bytes,
    fake_instantly: FakeInstantly,
) -> None:
    content = LINES[0] + bad + b"\n" + LINES[1] + bad + LINES[2][:7]
    output.write_bytes(content)
    result = command("fetch", ids_file, "-o", output, "--resume")
    where = f"The line of {output} that begins at byte {len(LINES[0])} is not a lead (and 1 more)"
    assert result == (2, b"", f"{where}; fix it, or add --repair to drop it.\n")
    assert output.read_bytes() == content
    result = command("fetch", ids_file, "-o", output, "--repair")
    assert result.code == 0
    assert f"{output}: dropped lines that are not leads: 2.\n" in result.err
    assert output.read_bytes().startswith(LINES[0] + b"\n" + LINES[1])
    assert output.stat().st_mode & 0o777 == 0o600
    assert sorted(output.read_bytes().split(b"\n")) == sorted(
        [b"", b"", *(line[:-1] for line in LINES)]
    )
    assert asked(fake_instantly) == IDS[2:]


def test_odd_but_whole_lines_are_leads(
    command: Command, ids_file: Path, output: Path, fake_instantly: FakeInstantly
) -> None:
    """Half a surrogate pair, a byte order mark, an id in capitals; a blank line is skipped."""
    odd = b'\xef\xbb\xbf{"a": "\\ud83d", "id": "%s"}\n\r\n' % IDS[0].upper().encode()
    output.write_bytes(odd)
    assert command("fetch", ids_file, "-o", output, "--resume").code == 0
    assert asked(fake_instantly) == IDS[1:]
    assert output.read_bytes().startswith(odd)


# --- failed ids --------------------------------------------------------------------------


def test_final_failures_are_recorded_as_valid_input(
    command: Command, output: Path, errors: Path, tmp_path: Path, fake_instantly: FakeInstantly
) -> None:
    """Transient failures are not recorded: a resumed run requests those ids again."""
    fake_instantly.unknown = {IDS[0]}
    fake_instantly.script(IDS[1], Fault.status(400))
    fake_instantly.script(IDS[2], *[Fault.body(b'{"id":"%s",nope}' % IDS[2].encode())] * 9)
    fake_instantly.script(IDS[3], *[Fault.status(500)] * 5)
    ids = tmp_path / "my ids.txt"
    ids.write_text("\n".join([*IDS, "no id"]))
    result = command("fetch", ids, "-o", output)
    assert result.code == 3
    expected = [
        (IDS[0], "NotFoundError"),
        (IDS[1], "RequestRejectedError"),
        (IDS[2], "DecodeError"),
        ("no id", "InvalidLeadIdError"),
    ]
    assert failed_in(errors) == expected
    assert errors.stat().st_mode & 0o777 == 0o600
    assert f"Resume with: instantly-async fetch --resume '{ids}' -o {output}\n" in result.err
    lines = [json.loads(line) for line in errors.read_bytes().splitlines()]
    assert [line.get("line") for line in lines if line["id"] == "no id"] == [7]

    fake_instantly.reset()
    result = command("fetch", ids, "-o", output, "--resume")
    assert result.code == 3
    assert asked(fake_instantly) == [IDS[3]]
    assert "Resuming after 2 leads and 4 failed ids." in result.err
    assert "Resume with" not in result.err
    assert failed_in(errors) == expected

    fake_instantly.reset()
    assert command("fetch", errors, "-o", tmp_path / "again.jsonl").code == 3
    assert asked(fake_instantly) == IDS[:3]


def test_failed_ids_can_be_fetched_again(
    command: Command, output: Path, errors: Path, ids_file: Path, fake_instantly: FakeInstantly
) -> None:
    """The error of an id that is found is removed; an id that fails again keeps its last error."""
    fake_instantly.unknown = {IDS[0], IDS[1]}
    assert command("fetch", ids_file, "-o", output).code == 3
    fake_instantly.unknown = set()
    fake_instantly.reset()
    fake_instantly.script(IDS[1], Fault.status(400))
    assert command("fetch", ids_file, "-o", output, "--retry-errors").code == 3
    assert asked(fake_instantly) == IDS[:2]
    assert failed_in(errors) == [(IDS[1], "RequestRejectedError")]
    assert ids_in(output.read_bytes()) == [IDS[0], *IDS[2:]]
    assert command("fetch", ids_file, "-o", output, "--retry-errors").code == 0
    assert errors.read_bytes() == b""
    assert ids_in(output.read_bytes()) == IDS


def test_errors_of_a_killed_retry_are_cleaned_up(
    command: Command, output: Path, errors: Path, ids_file: Path, fake_instantly: FakeInstantly
) -> None:
    """Errors of ids that were found since, or that have a later error, are dropped."""
    output.write_bytes(b"".join(LINES[:4]))
    lines = [
        b'{"id":"%s","error":"%s"}\n' % (IDS[index].encode(), error)
        for index, error in ((0, b"A"), (4, b"B"), (5, b"C"), (4, b"D"))
    ]
    errors.write_bytes(b"".join(lines) + b'{"id":')
    assert command("fetch", ids_file, "-o", output, "--resume").code == 3
    assert errors.read_bytes() == lines[2] + lines[3]
    assert not fake_instantly.requests


def test_a_bad_line_among_the_errors(
    command: Command, output: Path, errors: Path, ids_file: Path
) -> None:
    line = b'{"id":"%s","error":"A"}\n' % IDS[0].encode()
    output.write_bytes(LINES[1])
    errors.write_bytes(line + b"{\n")
    result = command("fetch", ids_file, "-o", output, "--resume")
    assert result.code == 2
    assert (
        f"The line of {errors} that begins at byte {len(line)} is not a lead; fix it" in result.err
    )
    assert command("fetch", ids_file, "-o", output, "--repair").code == 3
    assert errors.read_bytes() == line


def test_errors_without_their_output_are_not_mixed_with_new_ones(
    command: Command, output: Path, errors: Path, ids_file: Path
) -> None:
    errors.write_bytes(b'{"id":"%s","error":"A"}\n' % IDS[0].encode())
    result = command("fetch", ids_file, "-o", output)
    assert result.code == 2
    assert f"{errors} is left from an earlier run; add --resume" in result.err
    assert not output.exists()
    assert command("fetch", ids_file, "-o", output, "--resume").code == 3
    assert ids_in(output.read_bytes()) == IDS[1:]


def test_the_key_is_not_written_to_the_errors(
    command: Command, output: Path, errors: Path, tmp_path: Path
) -> None:
    """Also if the input contains it. Half a surrogate pair can be written."""
    ids = tmp_path / "ids.jsonl"
    key, valid = (json.dumps({"id": each}) for each in (f"key {DEFAULT_API_KEY}", IDS[0]))
    ids.write_text(f'{key}\n{{"id": "a\\ud83d"}}\n{valid}\n')
    for _ in range(2):
        assert command("fetch", ids, "-o", output, "--resume").code == 3
        assert failed_in(errors) == [("", "InvalidLeadIdError"), ("a?", "InvalidLeadIdError")]


def test_the_record_of_a_failure() -> None:
    decode = DecodeError("Does not fit", path="$.a", raw=b"secret@example.com")
    line = error_line(Failed(lead_id=IDS[0], index=0, error=decode, attempts=3, elapsed_s=1))
    assert line is not None
    assert b"secret" not in line
    assert json.loads(line)["attempts"] == 3
    missing = NotFound(lead_id=IDS[0], index=0, attempts=1, elapsed_s=1)
    assert error_line(missing) == (
        b'{"id":"%s","error":"NotFoundError","message":"not found","attempts":1}\n'
        % IDS[0].encode()
    )
    transient = ServerError("HTTP 500")
    outcome = Failed(lead_id=IDS[0], index=0, error=transient, attempts=5, elapsed_s=1)
    assert error_line(outcome) is None


# --- names, locks ------------------------------------------------------------------------


def test_row_33_two_runs_on_one_output(
    command: Command, ids_file: Path, output: Path, environment: None
) -> None:
    """The second is refused at once, with any option; the first is not disturbed."""
    first = subprocess.Popen(
        [*MODULE, "fetch", "-o", str(output)], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with first:
        assert first.stdin is not None
        first.stdin.write(f"{IDS[0]}\n".encode())
        first.stdin.flush()
        wait_until(lambda: output.exists() and output.read_bytes().endswith(b"\n"))
        for options in (["--resume"], ["--repair"], ["--resume", "--dry-run"]):
            result = command("fetch", ids_file, "-o", output, *options)
            assert (result.code, result.out) == (2, b"")
            assert f"{output} is being written by another run; let it finish" in result.err
        first.stdin.write("\n".join(IDS[1:]).encode())
    assert first.returncode == 0
    assert ids_in(output.read_bytes()) == IDS


def test_an_output_that_another_run_has_locked_first_is_kept(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It belongs to that run, although this one has created it."""

    def lock_second(fd: int, path: str) -> None:
        with output.open("ab") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            files.lock(fd, path)

    monkeypatch.setattr(opening, "lock", lock_second)
    with pytest.raises(CommandError, match="is being written by another run"):
        open_journal(str(output), f"{output}.errors", PastIds(KnownIds()), Resume())
    assert output.exists()


@pytest.mark.parametrize("is_new", [True, False])
def test_an_output_that_is_moved_during_the_run(output: Path, *, is_new: bool) -> None:
    """The run raises, and does not change the file that has the name now."""
    if not is_new:
        output.write_bytes(LINES[0])
    moved = output.with_name("moved")

    def move() -> None:
        output.rename(moved)
        output.write_text("mine")

    async def write_and_move(opened: journal.Journal) -> None:
        async with opened.recording():
            move()

    opened = open_journal(str(output), f"{output}.errors", PastIds(KnownIds()), Resume())
    with opened, pytest.raises(OutputError, match="was moved or removed while it was written"):
        asyncio.run(write_and_move(opened))
    assert output.read_text() == "mine"
    assert moved.exists()


def test_a_repaired_file_is_locked_like_the_old_one(output: Path) -> None:
    output.write_bytes(LINES[0] + b"{\n")
    with open_journal(str(output), f"{output}.errors", PastIds(KnownIds()), Resume(repair=True)):
        with output.open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    with output.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_dry_runs_do_not_exclude_each_other(command: Command, ids_file: Path, output: Path) -> None:
    output.write_bytes(LINES[0])
    with output.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        result = command("fetch", ids_file, "-o", output, "--resume", "--dry-run")
    assert result.code == 0


def test_a_new_file_never_replaces_another(output: Path) -> None:
    link = output.with_name("link")
    link.symlink_to(output)
    output.with_name("there").touch()
    for path in (link, output.with_name("there")):
        with pytest.raises(CommandError, match="exists already"):
            files.create(path)
    assert not output.exists()


def test_a_file_that_was_replaced_before_it_was_locked(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output.write_bytes(LINES[0])

    def replace_first(fd: int, path: str) -> None:
        output.unlink()
        files.lock(fd, path)

    monkeypatch.setattr(opening, "lock", replace_first)
    with pytest.raises(CommandError, match="was changed by another run; start again"):
        open_journal(str(output), f"{output}.errors", PastIds(KnownIds()), Resume())
    assert not output.exists()


def test_a_disk_without_locks(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(CommandError, match=r"cannot be locked: .*; choose a file on a local disk"):
        open_journal(str(output), f"{output}.errors", PastIds(KnownIds()))


def test_outputs_that_cannot_be_resumed(
    command: Command, ids_file: Path, output: Path, tmp_path: Path
) -> None:
    os.mkfifo(output)
    for options in ([], ["--dry-run"]):
        result = command("fetch", ids_file, "-o", output, "--resume", *options)
        assert result == (2, b"", f"{output} is not a regular file; choose another name.\n")
    assert "is a folder; name a" in command("fetch", ids_file, "-o", tmp_path, "--resume").err
    for options in ([], ["--dry-run"]):
        result = command("fetch", ids_file, "--resume", *options)
        assert result == (2, b"", "Only a file can be resumed; name it with -o.\n")


def test_an_errors_file_that_cannot_be_created_is_refused_at_once(
    command: Command, ids_file: Path, output: Path, errors: Path, fake_instantly: FakeInstantly
) -> None:
    errors.symlink_to(output.with_name("nowhere"))
    result = command("fetch", ids_file, "-o", output, "--resume")
    assert result == (2, b"", f"{errors} is a symbolic link; name the file that it points to.\n")
    assert not output.exists()
    result = command("fetch", ids_file, "-o", errors)
    assert (result.code, "is named like an errors file" in result.err) == (2, True)
    assert not fake_instantly.requests


def test_an_errors_file_that_cannot_be_created_later_ends_the_run(
    output: Path, errors: Path
) -> None:
    missing = NotFound(lead_id=IDS[0], index=0, attempts=1, elapsed_s=1)
    with open_journal(str(output), str(errors), PastIds(KnownIds())) as opened:
        errors.mkdir()
        with pytest.raises(OutputError, match="exists already"):
            asyncio.run(opened.write_failure(missing))


def test_the_input_is_not_the_output(
    command: Command, output: Path, errors: Path, fake_instantly: FakeInstantly
) -> None:
    output.write_bytes(LINES[0])
    errors.write_bytes(b'{"id":"%s"}\n' % IDS[1].encode())
    result = command("fetch", output, "-o", output, "--resume")
    assert result == (2, b"", f"{output} is the input; choose another output.\n")
    result = command("fetch", errors, "-o", output, "--retry-errors")
    assert result.code == 2
    assert "name the file with all ids and add --retry-errors" in result.err
    assert not fake_instantly.requests


# --- before the run --------------------------------------------------------------------------


def test_a_dry_run_prints_what_a_run_would_do(  # noqa: PLR0917 - fixtures
    command: Command,
    output: Path,
    errors: Path,
    tmp_path: Path,
    fake_instantly: FakeInstantly,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It needs no key, sends no request, and changes no file, not even a torn line."""
    monkeypatch.delenv("INSTANTLY_API_KEY")
    ids = tmp_path / "ids"
    ids.write_text("\n".join([*IDS, IDS[5], "no id"]))
    output.write_bytes(LINES[0] + LINES[1][:9])
    errors.write_bytes(b'{"id":"%s"}\n{"i' % IDS[2].encode())
    arguments = ["-o", output, "--resume", "--dry-run", "--rate-share", "0.05"]
    result = command("fetch", ids, *arguments)
    assert result.code == 0
    assert result.err == "invalid: in line 8 (a lead id is a UUID)\n"
    facts = [
        "format        text",
        "encoding      UTF-8",
        f"first id      {IDS[0]}",
        "ids read      8",
        "invalid       1",
        "duplicates    1",
        "already done  2",
        "to fetch      4",
        "with get      4 requests, 2 s at 3 requests/s",
        "with list     1 request, 1 s, and one for each lead not found",
    ]
    assert result.out.decode().splitlines() == facts
    assert command("fetch", *arguments, stdin=ids.read_bytes()).out == result.out
    assert output.read_bytes() == LINES[0] + LINES[1][:9]
    assert not fake_instantly.requests
    assert b"\nids read      8\n" in command("fetch", ids, "--dry-run").out
    result = command("fetch", ids, "-o", output, "--dry-run")
    assert (result.code, "add --resume" in result.err) == (2, True)
    result = command("fetch", ids, "--dry-run", "--rate-share", "7")
    assert (result.code, "--rate-share must be" in result.err) == (2, True)


def test_a_file_is_checked_before_any_request(
    command: Command, output: Path, tmp_path: Path, fake_instantly: FakeInstantly
) -> None:
    ids = tmp_path / "ids"
    ids.write_text("\n".join([*IDS, "x", "\0"]))
    result = command("fetch", ids, "-o", output)
    assert result.code == 2
    assert result.err.splitlines() == [
        "invalid: in line 7 (a lead id is a UUID)",
        (
            f"Line 8 of {ids} has a NUL byte (at offset 224), so it is not text; save the file as "
            "text in UTF-8, or name another one."
        ),
    ]
    assert not fake_instantly.requests
    assert not output.exists()


def test_a_file_that_shrinks_while_it_is_read(
    command: Command, output: Path, tmp_path: Path, fake_instantly: FakeInstantly
) -> None:
    """Ids that were counted before the run are missing, so the run fails."""
    ids = tmp_path / "ids"
    ids.write_text("".join(f"{lead_id:<64}\n" for lead_id in lead_ids(3000)))
    fake_instantly.latency_s = 0.01

    def cut() -> None:
        wait_until(lambda: len(fake_instantly.requests) > 2)
        os.truncate(ids, 0)

    cutter = threading.Thread(target=cut)
    cutter.start()
    result = command("fetch", ids, "-o", output, "--strategy", "list")
    cutter.join()
    assert result.code == 2
    assert f"{ids} changed while it was read; repeat the command" in result.err


def test_an_empty_input_makes_an_empty_output(command: Command, output: Path) -> None:
    arguments = ["fetch", "-o", output, "--quiet", "--allow-empty"]
    assert command(*arguments, stdin=b"") == (0, b"", "")
    assert output.read_bytes() == b""


def test_how_to_resume(command: Command, output: Path, tmp_path: Path) -> None:
    """The printed command works with odd names and options, and never contains the key."""
    ids = tmp_path / "-odd ids"
    ids.write_text(f"{IDS[0]}\n")
    target = Target(str(output))
    arguments = ["fetch", "-o", str(output), "--resume=true", "--", str(ids)]
    sentence = target.how_to_resume(arguments, from_stdin=True)
    assert sentence is not None
    start, _, line = sentence.partition(" with: ")
    assert start == "Resume, with the same ids on stdin,"
    assert command(*shlex.split(line)[1:]).code == 0
    with_key = ["fetch", "--workspace", DEFAULT_API_KEY]
    assert target.how_to_resume(with_key, from_stdin=False) is None
    assert Target("-").how_to_resume(["fetch"], from_stdin=False) is None


def test_stdout_is_not_the_input(command: Command, tmp_path: Path) -> None:
    ids = tmp_path / "ids"
    ids.write_text(f"{IDS[0]}\n")
    stdout = os.dup(1)
    try:
        with ids.open("ab") as file:
            os.dup2(file.fileno(), 1)
            result = command("fetch", ids)
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
    assert (result.code, result.err) == (2, "stdout is the input; choose another output.\n")
    assert ids.read_text() == f"{IDS[0]}\n"


def test_an_invalid_id_is_reported_once(command: Command, tmp_path: Path) -> None:
    ids = tmp_path / "ids"
    ids.write_text(f"x\n{IDS[0]}\n")
    with ids.open("rb") as file:
        stdin = os.dup(0)
        os.dup2(file.fileno(), 0)
        try:
            redirected = command("fetch")
        finally:
            os.dup2(stdin, 0)
            os.close(stdin)
    for result in (redirected, command("fetch", ids), command("fetch", stdin=ids.read_bytes())):
        assert (result.code, result.found) == (3, IDS[:1])
        assert result.err.count("in line 1") == 1


# --- disks -------------------------------------------------------------------------------


def test_row_32_a_disk_that_fills_up(command: Command, ids_file: Path, output: Path) -> None:
    """The file ends with a whole line; with more room, the printed command fetches the rest."""
    room = len(LINES[0]) * 7 // 2
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        result = command("fetch", ids_file, "-o", output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.code == 5
    sentence = f"Writing to {output} failed: {os.strerror(errno.EFBIG)}; it ends with the last"
    assert sentence in result.err
    assert len(ids_in(output.read_bytes())) == 3
    command_line = f"instantly-async fetch --resume {ids_file} -o {output}"
    assert f"Resume with: {command_line}\n" in result.err
    assert command(*command_line.split()[1:]).code == 0
    assert ids_in(output.read_bytes()) == IDS


def test_row_32_a_failed_fsync_stops_the_run_and_is_not_repeated(
    command: Command, ids_file: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fdatasync(fd: int) -> None:
        calls.append(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    result = command("fetch", ids_file, "-o", output)
    assert result.code == 5
    sentence = f"{output} could not be made durable: {os.strerror(errno.EIO)}; check the disk"
    assert sentence in result.err
    assert len(calls) == 1
    assert "Resume" not in result.err  # lines in the file may not be on the disk


async def test_a_failed_fsync_is_raised_by_the_next_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instantly_async.cli.output.syncer.SYNC_S", 0.0)

    def sync() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    syncer = Syncer(sync, "out")
    with pytest.raises(OutputError, match="could not be made durable"):
        async with syncer.running():
            while True:
                await asyncio.sleep(0)
                syncer.on_line()


@pytest.mark.parametrize("error", [AttributeError("fdatasync"), MemoryError(), SystemExit(0)])
async def test_any_other_failure_of_a_sync_ends_the_run_too(error: BaseException) -> None:
    """A thread that died unseen would sync nothing more, and the run would end with 0."""

    def sync() -> None:
        raise error

    syncer = Syncer(sync, "out")
    with pytest.raises(OutputError, match=f"durable: {type(error).__name__}"):
        async with syncer.running():
            syncer.on_line()
    assert syncer.has_failed


def test_a_thread_that_cannot_be_started(
    command: Command, ids_file: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    result = command("fetch", ids_file, "-o", output, "--quiet")
    sentence = "cannot be made durable: can't start new thread; allow more threads or processes."
    assert (result.code, result.err) == (5, f"{output} {sentence}\n")


@pytest.mark.parametrize(
    ("code", "used"),
    [
        (None, ["full"]),
        (errno.ENOTSUP, ["full", "fsync"]),  # not every file system of macOS has it
        (errno.EINVAL, ["full", "fsync"]),
        (errno.ENOTTY, ["full", "fsync"]),
        (errno.EIO, ["full"]),
    ],
)
def test_the_sync_of_macos(
    monkeypatch: pytest.MonkeyPatch, code: int | None, used: list[str]
) -> None:
    """Its ``fsync`` leaves data in the drive's cache, and it has no ``fdatasync``."""
    calls = list[str]()

    def full(fd: int, command: int) -> None:
        assert command == 51
        calls.append("full")
        if code is not None:
            raise OSError(code, os.strerror(code))

    monkeypatch.delattr(os, "fdatasync")
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append("fsync"))
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", full)
    for sync in (system.sync, system.sync_open_folder):
        calls.clear()
        lost = pytest.raises(OSError, match=os.strerror(errno.EIO))
        with lost if code == errno.EIO else contextlib.nullcontext():
            sync(0)
        assert calls == used


@pytest.mark.parametrize(
    ("code", "passes"), [(errno.EINVAL, True), (errno.EACCES, True), (errno.EIO, False)]
)
def test_a_folder_that_cannot_be_synced(
    output: Path, monkeypatch: pytest.MonkeyPatch, code: int, *, passes: bool
) -> None:
    """Some file systems cannot sync folders, which is ignored; a failing disk is not."""

    def fsync(fd: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    if passes:
        system.sync_folder(output)
    else:
        with pytest.raises(OSError, match=os.strerror(code)):
            system.sync_folder(output)


async def test_lines_are_synced_after_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """And once more at the end, if lines were written since."""
    monkeypatch.setattr("instantly_async.cli.output.syncer.SYNC_S", 0.01)
    calls: queue.Queue[None] = queue.Queue()
    syncer = Syncer(lambda: calls.put(None), "out")
    async with syncer.running():
        for _ in range(3):
            syncer.on_line()
            await asyncio.to_thread(calls.get, timeout=30)
        assert calls.empty()
        monkeypatch.setattr("instantly_async.cli.output.syncer.SYNC_S", 3600.0)
        syncer.on_line()
    assert calls.qsize() == 1


async def test_lines_that_are_written_during_a_sync_are_synced_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("instantly_async.cli.output.syncer.SYNC_S", 0.0)
    begun, go_on = threading.Event(), threading.Event()
    calls = list[None]()

    def sync() -> None:
        calls.append(None)
        begun.set()
        assert go_on.wait(30)

    syncer = Syncer(sync, "out")
    async with syncer.running():
        syncer.on_line()
        await asyncio.to_thread(begun.wait, 30)
        syncer.on_line()
        asyncio.get_running_loop().call_later(0.05, go_on.set)
    assert len(calls) == 2


async def test_a_cancelled_end_still_raises_lost_writes() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def sync() -> None:
        begun.set()
        assert go_on.wait(30)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def write() -> None:
        syncer = Syncer(sync, "out")
        async with syncer.running():
            syncer.on_line()

    writing = asyncio.create_task(write())
    await asyncio.to_thread(begun.wait, 30)
    writing.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(OutputError, match="could not be made durable"):
        await writing


async def test_a_cancelled_end_is_still_cancelled() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def sync() -> None:
        begun.set()
        assert go_on.wait(30)

    async def write() -> None:
        syncer = Syncer(sync, "out")
        async with syncer.running():
            syncer.on_line()

    writing = asyncio.create_task(write())
    await asyncio.to_thread(begun.wait, 30)
    writing.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing


def test_everything_is_made_durable(  # noqa: PLR0917 - fixtures
    command: Command,
    ids_file: Path,
    output: Path,
    errors: Path,
    fake_instantly: FakeInstantly,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Leads, errors and their folder, also after a killed run; a file before it is renamed."""
    synced: set[int] = set()
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda fd: synced.add(os.fstat(fd).st_ino))
    fake_instantly.unknown = {IDS[0]}
    assert command("fetch", ids_file, "-o", output).code == 3
    assert synced == {path.stat().st_ino for path in (output, errors, output.parent)}
    synced.clear()
    assert command("fetch", ids_file, "-o", output, "--resume").code == 3
    assert synced == {output.stat().st_ino}
    synced.clear()
    real_replace = Path.replace

    def replace(self: Path, target: Path) -> Path:
        assert self.stat().st_ino in synced
        synced.clear()
        return real_replace(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with files.replacement(str(output)) as file:
        file.write(b"x")
    assert synced == {output.parent.stat().st_ino}


async def test_nothing_written_is_not_synced() -> None:
    async with Syncer(pytest.fail, "out").running():
        pass


def test_a_repair_that_fails_changes_nothing(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = LINES[0] + b"{\n"
    output.write_bytes(content)

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OutputError, match=r"failed: .*; nothing was changed"):
            open_journal(str(output), f"{output}.errors", PastIds(KnownIds()), Resume(repair=True))
    assert output.read_bytes() == content
    assert list(output.parent.iterdir()) == [output]


def test_a_bad_errors_file_leaves_no_new_output(output: Path, errors: Path) -> None:
    errors.write_bytes(b"mine\n")
    with pytest.raises(InputError, match="holds no leads, so it is not changed"):
        open_journal(str(output), str(errors), PastIds(KnownIds()), Resume())
    assert list(output.parent.iterdir()) == [errors]


# --- known ids -----------------------------------------------------------------------

ids = st.sampled_from([*IDS[:3], IDS[0].upper(), "x", "y\ud83d"])


@given(done=st.lists(ids), given_ids=st.lists(ids), passes=st.integers(1, 3))
def test_known_ids_agree_with_a_simple_model(
    done: list[str], given_ids: list[str], passes: int
) -> None:
    known, invalid = KnownIds(), Counter[str]()
    for lead_id in done:
        number = number_of(lead_id)
        if number is None:
            known.add_invalid(lead_id.replace("\ud83d", "?"))
            invalid[lead_id] += 1
        else:
            known.add_done(number)
    is_done = {each.lower() for each in done}
    for _ in range(passes):
        known.begin()
        seen = set[str]()
        left = invalid.copy()
        for lead_id in given_ids:
            verdict = known.judge(lead_id)
            wire = lead_id.lower()
            if number_of(lead_id) is None:
                assert (verdict is Verdict.DONE) == (left[lead_id] > 0)
                left[lead_id] -= 1
                continue
            expected = Verdict.DONE if wire in is_done else Verdict.NEW
            assert verdict is (Verdict.DUPLICATE if wire in seen else expected)
            seen.add(wire)


def test_invalid_ids_from_a_pipe(command: Command, output: Path, errors: Path) -> None:
    for _ in range(2):
        result = command("fetch", "-o", output, "--resume", stdin=f"x\ny\nx\n{IDS[0]}".encode())
        assert result.code == 3
    assert [each for each, _ in failed_in(errors)] == ["x", "x", "y"]
