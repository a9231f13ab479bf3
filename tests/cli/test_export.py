"""``export`` writes each lead of a campaign, a list or the workspace once, and no other."""

import errno
import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import MODULE, Command, ids_in, program, wait_until
from terminals import OnTerminal

from instantly_async.cli.output import ListedFailure, PastListing, Query, Resume
from instantly_async.cli.output.error_lines import error_line, is_temporary
from instantly_async.cli.output.opening import open_journal
from instantly_async.cli.work import Listed
from instantly_async.errors import ServerError
from instantly_async.outcomes import Failed
from instantly_async.testing import (
    FakeInstantly,
    campaign_ids,
    lead_ids,
    lead_json,
    list_ids,
)

CAMPAIGN, OTHER = campaign_ids()[:2]
LIST = list_ids()[0]
SIZE = 1000
ALL = list(lead_ids(SIZE))
LEADS = [each for each in ALL if json.loads(lead_json(each))["campaign"] == CAMPAIGN]
IN_LIST = [each for each in ALL if json.loads(lead_json(each)).get("list_id") == LIST]

pytestmark = pytest.mark.fake_instantly(rate_limit=None, workspace_size=SIZE)


def leads_in(output: Path) -> list[str]:
    return [json.loads(line)["id"] for line in output.read_bytes().splitlines()]


def test_the_samples_are_large_enough() -> None:
    assert min(len(LEADS), len(IN_LIST)) > 200


# --- what is exported -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "leads"),
    [
        (("--campaign", CAMPAIGN), LEADS),
        (("--campaign", f"{{{CAMPAIGN.upper()}}}"), LEADS),
        (("--campaign", CAMPAIGN.replace("-", "")), LEADS),
        (("--list", LIST), IN_LIST),
        (("--all",), ALL),
    ],
)
def test_each_lead_once_in_the_order_of_the_api(
    command: Command, output: Path, options: tuple[str, ...], leads: list[str]
) -> None:
    """As the server sent it. Ids may be in any spelling."""
    result = command("export", *options, "-o", output)
    assert (result.code, result.out) == (0, b"")
    assert leads_in(output) == leads
    lead = json.loads(lead_json(leads[0])) | {"payload": None}
    assert json.loads(output.read_bytes().splitlines()[0]) | {"payload": None} == lead
    assert re.search(rf"^found +{len(leads):,}\n", result.err)
    assert "not found" not in result.err
    assert "duplicates" not in result.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "Name one of --campaign ID, --list ID and --all, as in: instantly-async export "),
        (("--all", "--list", LIST), "Name only one of --campaign ID, --list ID and --all, as in"),
        (("--campaign", CAMPAIGN, "--list", LIST), "Name only one of --campaign ID, --list ID"),
        (("--campaign", "spring"), "--campaign needs the id of a campaign, which is a UUID, such"),
        (("--list", ""), "--list needs the id of a list, which is a UUID, such as 019a3f62-"),
        (("--campaign-id", CAMPAIGN), "Unknown option: --campaign-id; use --campaign. See "),
        (("--list-id", LIST), "Unknown option: --list-id; use --list. See "),
        (("leads.jsonl",), "There are too many arguments; export takes only options; name the ou"),
    ],
)
def test_what_is_to_be_exported_has_to_be_clear(
    command: Command, options: tuple[str, ...], sentence: str, fake_instantly: FakeInstantly
) -> None:
    result = command("export", *options)
    assert (result.code, result.out, result.err.count("\n")) == (2, b"", 1)
    assert result.err.startswith(sentence)
    assert not fake_instantly.requests


def test_leads_to_a_pipe_whose_reader_leaves(command: Command) -> None:
    """As with ``fetch``: that is no failure."""
    line = [*MODULE, "export", "--all"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.stdout.close()
        process.wait()
    assert (process.returncode, json.loads(first)["id"]) == (0, ALL[0])


def test_a_full_disk(environment: None) -> None:
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run(
            [*MODULE, "export", "--all"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert run.returncode == 5
    assert f"Writing to stdout failed: {os.strerror(errno.ENOSPC)}; " in run.stderr.decode()


def test_quiet_and_statistics(command: Command, output: Path, tmp_path: Path) -> None:
    """The keys of the statistics are those of ``fetch``."""
    stats = tmp_path / "stats.json"
    arguments = ("export", "--list", LIST, "-o", output, "--quiet", "--stats-json", stats)
    assert command(*arguments) == (0, b"", "")
    summary = json.loads(stats.read_text())
    facts = ("exit_code", "found", "not_found", "failed", "already_done", "unfinished", "left")
    assert {name: summary[name] for name in facts} == {
        "exit_code": 0,
        "found": len(IN_LIST),
        "not_found": 0,
        "failed": {},
        "already_done": 0,
        "unfinished": 0,
        "left": 0,
    }
    assert sum(summary["status"].values()) == len(IN_LIST)


def test_progress_counts_leads(environment: None, fake_instantly: FakeInstantly) -> None:
    """The API says no total, so there is neither a bar nor the time that is left."""
    fake_instantly.list_latency_s = 0.1
    with OnTerminal("export", "--all", columns=120) as terminal:
        assert terminal.wait() == 0
    assert re.search(r"\d+ leads  \d+\.\d leads/s  .* allowed  429s 0  retries 0", terminal.screen)
    assert "ETA" not in terminal.screen
    assert "━" not in terminal.screen


# --- resuming ---------------------------------------------------------------------------


def cursors(fake: FakeInstantly, since: int) -> list[str | None]:
    """Return the cursors of the pages behind the first requests, without the canary."""
    return [each.starting_after for each in fake.requests[since:] if each.limit == 100]


def test_it_goes_on_behind_the_last_lead(
    command: Command, output: Path, fake_instantly: FakeInstantly
) -> None:
    """With ``--limit`` as often as wanted; the file is that of a single run."""
    arguments = ("export", "--campaign", CAMPAIGN, "-o", output, "--resume")
    result = command(*arguments, "--limit", "120")
    assert leads_in(output) == LEADS[:120]
    assert "left         the leads behind these; --limit 120\n" in result.err
    line = f"instantly-async export --resume --campaign {CAMPAIGN} -o {output} --limit 120"
    assert result.err.endswith(f"Resume with: {line}\n")
    since = len(fake_instantly.requests)
    result = command(*shlex.split(line)[1:])
    assert cursors(fake_instantly, since)[0] == LEADS[119]
    assert "Resuming after 120 leads and 0 failed leads.\n" in result.err
    assert command(*arguments).code == 0
    assert leads_in(output) == LEADS


def test_the_increment_of_a_night(
    command: Command, output: Path, fake_instantly: FakeInstantly
) -> None:
    """A finished export goes on with the leads that were created since."""
    arguments = ("export", "--campaign", CAMPAIGN, "-o", output, "--resume", "--quiet")
    fake_instantly.workspace_size = 400
    assert command(*arguments).code == 0
    before = output.read_bytes()
    fake_instantly.workspace_size = SIZE
    since = len(fake_instantly.requests)
    assert command(*arguments).code == 0
    assert output.read_bytes().startswith(before)
    assert leads_in(output) == LEADS
    assert cursors(fake_instantly, since)[0] == json.loads(before.splitlines()[-1])["id"]
    since = len(fake_instantly.requests)
    assert command(*arguments).code == 0
    assert (leads_in(output), len(fake_instantly.requests) - since < 4) == (LEADS, True)


def test_a_lead_that_comes_again_is_not_written_again(
    command: Command, output: Path, fake_instantly: FakeInstantly
) -> None:
    """In the same run or in a later one, as if leads were added meanwhile."""
    fake_instantly.list_shift = 7
    output.write_bytes(b"".join(lead_json(each) + b"\n" for each in (ALL[3], ALL[500], ALL[1])))
    output.with_name("leads.jsonl.query.json").write_text('{"all":true}')
    assert command("export", "--all", "-o", output, "--resume").code == 0
    there, new = leads_in(output)[:3], leads_in(output)[3:]
    assert there == [ALL[3], ALL[500], ALL[1]]
    assert sorted(new) == sorted(set(ALL) - set(there))


def test_a_torn_line(command: Command, output: Path) -> None:
    """Its lead comes again, because the export goes on behind the last whole one."""
    lines = [lead_json(each) + b"\n" for each in LEADS[:3]]
    output.write_bytes(b"".join(lines)[:-1000])
    output.with_name("leads.jsonl.query.json").write_text(f'{{"campaign":"{CAMPAIGN}"}}')
    result = command("export", "--campaign", CAMPAIGN, "-o", output, "--resume")
    assert (result.code, leads_in(output)) == (0, LEADS)
    assert "ended within a line" in result.err


@pytest.mark.parametrize("bad", [b"x\n", b"x"])
def test_dropped_lines(
    command: Command, output: Path, fake_instantly: FakeInstantly, bad: bytes
) -> None:
    """Nobody knows which leads they were, so the export begins again, and writes nothing twice.

    They stay until it has come to the end, because a later run would go on behind the last lead.
    """
    lines = [lead_json(each) + b"\n" for each in LEADS[:30]]
    there = [b"y\n", *lines[:10], b"z\n", *lines[11:], bad]
    output.write_bytes(b"".join(there))
    output.with_name("leads.jsonl.query.json").write_text(f'{{"campaign":"{CAMPAIGN}"}}')
    arguments = ("export", "--campaign", CAMPAIGN, "-o", output)
    assert "add --repair to drop it" in command(*arguments, "--resume").err
    result = command(*arguments, "--repair", "--limit", "5")
    assert result.code == 0
    assert "dropped lines that are not leads when nothing is left to fetch: 3.\n" in result.err
    assert output.read_bytes().startswith(b"".join(there).rstrip())
    assert "add --repair to drop it" in command(*arguments, "--resume").err
    assert command(*arguments, "--repair").code == 0
    assert leads_in(output) == [*LEADS[:10], *LEADS[11:30], LEADS[10], *LEADS[30:]]
    since = len(fake_instantly.requests)
    assert command(*arguments, "--resume").code == 0
    assert set(cursors(fake_instantly, since)) == {LEADS[-1]}


def test_memory_of_what_is_there_is_small() -> None:
    """A lead of the file takes 16 bytes as long as ids ascend (documented)."""
    past = PastListing(Query(all=True))
    for each in ALL:
        assert past._leads.add(each)
    assert past._leads._high.itemsize + past._leads._low.itemsize == 16
    assert (len(past._leads._high), len(past._leads._others)) == (SIZE, 0)
    assert all(past.is_done(int(each.replace("-", ""), 16)) for each in ALL)
    assert not past.is_done(7)


def test_a_dry_run(command: Command, output: Path, fake_instantly: FakeInstantly) -> None:
    """It sends nothing, changes nothing, and needs no key."""
    arguments = ("export", "--campaign", CAMPAIGN, "-o", output, "--dry-run")
    assert command(*arguments, "--limit", "1000") == (
        0,
        f"""\
to export     leads of the campaign {CAMPAIGN}
output        {output}
already done  0 leads, and 0 that failed
begins        at the first lead
ends          after 1,000 leads, because of --limit
requests      one per 100 leads, and a few to check the filter
""".encode(),
        "",
    )
    assert not list(output.parent.iterdir())
    output.write_bytes(lead_json(LEADS[4]) + b"\n")
    output.with_name("leads.jsonl.query.json").write_text(f'{{"campaign":"{CAMPAIGN}"}}')
    os.environ.pop("INSTANTLY_API_KEY")
    result = command(*arguments, "--resume")
    assert b"already done  1 lead, and 0 that failed\n" in result.out
    assert f"begins        behind lead {LEADS[4]}\n".encode() in result.out
    assert b"begins        at the first lead\n" in command(*arguments, "--retry-errors").out
    table = command("export", "--all", "-o", output.with_name("x.csv"), "--dry-run").out.decode()
    assert "x.csv, made at the end from x.csv.jsonl beside it\n" in table
    assert b"output        stdout\n" in command("export", "--all", "--dry-run").out
    assert not fake_instantly.requests


# --- failures ---------------------------------------------------------------------------


def test_a_lead_that_fails_is_recorded(
    command: Command, output: Path, errors: Path, fake_instantly: FakeInstantly
) -> None:
    """It counts as given. ``--retry-errors`` lists again from the first lead."""
    large = LEADS[2]
    fake_instantly.fields = {large: {"payload": {"x": "y" * 200_000}}}
    small = ("--max-lead-bytes", "100000")
    arguments = ("export", "--campaign", CAMPAIGN, "-o", output, "--resume")
    result = command(*arguments, *small)
    assert result.code == 3
    assert f"Exit code 3: 1 of {len(LEADS):,} leads failed.\n" in result.err
    assert "list the leads that failed again with: instantly-async export --retry-" in result.err
    others = [each for each in LEADS if each != large]
    assert leads_in(output) == others
    assert [json.loads(line)["id"] for line in errors.read_bytes().splitlines()] == [large]
    result = command(*arguments, "--quiet")
    assert (result.code, leads_in(output)) == (3, others)
    assert result.err == f"1 of {len(LEADS):,} leads failed; it is in {errors}.\n"
    result = command(*arguments, "--retry-errors", *small)
    assert (result.code, len(errors.read_bytes().splitlines())) == (3, 1)
    assert command(*arguments, "--retry-errors").code == 0
    assert leads_in(output) == [*others, large]
    assert errors.read_bytes() == b""


def test_a_failure_that_may_be_temporary_is_recorded_too() -> None:
    """No later run meets that lead, so it is not left to one. By id, it would be."""
    failed = Failed(lead_id=LEADS[0], index=0, error=ServerError("x"), attempts=3, elapsed_s=0.0)
    assert error_line(failed) is None
    (recorded,) = Listed(PastListing(Query(all=True))).read(failed)
    assert isinstance(recorded, ListedFailure)
    assert not is_temporary(recorded)
    assert json.loads(error_line(recorded) or b"")["id"] == LEADS[0]


def test_an_item_without_an_id_is_recorded_once(output: Path) -> None:
    """Also if the listing meets it again."""
    failed = Failed(lead_id="", index=0, error=ServerError("x"), attempts=3, elapsed_s=0.0)
    output.write_bytes(b"")
    errors = Path(f"{output}.errors.jsonl")
    errors.write_bytes(error_line(*Listed(PastListing(Query(all=True))).read(failed)) or b"")  # type: ignore[arg-type]
    past = PastListing(Query(all=True))
    output.with_name("leads.jsonl.query.json").write_text('{"all":true}')
    with open_journal(str(output), str(errors), past, Resume(retry_errors=True)):
        listed = Listed(past, from_first=True)
        assert (len(listed.read(failed)), len(listed.read(failed))) == (0, 1)


@pytest.mark.parametrize("before", [[], LEADS[:5]])
def test_ignored_filters_bring_nothing_foreign(
    command: Command, output: Path, fake_instantly: FakeInstantly, before: list[str]
) -> None:
    """Exit code 4 and one sentence. A first run leaves no file at all."""
    fake_instantly.list_ignores_filter = True
    if before:
        output.write_bytes(b"".join(lead_json(each) + b"\n" for each in before))
        output.with_name("leads.jsonl.query.json").write_text(f'{{"campaign":"{CAMPAIGN}"}}')
    there = {each.name for each in output.parent.iterdir()}
    arguments = ("export", "--campaign", CAMPAIGN, "-o", output, "--resume")
    result = command(*arguments, "--quiet")
    assert (result.code, result.err.count("\n")) == (4, 1)
    assert result.err.startswith("The API does not obey the filter campaign: it lists ")
    assert {each.name for each in output.parent.iterdir()} == there
    fake_instantly.list_ignores_filter = False
    assert command(*arguments).code == 0
    assert leads_in(output) == LEADS


def test_a_foreign_lead_in_the_middle(
    command: Command, output: Path, fake_instantly: FakeInstantly
) -> None:
    """What came before it is kept, and a later run goes on."""
    fake_instantly.list_injects = next(each for each in ALL if each not in LEADS)
    assert command("export", "--campaign", CAMPAIGN, "-o", output).code == 4
    fake_instantly.list_injects = None
    assert command("export", "--campaign", CAMPAIGN, "-o", output, "--resume").code == 0
    assert leads_in(output) == LEADS


def test_an_outage(command: Command, output: Path, fake_instantly: FakeInstantly) -> None:
    fake_instantly.list_down = True
    arguments = ("export", "--campaign", CAMPAIGN, "-o", output, "--patience", "0.1")
    assert command(*arguments).code == 5
    assert not list(output.parent.iterdir())


# --- signals and kills ------------------------------------------------------------------


@contextmanager
def exporting(
    output: Path, *options: str, uvloop: bool = True
) -> Iterator["subprocess.Popen[str]"]:
    """Run ``export`` in another process; kill it at the end of the block."""
    line = [*program(drain_s=60, uvloop=uvloop), "export", "--campaign", CAMPAIGN, "-o"]
    process = subprocess.Popen([*line, str(output), *options], stderr=subprocess.PIPE, text=True)
    try:
        with process:
            yield process
    finally:
        process.kill()


def has_leads(journal: Path) -> bool:
    return journal.exists() and journal.stat().st_size > 0


@pytest.mark.parametrize("uvloop", [True, False])
def test_twice_interrupted_and_resumed(
    command: Command,
    tmp_path: Path,
    fake_instantly: FakeInstantly,
    unmeasured: None,
    *,
    uvloop: bool,
) -> None:
    """By SIGINT, then by ``kill -9``: the table has each lead of the campaign once."""
    pq = pytest.importorskip("pyarrow.parquet")
    output = tmp_path / "leads.parquet"
    journal = tmp_path / "leads.parquet.jsonl"
    fake_instantly.list_latency_s = 0.3
    with exporting(output, uvloop=uvloop) as process:
        wait_until(lambda: has_leads(journal))
        asked = len(fake_instantly.requests)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "Stopping; a second signal ends the run at once.\n" in err
    assert "left         the leads behind these\n" in err
    line = f"instantly-async export --resume --campaign {CAMPAIGN} -o {output}"
    assert err.endswith(f"Resume with: {line}\n")
    assert len(fake_instantly.requests) <= asked + 1, "a page was requested after the signal"
    size = journal.stat().st_size
    assert not output.exists()
    with exporting(output, "--resume", uvloop=uvloop) as process:
        wait_until(lambda: journal.stat().st_size > size)
        process.kill()
    fake_instantly.list_latency_s = None
    assert command(*shlex.split(line)[1:]).code == 0
    assert pq.read_table(output)["id"].to_pylist() == LEADS
    assert ids_in(journal.read_bytes()) == LEADS


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_before_the_first_page(  # noqa: PLR0917 - fixtures
    environment: None,
    tmp_path: Path,
    fake_instantly: FakeInstantly,
    unmeasured: None,
    number: signal.Signals,
    code: int,
) -> None:
    """Nothing is left: neither the output nor its query."""
    fake_instantly.list_latency_s = 30
    with exporting(tmp_path / "leads.jsonl", "--quiet") as process:
        wait_until(lambda: len(fake_instantly.requests) > 0)
        process.send_signal(number)
        _, err = process.communicate()
    assert (process.returncode, err) == (code, "")
    assert not list(tmp_path.iterdir())
