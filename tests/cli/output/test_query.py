"""A journal is only continued with what it holds: a campaign, a list, ids, or emails."""

import json
import os
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path
from uuid import UUID

import pytest
from commands import IDS, Command
from places import HELPERS

from instantly_async.cli import system
from instantly_async.cli.exits import CommandError
from instantly_async.cli.known import KnownIds
from instantly_async.cli.output import (
    Past,
    PastEmails,
    PastIds,
    PastListing,
    Query,
    Resume,
    open_journal,
    query,
    replaced,
)
from instantly_async.cli.output.lines import LineWriter
from instantly_async.cli.system import files
from instantly_async.testing import (
    DEFAULT_API_KEY,
    FakeInstantly,
    campaign_ids,
    lead_json,
    list_ids,
)

CAMPAIGN, OTHER = campaign_ids()[:2]
LIST = list_ids()[0]
QUERIES = {
    "id": Query(),
    "email": Query(by="email"),
    "campaign": Query(campaign=CAMPAIGN),
    "other": Query(campaign=OTHER),
    "list": Query(list_id=LIST),
    "all": Query(all=True),
    "email of a": Query(by="email", workspace="a"),
    "all of a": Query(all=True, workspace="a"),
}
OLD = str(UUID(int=7))  # in no campaign of the fake
LINE = lead_json(OLD) + b"\n"

pytestmark = pytest.mark.fake_instantly(rate_limit=None)


def past_of(kind: str) -> Past:
    if kind == "id":
        return PastIds(KnownIds())
    if kind.startswith("email"):
        return PastEmails(KnownIds(), QUERIES[kind].workspace)
    return PastListing(QUERIES[kind])


def open_as(kind: str, output: Path, how: Resume | None) -> None:
    """Open a journal, and leave it without a result."""
    with open_journal(str(output), f"{output}.errors.jsonl", past_of(kind), how):
        pass


@pytest.fixture
def query_file(output: Path) -> Path:
    return output.with_name(f"{output.name}.query.json")


def write(output: Path, kind: str) -> None:
    output.write_bytes(LINE)
    if kind != "id":
        text = json.dumps({key: value for key, value in as_json(kind).items() if value})
        output.with_name(f"{output.name}.query.json").write_text(text)


def as_json(kind: str) -> dict[str, object]:
    stored: dict[str, dict[str, object]] = {
        "email": {"by": "email"},
        "campaign": {"campaign": CAMPAIGN},
        "other": {"campaign": OTHER},
        "list": {"list_id": LIST},
        "all": {"all": True},
        "email of a": {"by": "email", "workspace": "a"},
        "all of a": {"all": True, "workspace": "a"},
    }
    return stored[kind]


@pytest.mark.parametrize("before", QUERIES)
@pytest.mark.parametrize("now", QUERIES)
def test_only_the_same_query_goes_on(output: Path, before: str, now: str) -> None:
    """Whatever is refused stays as it was."""
    write(output, before)
    there = {each: each.read_bytes() for each in output.parent.iterdir()}
    if before == now:
        open_as(now, output, Resume())
    else:
        with pytest.raises(CommandError, match=f"^{output} holds .*choose another output.$"):
            open_as(now, output, Resume())
    assert {each: each.read_bytes() for each in output.parent.iterdir()} == there


@pytest.mark.parametrize(
    ("before", "now", "sentence"),
    [
        (
            "campaign",
            "other",
            f"leads of the campaign {CAMPAIGN}; resume it with --campaign {CAMPAIGN}, or ",
        ),
        ("list", "all", f"leads of the list {LIST}; resume it with --list {LIST}, or "),
        ("all", "id", "all leads of the workspace; resume it with export --all, or "),
        (
            "all of a",
            "all",
            "all leads of the workspace (--workspace a); resume it with --all --workspace a, or ",
        ),
        (
            "all",
            "all of a",
            "all leads of the workspace; resume it with --all and without --workspace, or ",
        ),
        ("email", "id", "leads fetched by email; resume it with --by email, or "),
        ("email", "all", "leads fetched by email; resume it with fetch --by email, or "),
        ("id", "all", "leads fetched by id; "),
        ("id", "email", "leads fetched by id; "),
    ],
)
def test_the_sentence_names_the_option(output: Path, before: str, now: str, sentence: str) -> None:
    write(output, before)
    for how in (Resume(), Resume(repair=True), Resume(retry_errors=True)):
        with pytest.raises(CommandError) as caught:
            open_as(now, output, how)
        assert str(caught.value) == f"{output} holds {sentence}choose another output."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"by":"id"}',
        '{"campaign":"x","all":true}',
        '{"campaign":7}',
        '{"campaign":"ada@example.com"}',
        f'{{"campaign":"{CAMPAIGN.upper()}"}}',
        f'{{"list_id":"{LIST.replace("-", "")}"}}',
        '{"tag":"x"}',
        "\udcff",
    ],
)
@pytest.mark.parametrize("now", ["id", "campaign"])
def test_a_file_that_is_no_query(output: Path, query_file: Path, text: str, now: str) -> None:
    """It may be one of a later version, so it is not treated as none."""
    output.write_bytes(LINE)
    query_file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(CommandError, match=r"does not say which leads .* holds; choose another"):
        open_as(now, output, Resume())


def test_a_key_in_the_file_is_not_shown(
    output: Path, query_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has edited the file. Messages show its workspace."""
    monkeypatch.setenv("INSTANTLY_API_KEY", DEFAULT_API_KEY)
    write(output, "all")
    query_file.write_text(json.dumps({"all": True, "workspace": DEFAULT_API_KEY}))
    with pytest.raises(CommandError) as caught:
        open_as("all", output, Resume())
    assert DEFAULT_API_KEY not in str(caught.value)


def test_a_link_is_refused(output: Path, query_file: Path, tmp_path: Path) -> None:
    output.write_bytes(LINE)
    query_file.symlink_to(tmp_path / "other")
    with pytest.raises(CommandError, match="is a symbolic link; name the file"):
        open_as("campaign", output, Resume())


def test_one_without_its_journal(output: Path, query_file: Path) -> None:
    """As with an errors file. To resume creates the journal, also of another query."""
    query_file.write_text(json.dumps(as_json("campaign")))
    with pytest.raises(CommandError, match=f"^{query_file} is left from an earlier run; add --res"):
        open_as("campaign", output, None)
    with open_journal(str(output), f"{output}.errors", past_of("other"), Resume()) as opened:
        assert json.loads(query_file.read_text()) == as_json("other")
        opened.finished = True
    assert output.read_bytes() == b""


@pytest.mark.parametrize("how", [None, Resume(), Resume(force=True)])
def test_a_new_output_without_results_leaves_nothing(output: Path, how: Resume | None) -> None:
    open_as("campaign", output, how)
    assert not list(output.parent.iterdir())


def test_a_campaign_may_have_no_leads(command: Command, output: Path, query_file: Path) -> None:
    """Then a file without leads is right, and the next run may find some."""
    arguments = ("export", "--campaign", IDS[0], "-o", output)
    result = command(*arguments)
    assert result.code == 0
    assert "There are no leads in this campaign.\n" in result.err
    assert (output.read_bytes(), json.loads(query_file.read_text())) == (b"", {"campaign": IDS[0]})
    assert command(*arguments, "--resume").code == 0


def test_the_query_is_there_before_the_first_line(
    command: Command, output: Path, query_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its owner can read it, as all files of a run."""
    seen: list[object] = []
    real_write = LineWriter.write

    def look_first(self: LineWriter, line: bytes) -> Awaitable[None]:
        seen.append(json.loads(query_file.read_text()))
        return real_write(self, line)

    monkeypatch.setattr(LineWriter, "write", look_first)
    os.umask(os.umask(0))
    assert command("export", "--list", LIST, "-o", output).code == 0
    assert seen
    assert all(each == {"list_id": LIST} for each in seen)
    assert query_file.stat().st_mode & 0o777 == 0o600


def test_by_id_there_is_no_such_file(
    command: Command, ids_file: Path, output: Path, query_file: Path
) -> None:
    assert command("fetch", ids_file, "-o", output).code == 0
    assert not query_file.exists()


@pytest.mark.parametrize("name", ["leads.csv", "leads.jsonl.gz"])
def test_a_file_made_from_a_journal(command: Command, tmp_path: Path, name: str) -> None:
    """The query is that of the journal."""
    output = tmp_path / name
    assert command("export", "--list", LIST, "-o", output, "--limit", "2").code == 0
    expected = {name, f"{name}.jsonl", f"{name}.jsonl.query.json"}
    assert {each.name for each in tmp_path.iterdir()} == expected
    assert "holds leads of the list" in command("export", "--all", "-o", output, "--resume").err


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_fetch_and_export_do_not_go_on_with_each_other(
    command: Command, ids_file: Path, output: Path, options: tuple[str, ...]
) -> None:
    write(output, "id")
    result = command("export", "--all", "-o", output, "--resume", *options)
    assert result == (
        2,
        b"",
        f"{output} holds leads fetched by id; choose another output.\n",
    )
    write(output, "all")
    result = command("fetch", ids_file, "-o", output, "--resume", *options)
    assert (result.code, "resume it with export --all, or " in result.err) == (2, True)


def test_it_is_not_the_input_or_the_statistics(
    command: Command, output: Path, query_file: Path
) -> None:
    write(output, "all")
    result = command("fetch", query_file, "-o", output, "--resume")
    assert "belongs to the output; name another input.\n" in result.err
    result = command("export", "--all", "-o", output, "--resume", "--stats-json", query_file)
    assert "choose another --stats-json.\n" in result.err


# --- --force ----------------------------------------------------------------------------

COMMANDS = {
    "id": ["fetch", "ids.txt"],
    "campaign": ["export", "--campaign", CAMPAIGN],
    "other": ["export", "--campaign", OTHER],
}


@pytest.mark.parametrize(
    ("before", "now"),
    [("id", "campaign"), ("campaign", "other"), ("campaign", "id"), ("campaign", "campaign")],
)
def test_a_kill_at_any_point_of_a_replacement(
    environment: None, fake_instantly: FakeInstantly, tmp_path: Path, before: str, now: str
) -> None:
    """Never are leads beside the query of others; and the same command always gets through."""
    folder = tmp_path / "folder"
    folder.mkdir()
    output = folder / "leads.jsonl"
    write(output, before)
    (folder / "leads.jsonl.errors.jsonl").write_text(
        f'{{"id":"{IDS[1]}","error":"NotFoundError","message":"not found","attempts":1}}\n'
    )
    (folder / "ids.txt").write_text("\n".join(IDS[2:5]))
    line = [*COMMANDS[now], "-o", "leads.jsonl", "--force", "--quiet"]
    program = [sys.executable, str(HELPERS / "kill_points.py"), str(folder), *line]
    run = subprocess.run(program, check=True, capture_output=True, text=True)
    happened = json.loads(run.stdout.splitlines()[-1])
    assert happened["code"] == 0
    assert len(happened["left"]) > 5
    states = {state_of(each) for each in happened["left"]}
    same = before == now
    allowed = {("old", before), ("new", now), ("none", now), ("none", before), ("none", "id")}
    assert {("old", before), ("new", now)} <= states
    assert states <= (allowed - {("none", "id")} if same else allowed)
    last = happened["left"][-1]
    assert "leads.jsonl.errors.jsonl" not in last


def state_of(files: dict[str, str]) -> tuple[str, str]:
    """Return whose leads there are, and the query beside them."""
    text = files.get("leads.jsonl.query.json")
    kind = "id" if text is None else kind_of(json.loads(text))
    journal = files.get("leads.jsonl", "")
    if not journal:
        return "none", kind
    return "old" if OLD in journal else "new", kind


def kind_of(stored: object) -> str:
    return next(each for each in QUERIES if each != "id" and as_json(each) == stored)


@pytest.mark.parametrize(("before", "now"), [("id", "all"), ("campaign", "all"), ("all", "id")])
def test_after_a_power_failure_too(
    output: Path,
    query_file: Path,
    before: str,
    now: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each step is durable before the next: the old leads go, the query comes, then the leads."""
    write(output, before)
    steps: list[str] = []

    def note(name: str, real: object) -> object:
        def call(path: object, *others: object) -> object:
            steps.append(f"{name} {Path(str((path, *others)[-1])).name}")
            return real(path, *others)  # type: ignore[operator]

        return call

    for name in ("unlink", "replace"):
        monkeypatch.setattr(os, name, note(name, getattr(os, name)))
    noted = note("sync", system.sync_folder)
    for module in (query, replaced, files):
        monkeypatch.setattr(module, "sync_folder", noted)
    with open_journal(str(output), f"{output}.errors", past_of(now), Resume(force=True)) as opened:
        opened.finished = True
    new_query = "unlink" if now == "id" else "replace"
    assert [each for each in steps if ".part" not in each][:6] == [
        "unlink leads.jsonl.errors",
        "unlink leads.jsonl",
        "sync leads.jsonl",
        f"{new_query} leads.jsonl.query.json",
        "sync leads.jsonl.query.json",
        "replace leads.jsonl",
    ]
