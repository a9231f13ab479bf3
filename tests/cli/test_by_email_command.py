"""The leads of emails: all of an email, one after the other, and each once, through any kill."""

import json
import random
from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from commands import Command, ids_in
from emails import GivenEmails
from hypothesis import given
from hypothesis import strategies as st

from instantly_async.cli.convert import make_layout
from instantly_async.cli.exits import CommandError
from instantly_async.cli.job import FetchJob, end, naming_for, run_fetch
from instantly_async.cli.known import KnownIds
from instantly_async.cli.options import Connection, OutputOptions
from instantly_async.cli.output import PastEmails, Resume, open_journal
from instantly_async.cli.records import (
    LineEmail,
    Selection,
    email_number,
    has_more,
    to_line,
    with_more,
)
from instantly_async.cli.target import convert_visibly, target_of
from instantly_async.cli.terminal import Terminal
from instantly_async.cli.work import ByEmail
from instantly_async.models import Lead
from instantly_async.outcomes import EmailMatch, Found
from instantly_async.testing import FakeInstantly, email_of, lead_ids, lead_json

ALL = list(lead_ids(250))
TWICE = ALL[:40:2]
"""Leads whose email the next lead has, too, in another case."""
FIELDS = {ALL[n + 1]: {"email": email_of(ALL[n]).upper()} for n in range(0, 40, 2)}
EMAILS = [email_of(each) for each in [*TWICE, *ALL[40:60]]]
LEADS = sorted([*ALL[:40], *ALL[40:60]])

pytestmark = pytest.mark.fake_instantly(rate_limit=None, fields=FIELDS)

Fetch = Callable[..., int]


@pytest.fixture
def fetch(environment: None, output: Path) -> Fetch:
    """Fetch the leads of emails into the output, as the command does."""

    def run(emails: Sequence[str], how: Resume | None = None, fields: str | None = None) -> int:
        known = KnownIds()
        past, target = PastEmails(known), target_of(str(output), OutputOptions(fields=fields))
        terminal = Terminal()
        with target.open(past, how) as out:
            source = GivenEmails(emails, known)
            job = FetchJob(
                client=Connection().client(),
                work=ByEmail(source, past),
                output=out,
                terminal=terminal,
                target=target,
                naming=naming_for(target, terminal, quiet=False),
                make_line=target.make_line,
                resume_hint="resume",
                retry_hint="retry",
            )
            code = run_fetch(job)
        return end(job, code, str(output.with_name("stats.json")))

    return run


def ids_of(output: Path) -> list[str]:
    return [json.loads(line)["id"] for line in output.read_bytes().splitlines()]


def searched(fake: FakeInstantly, since: int = 0) -> int:
    """Return how many emails were searched, without the sentinel of each request."""
    asked = [each.contacts or 0 for each in fake.requests[since:] if each.starting_after is None]
    return sum(each - 1 for each in asked if each > 1)


# --- one run ----------------------------------------------------------------------------


def test_all_leads_of_an_email_are_together(
    fetch: Fetch, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the case of the emails. Only the last line of an email has no mark."""
    assert fetch([each.title() for each in EMAILS]) == 0
    lines = output.read_bytes().splitlines(keepends=True)
    assert sorted(ids_of(output)) == LEADS
    for line, after in pairwise(lines):
        is_same = json.loads(line)["email"].lower() == json.loads(after)["email"].lower()
        assert has_more(line) == is_same
    assert not has_more(lines[-1])
    assert json.loads(output.with_name("leads.jsonl.query.json").read_text()) == {"by": "email"}
    err = capsys.readouterr().err
    assert "found        60\nemails       40 with leads\nnot found    0\n" in err
    assert "@" not in err
    stats = json.loads(output.with_name("stats.json").read_text())
    assert (stats["found"], stats["unfinished"], stats["left"]) == (60, 0, 0)


def test_emails_without_a_lead(
    fetch: Fetch, output: Path, errors: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The errors file has them, the screen only their lines. A text is kept if it is an email."""
    emails = [EMAILS[0], "nobody@example.com", "no email", "ada@x.com, bob@x.com"]
    assert fetch(emails) == 3
    err = capsys.readouterr().err
    assert "not found: line 2\n" in err
    assert "invalid: " in err
    assert "in line 3 (" in err
    assert "@" not in err
    assert "Exit code 3: 3 of 4 emails have no lead.\n" in err
    assert f"errors       3 emails in {errors}\n" in err
    lines = [json.loads(line) for line in errors.read_bytes().splitlines()]
    shown = [(each["line"], each["email"], each["error"], each["attempts"] > 0) for each in lines]
    assert sorted(shown) == [
        (2, "nobody@example.com", "NotFoundError", True),
        (3, "no email", "InvalidEmailError", False),
        (4, "", "InvalidEmailError", False),
    ]
    assert set(lines[0]) == {"email", "error", "message", "attempts", "line"}
    assert errors.stat().st_mode & 0o777 == 0o600


def test_a_search_that_fails(
    fetch: Fetch,
    output: Path,
    errors: Path,
    fake_instantly: FakeInstantly,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A final failure is recorded; ``--retry-errors`` tries again, and drops it."""
    fake_instantly.fields = {**FIELDS, ALL[50]: {"payload": {"x": "y" * 1_500_000}}}
    assert fetch(EMAILS) == 3
    assert "failed: line 31: " in capsys.readouterr().err
    line = json.loads(errors.read_bytes())
    assert (line["email"], line["error"]) == (email_of(ALL[50]), "DecodeError")
    fake_instantly.fields = FIELDS
    assert fetch(EMAILS, Resume()) == 3
    assert fetch(EMAILS, Resume(retry_errors=True)) == 0
    assert errors.read_bytes() == b""
    assert sorted(ids_of(output)) == LEADS


def test_ignored_filters(
    fetch: Fetch, output: Path, fake_instantly: FakeInstantly, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4, and nothing foreign: there is no file but the statistics."""
    fake_instantly.list_ignores_filter = True
    assert fetch(EMAILS) == 4
    assert "The API does not obey the filter contacts: " in capsys.readouterr().err
    assert [each.name for each in output.parent.iterdir()] == ["stats.json"]


def test_fields_without_the_email(output: Path) -> None:
    """Refused, because nothing would show what is done; a table has whole leads beside it."""

    def opens(name: str, fields: str) -> bool:
        target = target_of(name, OutputOptions(fields=fields))
        with target.open(PastEmails(KnownIds()), None):
            return True

    with pytest.raises(CommandError, match=r"^--fields leaves out email, so .*; add email to it.$"):
        opens(str(output), "id,status")
    assert opens(str(output), "status,email")
    assert opens(str(output.with_name("x.csv")), "id")
    assert opens("-", "id")


def test_a_table_of_marked_lines(fetch: Fetch, output: Path, environment: None) -> None:
    """The marks change nothing for readers of JSON."""
    assert fetch(EMAILS, fields="id,email") == 0
    table = output.with_name("leads.csv")
    layout = make_layout(str(table), "csv", ("id",))
    convert_visibly(str(output), str(table), layout, Terminal(), quiet=True)
    assert sorted(table.read_text().split()[1:]) == LEADS


# --- resuming ---------------------------------------------------------------------------


def line_of(lead_id: str, *, more: bool = False, cut: Selection | None = None) -> bytes:
    raw = msgspec.json.encode(json.loads(lead_json(lead_id)) | FIELDS.get(lead_id, {}))
    line = to_line(raw) if cut is None else cut.cut(raw)
    return with_more(line) if more else line


def put(output: Path, *lines: bytes) -> None:
    output.write_bytes(b"".join(lines))
    output.with_name(f"{output.name}.query.json").write_text('{"by":"email"}')


def test_only_missing_emails_are_searched(
    fetch: Fetch, output: Path, fake_instantly: FakeInstantly, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(EMAILS[:30]) == 0
    before, since = output.read_bytes(), len(fake_instantly.requests)
    capsys.readouterr()
    assert fetch([EMAILS[0].upper(), *EMAILS], Resume()) == 0
    assert output.read_bytes().startswith(before)
    assert searched(fake_instantly, since) == 10
    assert sorted(ids_of(output)) == LEADS
    err = capsys.readouterr().err
    assert "Resuming after 50 leads and 0 failed emails.\n" in err
    assert "found        60 (10 now)\nemails       40 (10 now) with leads\n" in err
    since = len(fake_instantly.requests)
    assert fetch(EMAILS, Resume()) == 0
    assert len(fake_instantly.requests) == since


@pytest.mark.parametrize("fields", [None, "id,email,status"])
def test_an_email_of_which_a_lead_is_missing(
    fetch: Fetch, output: Path, fake_instantly: FakeInstantly, fields: str | None
) -> None:
    """After a kill within an email; and after another one, when others were written behind it."""
    cut = None if fields is None else Selection(fields.split(","))
    there = [line_of(ALL[0], more=True, cut=cut), *(line_of(each, cut=cut) for each in ALL[40:60])]
    put(output, *there)
    assert fetch(EMAILS, Resume(), fields) == 0
    assert output.read_bytes().startswith(b"".join(there))
    assert sorted(ids_of(output)) == LEADS
    since = len(fake_instantly.requests)
    assert fetch(EMAILS, Resume(), fields) == 0
    assert len(fake_instantly.requests) == since


@pytest.mark.parametrize("fields", [None, "id,email"])
@pytest.mark.parametrize("lost", [1, 2, 3, 4])
def test_a_mark_that_is_torn_off(fetch: Fetch, output: Path, fields: str | None, lost: int) -> None:
    """Without its line end, nobody knows whether a line had the mark; so its email is not done."""
    cut = None if fields is None else Selection(fields.split(","))
    put(output, line_of(ALL[0], more=True, cut=cut)[:-lost])
    assert fetch(EMAILS, Resume(), fields) == 0
    assert sorted(ids_of(output)) == LEADS
    assert fetch(EMAILS, Resume(), fields) == 0
    assert sorted(ids_of(output)) == LEADS


def test_dropped_lines(fetch: Fetch, output: Path) -> None:
    """They can have been leads of any email."""
    put(output, b"x\n", line_of(ALL[1]), *(line_of(each) for each in ALL[40:60]))
    assert fetch(EMAILS, Resume(repair=True)) == 0
    assert sorted(ids_of(output)) == LEADS


def test_a_line_without_an_email(fetch: Fetch, output: Path) -> None:
    """Nobody knows whose lead it is, but it is not written again."""
    put(output, b'{"id":"%s"}\n' % ALL[0].encode(), line_of(ALL[40]))
    assert fetch(EMAILS, Resume()) == 0
    assert sorted(ids_of(output)) == LEADS


def matches(leads: dict[str, list[str]], order: list[str]) -> list[EmailMatch[Lead]]:
    """Return what the client finds for these emails, in this order."""
    facts: dict[str, Any] = {"index": 0, "attempts": 1, "elapsed_s": 0.0}
    return [
        EmailMatch(
            email=LineEmail(email, 1),
            found=tuple(
                Found(
                    lead_id=each,
                    lead=Lead(id=each),
                    raw=msgspec.json.encode({"id": each, "email": email.upper()}),
                    **facts,
                )
                for each in leads[email]
            ),
            **facts,
        )
        for email in order
    ]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.randoms(), st.data())
def test_any_kills_and_repairs_leave_each_lead_once(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    rng: random.Random,
    data: st.DataObject,
) -> None:
    """Each run writes emails in an order of its own, and may be cut off at any byte.

    Some find lines that somebody has spoilt, and drop them.
    """
    numbers = iter(range(1, 100))
    leads = {
        f"ada{email}@example.com": [str(UUID(int=next(numbers))) for _ in range(size)]
        for email, size in enumerate(sizes)
    }
    output = tmp_path_factory.mktemp("journal") / "leads.jsonl"
    for event in [*data.draw(st.lists(st.sampled_from(["kill", "spoil"]), max_size=6)), None]:
        written = write_missing(output, leads, rng, finishes=event != "kill")
        if event == "kill":
            with output.open("r+b") as file:
                file.truncate(output.stat().st_size - data.draw(st.integers(0, written)))
        elif event == "spoil":
            spoil(output, rng)
    assert sorted(ids_of(output)) == sorted(chain(*leads.values()))


def write_missing(
    output: Path, leads: dict[str, list[str]], rng: random.Random, *, finishes: bool
) -> int:
    """Do what a run does, without a client; return the bytes that it has written."""
    known = KnownIds()
    past = PastEmails(known)
    try:
        opened = open_journal(str(output), f"{output}.errors", past, Resume(repair=True))
    except CommandError:  # all lines are spoilt, so it is not changed
        output.write_bytes(b"")
        return write_missing(output, leads, rng, finishes=finishes)
    order = [each for each in leads if not past.is_done(email_number(each) or 0)]
    rng.shuffle(order)
    with opened, output.open("ab") as file:
        before = file.tell()
        opened.finished, opened.is_complete = True, finishes
        work = ByEmail(GivenEmails(order, known), past)
        for match in matches(leads, order):
            outcomes = work.read(match)
            for number, each in enumerate(outcomes, 1):
                assert isinstance(each, Found)
                line = to_line(each.raw or b"")
                file.write(with_more(line) if number < len(outcomes) else line)
        file.flush()
        return file.tell() - before


def spoil(output: Path, rng: random.Random) -> None:
    """Make one line another text."""
    lines = output.read_bytes().splitlines(keepends=True)
    if lines:
        lines[rng.randrange(len(lines))] = b"spoilt\n"
        output.write_bytes(b"".join(lines))


def test_a_repair_is_not_limited(command: Command, output: Path, tmp_path: Path) -> None:
    """It searches all emails again, so each run with a limit would search the same ones."""
    emails = tmp_path / "emails.txt"
    emails.write_text("\n".join(EMAILS))
    fetch = ("fetch", emails, "--by", "email", "-o", output)
    assert command(*fetch).code == 0
    lines = output.read_bytes().splitlines(keepends=True)
    output.write_bytes(b"".join([lines[0], b"garbage\n", *lines[2:]]))
    spoilt = output.read_bytes()
    for more in ((), ("--dry-run",)):
        refused = command(*fetch, "--repair", "--limit", "3", *more)
        assert refused.code == 2
        assert "--repair searches all emails again; leave out --limit." in refused.err
        assert output.read_bytes() == spoilt
    assert command(*fetch, "--repair").code == 0
    assert ids_in(output.read_bytes()) == LEADS
