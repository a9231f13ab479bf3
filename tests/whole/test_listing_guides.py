"""Runs the commands and the script of docs/guides/export.md and docs/guides/emails.md.

test_docs.py runs their Python.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Command, ids_in
from places import DOCS

from instantly_async.testing import (
    DEFAULT_API_KEY,
    FakeInstantly,
    campaign_ids,
    email_of,
    lead_ids,
    make_lead,
)

pytestmark = pytest.mark.fake_instantly(rate_limit=None)

EXPORT, EMAILS = ((DOCS / "guides" / name).read_text() for name in ("export.md", "emails.md"))
CAMPAIGN = campaign_ids()[0]
COMMANDS = Path(sys.executable).parent
IDS = list(lead_ids(250))
OF_CAMPAIGN = [each for each in IDS if make_lead(each)["campaign"] == CAMPAIGN]


def commands_in(page: str) -> list[list[str]]:
    return [shlex.split(line) for line in re.findall(r"(?m)^\$ instantly-async (.+)$", page)]


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", EXPORT, re.DOTALL)
    return str(found)


def test_no_command_is_forgotten() -> None:
    assert [len(commands_in(page)) for page in (EXPORT, EMAILS)] == [2, 1]
    blocks = re.findall(r"```(\w+)\n", EXPORT + EMAILS)
    assert blocks == ["console", "sh", "crontab", "console", "python", "console", "python"]
    assert CAMPAIGN in EXPORT


@pytest.mark.parametrize("arguments", commands_in(EXPORT), ids=" ".join)
def test_export(
    arguments: list[str], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also again, for the leads that were added since."""
    monkeypatch.chdir(tmp_path)
    result = command(*arguments)
    assert result.code == 0, result.err
    again = command(*arguments, *["--resume"][: "--resume" not in arguments])
    assert again.code == 0, again.err
    (journal,) = tmp_path.glob("*.jsonl")
    assert ids_in(journal.read_bytes()) == OF_CAMPAIGN
    assert Path(f"{journal}.query.json").exists()


def test_emails(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("contacts.csv").write_text(
        "name,email\n" + "".join(f"x,{email_of(each)}\n" for each in IDS[:3]) + "y,no@example.com\n"
    )
    (arguments,) = commands_in(EMAILS)
    result = command(*arguments)
    assert result.code == 3
    assert sorted(ids_in(Path("leads.csv.jsonl").read_bytes())) == IDS[:3]
    errors = Path("leads.csv.errors.jsonl")
    assert "no@example.com" in errors.read_text()
    assert errors.stat().st_mode & 0o777 == 0o600
    assert "@" not in result.err


def cron(home: Path) -> "subprocess.CompletedProcess[str]":
    """Run the crontab's command as cron does."""
    *_, job = block("crontab").split(maxsplit=5)
    return subprocess.run(
        ["/bin/sh", "-c", job],
        cwd=home,
        env={"HOME": str(home), "LOGNAME": "x", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_nightly_script(tmp_path: Path, fake_instantly: FakeInstantly) -> None:
    """The first run exports everything, the next one finds what was added meanwhile."""
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "bin").symlink_to(COMMANDS)
    folder = tmp_path / "leads"
    folder.mkdir(mode=0o700)
    (folder / "env").write_text(
        f"INSTANTLY_API_KEY={DEFAULT_API_KEY}\nINSTANTLY_BASE_URL={fake_instantly.url}\n"
    )
    script = folder / "export.sh"
    script.write_text(block("sh"))
    script.chmod(0o700)

    first = cron(tmp_path)
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    assert ids_in((folder / "spring.jsonl").read_bytes()) == OF_CAMPAIGN

    fake_instantly.workspace_size = 300
    fake_instantly.reset()
    assert cron(tmp_path).returncode == 0
    grown = [each for each in lead_ids(300) if make_lead(each)["campaign"] == CAMPAIGN]
    assert ids_in((folder / "spring.jsonl").read_bytes()) == grown
    assert len(fake_instantly.requests) == 4  # canary, page, end, lookup of the last lead

    fake_instantly.list_ignores_filter = True
    refused = cron(tmp_path)
    assert refused.returncode == 4
    assert "does not obey the filter campaign" in refused.stderr
    assert ids_in((folder / "spring.jsonl").read_bytes()) == grown
