"""The end of a run: what the whole job did, why the exit code is 3, and the command to go on."""

import os
import re
import shlex
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from commands import IDS, MODULE, Command, ids_in, program, wait_until
from hypothesis import given
from hypothesis import strategies as st
from terminals import OnTerminal

from instantly_async._recorder import Recorder
from instantly_async.cli.amounts import amount, duration
from instantly_async.cli.show.ending import Files, exit_reason_and_place, next_step, summary
from instantly_async.cli.show.report import Report, Tally
from instantly_async.testing import FakeInstantly, Fault

pytestmark = [
    pytest.mark.fake_instantly(rate_limit=None),
    pytest.mark.usefixtures("environment"),
]

FILES = Files(output="out", journal="out", errors="out.errors.jsonl")


def facts_of(text: str) -> dict[str, str]:
    """Return the facts of a summary by their names."""
    return dict(re.findall(r"(?m)^([a-z ]{1,12}?) {1,12}(?<=.{13})(.+?)\r?$", text))


def report(**changes: object) -> Report:
    now = datetime.now(UTC)
    stats = Recorder().snapshot(0.0, allowed_rate=95.0)
    base: dict[str, object] = {
        "stats": stats,
        "tally": Tally(lambda: 0.0),
        "duplicates": 0,
        "already_done": 0,
        "started_at": now,
        "ended_at": now,
    }
    return Report(**(base | changes))  # type: ignore[arg-type]


def tally(found: int = 0, not_found: int = 0, temporary: int = 0) -> Tally:
    counts = Tally(lambda: 0.0)
    counts.found, counts.not_found, counts.temporary = found, not_found, temporary
    counts.failed = Counter({"ServerError": temporary} if temporary else {})
    return counts


# --- amounts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0 s"),
        (4.26, "4.3 s"),
        (46, "46 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (271, "4 min 31 s"),
        (3599.6, "1 h 0 min"),
        (10_526, "2 h 55 min"),
        (3_700_000, "1,027 h 46 min"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@given(st.floats(0, 1e9))
def test_durations_have_no_unit_that_is_full(seconds: float) -> None:
    """Never 60 s or 60 min, whatever is rounded."""
    assert not re.search(r"\b60(?:\.0)? (?:s|min)", duration(seconds))


def test_amounts() -> None:
    assert [amount(1, "id"), amount(2, "id"), amount(12_345)] == ["1 id", "2 ids", "12,345"]


# --- the text ----------------------------------------------------------------------------


def test_a_resumed_run_counts_the_whole_job() -> None:
    failed = {"NotFoundError": 40, "DecodeError": 2, "InvalidLeadIdError": 1}
    stats = msgspec.structs.replace(
        Recorder().snapshot(10_526.0, allowed_rate=95.0), requested=1203, requests=12_345
    )
    text = summary(
        report(
            stats=stats,
            tally=tally(1200, 2, 1),
            found_before=8300,
            failed_before=failed,
            already_done=8343,
            left=4000,
        ),
        Files(output="out.csv", journal="out.csv.jsonl", errors="out.csv.errors.jsonl"),
    )
    facts = facts_of(text)
    assert facts["found"] == "9,500 (1,200 now)"
    assert facts["not found"] == "42 (2 now)"
    assert facts["failed"] == "4 (2 DecodeError, 1 InvalidLeadIdError, 1 ServerError; 1 now)"
    assert facts["temporary"] == "1 of the failed ids; --resume tries them again"
    assert facts["left"] == "4,000 ids"
    assert facts["requests"] == "12,345 (0 retries, 0 × 429)"
    assert facts["output"] == "out.csv, made at the end from out.csv.jsonl beside it"
    assert facts["errors"] == "45 ids in out.csv.errors.jsonl"
    assert text.count("\n") < 16
    assert max(map(len, text.splitlines())) <= 80


def test_exit_code_3_in_a_sentence() -> None:
    def said(counts: Tally, files: Files = FILES) -> str:
        return exit_reason_and_place(report(tally=counts), files)

    assert said(tally(1988, 12)) == "12 of 2,000 ids have no lead; they are in out.errors.jsonl."
    assert said(tally(0, 1)) == "1 of 1 id has no lead; it is in out.errors.jsonl."
    assert said(tally(1, 0, 2)) == "2 of 3 ids have no lead; --resume tries again."
    assert said(tally(1, 1, 2)) == (
        "3 of 4 ids have no lead; --resume tries 2 again, the others are in out.errors.jsonl."
    )
    remedy = "name a file with -o, which records them."
    assert said(tally(1, 1), Files()) == f"1 of 2 ids has no lead; {remedy}"


@pytest.mark.parametrize(
    ("counts", "left", "ended", "step"),
    [
        (tally(5), 0, True, None),
        (tally(5), 0, False, "resume"),
        (tally(5), 3, True, "resume"),
        (tally(5), None, True, "resume"),
        (tally(5, 1, 1), 0, True, "resume"),
        (tally(5, 1), 0, True, "retry"),
    ],
)
def test_the_next_step_is_one_command(
    counts: Tally, left: int | None, ended: bool, step: str | None
) -> None:
    """To resume if something is left, to retry if only recorded failures are."""
    ends = report(tally=counts, left=left)
    assert next_step(ends, ended=ended, resume="resume", retry="retry") == step


def test_invalid_ids_are_not_worth_a_retry() -> None:
    ends = report(failed_before={"InvalidLeadIdError": 3})
    assert next_step(ends, ended=True, resume="resume", retry="retry") is None


# --- the command -------------------------------------------------------------------------


def test_a_job_in_three_runs(
    command: Command, fake_instantly: FakeInstantly, ids_file: Path, tmp_path: Path
) -> None:
    """A failure that may pass, then one that stays, then nothing to do; each says the next step."""
    output = tmp_path / "my leads.jsonl"
    fake_instantly.unknown = {IDS[0]}
    fake_instantly.script(IDS[1], *[Fault.status(500)] * 5)
    first = command("fetch", ids_file, "-o", output)
    assert (first.code, facts_of(first.err)["found"]) == (3, "4")
    *_, reason, step = first.err.splitlines()
    assert reason == "Exit code 3: 2 of 6 ids have no lead."
    assert step == f"Resume with: instantly-async fetch --resume {ids_file} -o '{output}'"

    second = command(*shlex.split(step.partition(" with: ")[2])[1:])
    facts = facts_of(second.err)
    assert (second.code, facts["found"], facts["not found"]) == (3, "5 (1 now)", "1 (0 now)")
    assert facts["errors"] == f"1 id in {output}.errors.jsonl"
    *_, reason, step = second.err.splitlines()
    assert reason == "Exit code 3: 1 of 6 ids has no lead."
    assert step.startswith("If you want to, fetch the ids without a lead again with: ")

    fake_instantly.reset()
    third = command("fetch", ids_file, "-o", output, "--resume")
    assert "\nEverything was done before; no request was sent.\n" in third.err
    assert third.code == 3
    assert not fake_instantly.requests

    fake_instantly.unknown = set()
    last = command(*shlex.split(step.partition(" with: ")[2])[1:])
    assert (last.code, facts_of(last.err)["found"]) == (0, "6 (1 now)")
    assert "with: instantly-async" not in last.err
    assert ids_in(output.read_bytes()) == IDS


def test_the_command_is_the_last_line_after_an_error(
    command: Command, fake_instantly: FakeInstantly, ids_file: Path, tmp_path: Path
) -> None:
    """Below the sentence about the error, so that it is seen."""
    fake_instantly.api_key = "another"
    result = command("fetch", ids_file, "-o", tmp_path / "out.jsonl")
    assert result.code == 4
    *_, error, step = result.err.splitlines()
    assert "(401" in error
    assert step.startswith("Resume with: instantly-async fetch --resume ")
    assert "output" not in facts_of(result.err)  # it was empty, so it is removed
    assert not (tmp_path / "out.jsonl").exists()


@contextmanager
def fetching(*arguments: object) -> Iterator["subprocess.Popen[str]"]:
    command = [*program(drain_s=0.3), "fetch", *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_what_is_left_after_a_signal(
    fake_instantly: FakeInstantly, ids_file: Path, tmp_path: Path
) -> None:
    """Of a file it is counted; the rest of a pipe is unknown."""
    output, piped = tmp_path / "out.jsonl", tmp_path / "piped.jsonl"
    fake_instantly.script(IDS[1], Fault.stall(60))
    with fetching(ids_file, "-o", output, "--concurrency", "1") as process:
        wait_until(lambda: len(fake_instantly.requests) == 2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    facts = facts_of(err)
    assert (facts["found"], facts["left"]) == ("1", "5 ids")
    assert "Exit code 3" not in err
    assert err.splitlines()[-1].startswith("Resume with: ")
    with fetching("-o", piped) as process:
        assert process.stdin is not None
        os.write(process.stdin.fileno(), f"{IDS[0]}\n".encode())
        wait_until(lambda: piped.exists() and piped.read_bytes().endswith(b"\n"))
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        facts = facts_of(process.stderr.read())
    assert facts["left"] == "the rest of the input, which was not read"


def test_the_limit(command: Command, fake_instantly: FakeInstantly, tmp_path: Path) -> None:
    """It counts neither done, nor duplicate, nor invalid ids; --resume takes the next ones."""
    path, output = tmp_path / "ids", tmp_path / "out.jsonl"
    path.write_text("\n".join([IDS[0], "bad", IDS[0], *IDS[1:]]))
    arguments = ["fetch", path, "-o", output, "--limit", "2", "--resume"]
    plan = command(*arguments, "--dry-run").out.decode()
    assert re.search(r"(?m)^to fetch +2\nlater +4, because of --limit$", plan)
    for total, left in ((2, "4 ids; --limit 2"), (4, "2 ids; --limit 2"), (6, None)):
        result = command(*arguments)
        assert result.code == 3  # the invalid one
        assert ids_in(output.read_bytes()) == IDS[:total]
        assert facts_of(result.err).get("left") == left
        assert ("Resume with: " in result.err) == (left is not None)
    assert len(fake_instantly.requests) == 6
    refused = command("fetch", path, "--limit", "0")
    assert (refused.code, refused.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("strategy", ["get", "list"])
def test_the_limit_does_not_wait_for_more_of_a_pipe(strategy: str, tmp_path: Path) -> None:
    """The writer goes on for ever, and the run ends."""
    output = tmp_path / "out.jsonl"
    with fetching("-o", output, "--limit", "2", "--strategy", strategy) as process:
        assert process.stdin is not None
        os.write(process.stdin.fileno(), "".join(f"{each}\n" for each in IDS[:2]).encode())
        assert process.wait(20) == 0
        assert process.stderr is not None
        facts = facts_of(process.stderr.read())
    assert facts["left"] == "the rest of the input, which was not read; --limit 2"
    assert ids_in(output.read_bytes()) == IDS[:2]


def test_a_terminal_ends_with_the_summary(
    fake_instantly: FakeInstantly, ids_file: Path, tmp_path: Path
) -> None:
    """Charts are above it, so that the next command is the last line."""
    fake_instantly.unknown = {IDS[0]}
    with OnTerminal("fetch", ids_file, "-o", tmp_path / "out.jsonl") as terminal:
        assert terminal.wait() == 3
    lines = terminal.lines
    end = lines[next(i for i, line in enumerate(lines) if line.startswith("found  ")) :]
    (title,) = (i for i, line in enumerate(lines) if re.match("status +lt_interest_status$", line))
    assert title < lines.index(end[0])
    assert len(lines) - title <= 24, "the end fits one screen"
    assert "--retry-errors" in end[-2]


def test_the_next_command_works_as_typed(
    command: Command, ids_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind ``uv run``, in whose environment the command is, and not on the path of the shell."""
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    err = command("fetch", ids_file, "-o", tmp_path / "out.jsonl", "--limit", "1").err
    assert err.splitlines()[-1].startswith("Resume with: uv run instantly-async fetch --resume ")
    assert "  uv run instantly-async demo " in command().err


def test_reading_from_a_terminal_is_announced(ids_file: Path) -> None:
    """Otherwise the command would seem to hang."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*MODULE, "fetch"], stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    os.close(theirs)
    with process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said == (
            b"Type or paste ids, one per line; end with Ctrl-D. "
            b"To read a file: instantly-async fetch FILE\n"
        )
        os.write(ours, f"{IDS[0]}\n".encode() + b"\x04")
        process.stderr.read()
    os.close(ours)
    assert process.returncode == 0
