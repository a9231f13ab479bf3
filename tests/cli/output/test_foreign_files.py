"""Files that are not quite this user's own: links, files of others, files that others can read."""

import errno
import os
from pathlib import Path

import pytest
from commands import IDS, Command, ids_in

from instantly_async.cli.known import KnownIds
from instantly_async.cli.output import PastIds, Resume, open_journal
from instantly_async.cli.system import replacement
from instantly_async.testing import lead_json

LINES = [lead_json(lead_id) + b"\n" for lead_id in IDS]

pytestmark = pytest.mark.fake_instantly(rate_limit=None)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "leads.jsonl"


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--repair",), ("--fields", "id")])
@pytest.mark.parametrize("content", [b"", LINES[0] + b"{\n"])
def test_a_link_is_not_followed(
    command: Command, ids_file: Path, output: Path, options: tuple[str, ...], content: bytes
) -> None:
    """In /tmp it may be somebody else's, and lead to any file of this user."""
    victim = output.with_name("victim")
    victim.write_bytes(content)
    output.symlink_to(victim)
    result = command("fetch", ids_file, "-o", output, "--resume", *options)
    assert result == (2, b"", f"{output} is a symbolic link; name the file that it points to.\n")
    assert output.is_symlink()
    assert victim.read_bytes() == content


def test_a_link_in_place_of_the_errors_file_is_not_followed(
    command: Command, ids_file: Path, output: Path, errors: Path
) -> None:
    output.write_bytes(LINES[0])
    victim = output.with_name("victim")
    victim.touch()
    errors.symlink_to(victim)
    result = command("fetch", ids_file, "-o", output, "--resume")
    assert result == (2, b"", f"{errors} is a symbolic link; name the file that it points to.\n")
    assert output.read_bytes() == LINES[0]


def test_a_link_to_the_folder_is_followed(
    command: Command, ids_file: Path, output: Path, tmp_path: Path
) -> None:
    """Also during a repair, and for the statistics."""
    output.write_bytes(LINES[0] + b"{\n")
    folder = tmp_path / "linked"
    folder.symlink_to(output.parent)
    stats = ("--stats-json", folder / "stats.json")
    assert command("fetch", ids_file, "-o", folder / output.name, "--repair", *stats).code == 0
    assert ids_in(output.read_bytes()) == IDS
    assert output.with_name("stats.json").exists()


def test_a_file_with_two_names_is_not_resumed(
    command: Command, ids_file: Path, output: Path
) -> None:
    victim = output.with_name("victim")
    victim.write_bytes(LINES[0])
    output.hardlink_to(victim)
    result = command("fetch", ids_file, "-o", output, "--resume")
    sentence = "has a second name (a hard link), whose file would change too; resume a copy."
    assert result == (2, b"", f"{output} {sentence}\n")
    assert victim.read_bytes() == LINES[0]


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--fields", "id")])
def test_a_file_of_another_user_is_not_resumed(
    command: Command,
    ids_file: Path,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
) -> None:
    """Its owner could read the leads."""
    output.write_bytes(LINES[0])
    monkeypatch.setattr(os, "geteuid", lambda: output.stat().st_uid + 1)
    result = command("fetch", ids_file, "-o", output, "--resume", *options)
    sentence = "belongs to another user; run the command as that user, or resume a copy."
    assert result == (2, b"", f"{output} {sentence}\n")
    assert output.read_bytes() == LINES[0]


@pytest.mark.parametrize("mode", [0o666, 0o640, 0o604, 0o755])
def test_a_file_that_others_can_open_is_made_private(
    command: Command, ids_file: Path, output: Path, errors: Path, mode: int
) -> None:
    """Before any lead is written to it. The errors file holds ids only, but is treated the same."""
    for path in (output, errors):
        path.touch()
        path.chmod(mode)
    result = command("fetch", ids_file, "-o", output, "--resume")
    assert result.code == 0
    for path in (output, errors):
        assert f"Others could read {path}; only you can now (mode 0600).\n" in result.err
        assert path.stat().st_mode & 0o777 == mode & 0o700
    assert ids_in(output.read_bytes()) == IDS


def test_a_file_that_is_no_journal_keeps_its_mode(
    command: Command, ids_file: Path, output: Path
) -> None:
    output.write_bytes(b"<html>\n")
    output.chmod(0o644)
    assert command("fetch", ids_file, "-o", output, "--resume").code == 2
    assert output.stat().st_mode & 0o777 == 0o644
    output.write_bytes(LINES[0])
    assert command("fetch", ids_file, "-o", output, "--resume", "--dry-run").code == 0
    assert output.stat().st_mode & 0o777 == 0o644


def test_a_disk_without_modes(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would not keep those of a new file either, so the run goes on without a remark."""

    def fchmod(fd: int, mode: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    output.write_bytes(LINES[0])
    output.chmod(0o755)
    monkeypatch.setattr(os, "fchmod", fchmod)
    with open_journal(str(output), f"{output}.errors", PastIds(KnownIds()), Resume()) as opened:
        assert opened.remark == "Resuming after 1 lead and 0 failed ids."


def test_a_link_that_comes_later_is_replaced(output: Path) -> None:
    """After the check, while the run is on: the link is replaced, not what it points to."""
    target, link = output.parent / "mine.json", output.parent / "link.json"
    target.write_text("mine")
    link.symlink_to(target)
    with replacement(str(link)) as file:
        file.write(b"{}")
    assert target.read_text() == "mine"
    assert not link.is_symlink()
    assert link.read_bytes() == b"{}"


@pytest.mark.parametrize("options", [(), ("--fields", "id"), ("--dry-run",)])
def test_a_named_pipe_does_not_stop_the_command(
    command: Command, ids_file: Path, output: Path, options: tuple[str, ...]
) -> None:
    """Nobody is at its other end."""
    os.mkfifo(output)
    result = command("fetch", ids_file, "-o", output, "--resume", *options)
    assert result == (2, b"", f"{output} is not a regular file; choose another name.\n")


def test_a_file_that_is_converted_again_replaces_a_second_name(
    command: Command, output: Path
) -> None:
    """The other name keeps its content."""
    output.write_bytes(LINES[0])
    table, other = output.with_name("leads.csv"), output.with_name("other.csv")
    other.write_text("mine")
    table.hardlink_to(other)
    assert command("convert", output, table, "--force").code == 0
    assert other.read_text() == "mine"
    assert table.stat().st_mode & 0o777 == 0o600
