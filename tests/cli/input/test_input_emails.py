"""Emails as input: what is read, which column they are in, and what is refused."""

import gzip
import json
from pathlib import Path

import pytest
from commands import Command, ids_in
from inputs import SAMPLES, book, bytewise, read_input, refusal

from instantly_async.cli.input.sought import EMAILS
from instantly_async.cli.known import KnownIds
from instantly_async.cli.records import LineEmail, LineId, email_number
from instantly_async.testing import FakeInstantly, email_of, lead_ids, lead_json

A, B, C = lead_ids(3)
ADA, BOB, CAROL = "Ada@example.com", "bob@example.com", "carol@example.com"


def emails_in(name: str, data: str | bytes, column: str | None = None) -> list[str]:
    data = data.encode() if isinstance(data, str) else data
    outcome = read_input(name, data, column, by=EMAILS)
    assert outcome.sentence is None, outcome.sentence
    return outcome.ids


def no_emails(name: str, data: str | bytes, column: str | None = None) -> str:
    data = data.encode() if isinstance(data, str) else data
    return refusal(name, data, column, by=EMAILS)


def test_an_email_is_a_string_with_a_line_and_a_number() -> None:
    """The number is that of the address in any case; it is not that of an id."""
    email = LineEmail(ADA, 4, "row")
    assert (email, email.line, email.unit) == (ADA, 4, "row")
    assert email.number == email_number(ADA.lower()) is not None
    assert LineId(ADA, 4).number is None
    assert LineEmail(A, 4).number is None


LINES = {
    "one": (ADA, [ADA]),
    "with a name": (f"Ada Lovelace <{ADA}>", [ADA]),
    "with a name in quotes": (f'"Lovelace, Ada" <{ADA}>,', [ADA]),
    "all in quotes": (f'"Ada <{ADA}>"', [ADA]),
    "quoted": (f"'{ADA}'", [ADA]),
    "quoted, with a comma": (f"'{ADA}',", [ADA]),
    "of Excel": (f'="{ADA}"', [ADA]),
    "in brackets": (f"<{ADA}>;", [ADA]),
    "a link": (f"mailto:{ADA}", [ADA]),
    "with blanks": (f"\xa0{ADA}\u200b", [ADA]),
    "a quote in it": ("o'brien@example.com", ["o'brien@example.com"]),
    "several": (f"{ADA}, {BOB};{CAROL}", [ADA, BOB, CAROL]),
    "several by blanks": (f"{ADA} {BOB}\t{CAROL}", [ADA, BOB, CAROL]),
    "several, one in brackets": (f"{ADA}, <{BOB}>", [ADA, BOB]),
    "two, one as the name": (f"{ADA} <{BOB}>", [ADA, BOB]),
    "several with names": (f"Ada L <{ADA}>, Bob <{BOB}>", [ADA, BOB]),
    "a bullet": (f"- {ADA}", [ADA]),
    "a comment behind": (f"{ADA} # boss@example.com", [ADA]),
    "a comment behind names": (f"Ada L <{ADA}> # the boss", [ADA]),
    "most are emails": (f"{ADA}, {BOB}, nobody", [ADA, BOB, "nobody"]),
    "a sentence": (f"write to {ADA}", [f"write to {ADA}"]),
    "two without anything between": (f"{ADA}/{BOB}", [f"{ADA}/{BOB}"]),
}


@pytest.mark.parametrize(("line", "emails"), LINES.values(), ids=LINES)
def test_lines_of_text(line: str, emails: list[str]) -> None:
    """Read with any line end, behind a name and a comment, and as the first line, too."""
    first = "first@example.com"
    assert emails_in("a.txt", f"# people\r\nE-Mail\r\n{first}\r\n{line}\r\n") == [first, *emails]
    if all(map(EMAILS.holds, emails)):
        assert emails_in("-", f"{line}\n") == emails


NAMED = {
    "its own": "Name,Lead Email,Email",
    "of most tools": "Name,Sender Email,E-Mail,Email Status",
    "of Mailchimp": "First Name,Address,Email Address",
    "of Google": "First Name,Labels,E-mail 1 - Value",
    "of Outlook": "First Name,E-mail Type,E-mail Address",
    "of Pipedrive": "Person - Name,Label,Person - Email - Work",
    "of Salesforce": "Contact Name,Email Opt Out,Contact: Email",
    "the better one": "Name,Work Email,Email",
    "beside others": "email_account,eaccount,mail",
    "beside ids": "lead_id,email opened,email",
}


@pytest.mark.parametrize("header", NAMED.values(), ids=NAMED)
def test_the_column(header: str) -> None:
    """By its name, whatever is in the others, which may hold emails, too; also in a workbook."""
    rows = ["x@x.example", "y@x.example", ADA], ["", "z@x.example", BOB]
    order = sorted(range(3), key=[2, 1, 0].index if header == NAMED["its own"] else None)
    cells = [[row[at] for at in order] for row in rows]
    if header == NAMED["its own"]:
        cells = [["Ada", ADA, "x@x.example"], ["Bob", BOB, "y@x.example"]]
    table = "\n".join([header, *map(",".join, cells)])
    assert emails_in("a.csv", table) == [ADA, BOB]
    assert emails_in("-", table) == [ADA, BOB]
    assert emails_in("a.xlsx", book([header.split(","), *cells])) == [ADA, BOB]


def test_without_names_it_is_the_only_column_with_addresses() -> None:
    table = f"Ada,{ADA},London\nBob,{BOB},Rome\n"
    assert emails_in("a.csv", table) == emails_in("-", table) == [ADA, BOB]
    assert "has 2 emails and no column names; use --column 1" in no_emails("a.csv", f"{ADA},{BOB}")


JSON = {
    "strings": [ADA, BOB],
    "a list": {"emails": [ADA, BOB]},
    "a page of contacts": {"contacts": [{"email": ADA}, {"email": BOB}]},
    "objects with lists": [{"email": ADA, "emails": ["x@x.example"]}, {"email": BOB}],
    "leads with other emails": [
        {"id": A, "email": ADA, "payload": {"email": "x@x.example", "lead_email": "y@x.example"}},
        {"id": B, "email": BOB, "payload": {}},
    ],
    "events with the sender": [
        {"email_account": "me@x.example", "email": "me@x.example", "lead_email": ADA},
        {"email_account": "me@x.example", "email": "me@x.example", "lead_email": BOB},
    ],
    "of HubSpot": {
        "results": [{"id": 1, "properties": {"email": ADA}}, {"properties": {"email": BOB}}]
    },
    "one level down": [
        {"email": "me@x.example", "lead": {"email": ADA}},
        {"email": "me@x.example", "lead": {"email": BOB}},
    ],
}


@pytest.mark.parametrize("value", JSON.values(), ids=JSON)
def test_json(value: object) -> None:
    """Documents, also over several lines, and lines."""
    assert emails_in("a.json", json.dumps(value)) == [ADA, BOB]
    assert emails_in("a.json", json.dumps(value, indent=1)) == [ADA, BOB]
    if isinstance(value, list):
        assert emails_in("a.jsonl", "\n".join(map(json.dumps, value))) == [ADA, BOB]


def test_emails_of_equal_keys_are_refused() -> None:
    """Unless they are the same."""
    people = [{"email": ADA, "mail": ADA}, {"email": BOB, "mail": BOB}]
    assert emails_in("a.json", json.dumps(people)) == [ADA, BOB]
    said = 'An object of a.json has emails under "email" and "mail"; use --column to name one'
    assert said in no_emails("a.json", json.dumps([{"email": ADA, "mail": BOB}]))
    assert emails_in("a.json", json.dumps([{"email": ADA, "mail": BOB}]), "mail") == [BOB]


def test_the_email_of_a_payload_is_not_that_of_its_lead() -> None:
    """Even if the lead has none."""
    lead = {"id": A, "payload": {"email": "x@x.example"}}
    rest = json.dumps({"id": B, "email": BOB, "payload": {"email": "y@x.example"}})
    outcome = read_input("a.jsonl", f"{json.dumps(lead)}\n{rest}\n".encode(), by=EMAILS)
    assert (outcome.found, outcome.sentence) == ([(BOB, "line 2")], None)
    assert "no key with emails" in no_emails("a.jsonl", json.dumps(lead))


REFUSED = {
    "ids": ("a.txt", f"{A}\n", "a.txt holds lead ids and no emails; leave out --by email."),
    "ids in JSON": (
        "a.json",
        json.dumps([A, B]),
        "a.json holds lead ids and no emails; leave out --by email.",
    ),
    "ids in a column": (
        "a.csv",
        f"name,lead_id\nAda,{A}\n",
        (
            'a.csv has no column with emails; its columns are "name", "lead_id"; use --column to '
            "name the one that holds the emails, or leave out --by email."
        ),
    ),
    "ids in the column of emails": (
        "a.csv",
        f"name,email\nAda,{A}\n",
        'a.csv (column "email") holds lead ids and no emails; leave out --by email.',
    ),
    "ids without a name": (
        "a.csv",
        f"Ada,{A}\n",
        (
            "The first line of a.csv has lead ids and no emails; leave out --by email, or put a "
            "line with column names above it."
        ),
    ),
    "two columns": (
        "a.csv",
        f"Name,Email,Email 2\nAda,{ADA},{BOB}\n",
        (
            'a.csv has 2 columns that could hold the emails, "Email", "Email 2"; use --column 2 '
            "for the first."
        ),
    ),
    "the email of a lead under a longer name": (
        "a.csv",
        f"Email,Lead Email (Instantly)\n{ADA},{BOB}\n",
        (
            'a.csv has 2 columns that could hold the emails, "Email", "Lead Email (Instantly)"; '
            "use --column 1 for the first."
        ),
    ),
    "joined files with other columns": (
        "a.csv",
        f"name,lead_email\nAda,{ADA}\nlead_email,name,city\n",
        (
            "Line 3 of a.csv names other columns than the first one; put what follows it into a "
            "file of its own."
        ),
    ),
    "emails of others": (
        "a.csv",
        f"Name,Email Status,Sender Email,Mailing City\nAda,ok,{ADA},Rome\n",
        (
            'a.csv has no column with emails; its columns are "Name", "Email Status", "Sender '
            'Email", "Mailing City"; use --column to name the one that holds the emails.'
        ),
    ),
    "a similar name": (
        "a.csv",
        f"Name,Email (Work)\nAda,{ADA}\n",
        (
            'a.csv has no column with emails; its columns are "Name", "Email (Work)"; the nearest '
            'is "Email (Work)" (--column).'
        ),
    ),
    "prose": (
        "a.txt",
        f"Please write to {ADA} today\nand to {BOB} tomorrow\n",
        "a.txt holds emails beside other text; write only the emails, one per line.",
    ),
    "several in each cell": (
        "a.csv",
        f'email\n"{ADA}/{BOB}"\n"{BOB} and {CAROL}"\n',
        (
            'a.csv (column "email") holds several emails in each entry; write one email per line '
            "or cell."
        ),
    ),
    "only empty cells": (
        "a.csv",
        "email,city\n,Rome\n,Paris\n",
        (
            'a.csv (column "email") holds empty values and no emails; use --column to name the '
            "one that holds the emails."
        ),
    ),
    "an image": ("a.csv", "\x89PNG", "a.csv is a PNG image; name a file with emails."),
    "two columns in later rows": (
        "a.csv",
        f"Ada,{ADA},x\nBob,{BOB},{CAROL}\n",
        (
            "Line 2 of a.csv has more emails than the first row; write one email per line, or use "
            "--column with the number of the column that is meant."
        ),
    ),
    "a quote that swallows a row": (
        "a.csv",
        f'name,email\n"Ada,{ADA}\nBob,{BOB}\nC",{CAROL}\n',
        (
            'A quote (") that begins in line 2 of a.csv swallows other rows, such as the one in '
            'line 2; close it in its line, or write it twice ("") if it belongs to the text.'
        ),
    ),
}


@pytest.mark.parametrize(("name", "text", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(name: str, text: str, sentence: str) -> None:
    """One sentence, without any email."""
    data = text.encode("latin-1")
    assert no_emails(name, data) == sentence
    assert read_input(name, bytewise(data), by=EMAILS).sentence == sentence
    assert "example.com" not in sentence


def test_invalid_ones_have_their_line_and_empty_ones_are_skipped() -> None:
    """A cell with two addresses is one invalid email, which is no reason to end the run."""
    table = f'name,email\nx,\ny,{ADA}\nz,"{BOB}, {CAROL}"\nz,n/a\nz,\n'
    outcome = read_input("a.csv", table.encode(), by=EMAILS)
    assert outcome.found == [(ADA, "line 3"), (f"{BOB}, {CAROL}", "line 4"), ("n/a", "line 5")]


def test_a_name_of_emails_may_be_a_value() -> None:
    """Such as a channel; and joined files repeat their columns."""
    table = f"channel,email\nEmail,\nchannel,email\nEmail,{ADA}\n"
    assert emails_in("a.csv", table) == [ADA]


def test_thousands_without_an_email_may_come_first() -> None:
    """A CRM sorts its contacts by email, the empty ones first."""
    rows = [["name", "email"], *([f"x{number}", ""] for number in range(20_000)), ["x", ADA]]
    assert emails_in("a.csv", "\n".join(map(",".join, rows))) == [ADA]


def test_text_that_goes_on_in_another_encoding() -> None:
    """What a program has added to UTF-16 is refused; Chinese text is not mistaken for it."""
    data = f"email\r\n{ADA}\r\n".encode("utf-16")
    assert "goes on in another encoding" in no_emails("a.csv", data + f"{BOB}\r\n".encode())
    names = "".join(map(chr, range(0x4E00, 0x9F00)))
    assert emails_in("a.csv", f"name,email\r\n{names},{ADA}\r\n".encode("utf-16")) == [ADA]


# --- the command -----------------------------------------------------------------------------


def facts_of(out: bytes) -> dict[str, str]:
    return {line[:13].strip(): line[14:] for line in out.decode().splitlines()}


@pytest.mark.parametrize("is_pipe", [False, True])
def test_a_dry_run(command: Command, fake_instantly: FakeInstantly, is_pipe: bool) -> None:
    """The sample of webhook events has both ids and emails. The email is not shown."""
    sample = SAMPLES / "webhook.jsonl"
    path, stdin = ([], sample.read_bytes()) if is_pipe else ([sample], None)
    done = command("fetch", *path, "--by", "email", "--dry-run", stdin=stdin)
    facts = facts_of(done.out)
    assert (done.code, done.err, fake_instantly.requests) == (0, "", [])
    assert (facts["column"], facts["first email"]) == ("lead_email", "…@example.com")
    assert (facts["emails read"], facts["duplicates"], facts["to fetch"]) == ("5", "4", "1")
    assert facts["requests"] == "4 requests, 1 s at 95 requests/s"
    assert facts_of(command("fetch", sample, "--dry-run").out)["to fetch"] == "5"


def test_a_plan_of_many_emails(command: Command, tmp_path: Path) -> None:
    """Two requests for each 99 emails, and two for the proof; none for an empty input."""
    file = tmp_path / "a.csv"
    rows = [f"x,ada{number}@example.com" for number in range(1000)]
    file.write_text("\n".join(["name,email", "nobody,", *rows, rows[0].upper(), "y,n/a"]))
    done = command("fetch", file, "--by", "email", "--dry-run", "--limit", "991")
    facts = facts_of(done.out)
    assert facts["requests"].startswith("24 requests, ")
    assert (facts["to fetch"], facts["later"]) == ("991", "9, because of --limit")
    assert (facts["invalid"], facts["duplicates"]) == ("1", "1")
    assert done.err == (
        f"invalid: in line 1004 (not an email)\nSkipped 1 entry of {file} without an email.\n"
    )
    done = command("fetch", "--by", "email", "--dry-run", "--allow-empty", stdin=b"")
    assert facts_of(done.out)["requests"].startswith("0 requests, ")
    assert done.err == "There are no emails in stdin.\n"
    assert "There are no emails in" in command("fetch", "--by", "email", stdin=b"").err


def test_what_a_run_has_written_is_an_input(command: Command, tmp_path: Path) -> None:
    """The emails of leads by id, and what is done is not searched again, whatever its case."""
    journal = tmp_path / "leads.jsonl.gz"
    journal.write_bytes(gzip.compress(b"".join(lead_json(each) + b" \n" for each in (A, B, C))))
    facts = facts_of(command("fetch", journal, "--by", "email", "--dry-run").out)
    assert (facts["column"], facts["to fetch"]) == ("email", "3")
    known = KnownIds()
    known.add_done(LineEmail(email_of(B).upper(), 1).number or 0)
    outcome = read_input("a.gz", journal.read_bytes(), known=known, by=EMAILS)
    assert outcome.ids == [email_of(A), email_of(C)]


def test_the_other_way_round_the_option_is_named(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f"name,email\nAda,{ADA}\n")
    done = command("fetch", file, "--dry-run")
    assert done.code == 2
    assert done.err.endswith(
        "use --column to name the one that holds the lead ids, or add --by email.\n"
    )
    assert command("fetch", file, "--by", "email", "--dry-run").code == 0
    file.write_text(f"name,lead_email\nAda,{ADA}\n")
    assert command("fetch", file, "--dry-run").err.endswith("or add --by email.\n")


def test_a_run_fetches_all_leads_of_the_emails(
    command: Command, fake_instantly: FakeInstantly, tmp_path: Path
) -> None:
    """Resumed, it searches for those that are new only; the errors file names the line."""
    file, output = tmp_path / "a.csv", tmp_path / "leads.jsonl"
    file.write_text(f"name,Email\nx,{email_of(A).upper()}\ny,\nz,Bob <{email_of(B)}>\nn,n/a\n")
    done = command("fetch", file, "--by", "email", "-o", output)
    assert (done.code, ids_in(output.read_bytes())) == (3, [A, B])
    assert f"Skipped 1 entry of {file} without an email.\n" in done.err
    failures = Path(f"{output}.errors.jsonl").read_bytes().splitlines()
    assert [json.loads(each)["line"] for each in failures] == [5]
    file.write_text(f"name,Email\nx,{email_of(A)}\nz,{email_of(C)}\n")
    done = command("fetch", file, "--by", "email", "-o", output, "--resume")
    assert (done.code, ids_in(output.read_bytes())) == (3, [A, B, C])
    assert "@" not in done.err
