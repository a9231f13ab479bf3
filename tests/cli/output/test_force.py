"""``fetch --force`` starts again; a run that records nothing leaves the old files as they were."""

import fcntl
import os
import signal
import subprocess
from pathlib import Path

import pytest
from commands import IDS, MODULE, Command, ids_in, wait_until

from instantly_async.testing import FakeInstantly, Fault, lead_json

LINES = [lead_json(lead_id) + b"\n" for lead_id in IDS]
OLD_ERROR = b'{"id":"%s","error":"NotFoundError","message":"x","attempts":1}\n' % IDS[5].encode()

pytestmark = pytest.mark.fake_instantly(rate_limit=None)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "leads.jsonl"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("old", [LINES[0] * 3, b"notes, no journal", b"", None])
def test_all_ids_are_fetched_again(  # noqa: PLR0917 - fixtures
    command: Command,
    ids_file: Path,
    output: Path,
    errors: Path,
    old: bytes | None,
    fake_instantly: FakeInstantly,
) -> None:
    """What was there before is gone, also its errors, and also if it was no journal."""
    if old is not None:
        output.write_bytes(old)
        errors.write_bytes(OLD_ERROR)
    result = command("fetch", ids_file, "-o", output, "--force")
    assert (result.code, "Resuming" in result.err) == (0, False)
    assert list(content(output.parent)) == [output.name]
    assert ids_in(output.read_bytes()) == IDS
    assert len(fake_instantly.requests) == len(IDS)
    assert output.stat().st_mode & 0o777 == 0o600
    assert command("fetch", ids_file, "-o", output, "--resume").code == 0
    assert len(fake_instantly.requests) == len(IDS)


def test_new_failures_replace_old_ones(
    command: Command, ids_file: Path, output: Path, errors: Path, fake_instantly: FakeInstantly
) -> None:
    """Also if the first outcome is a failure."""
    output.write_bytes(LINES[5])
    errors.write_bytes(OLD_ERROR)
    fake_instantly.unknown = set(IDS)
    assert command("fetch", ids_file, "-o", output, "--force").code == 3
    assert output.read_bytes() == b""
    assert ids_in(errors.read_bytes()) == IDS


@pytest.mark.parametrize("name", ["leads.jsonl", "leads.csv"])
def test_a_run_that_gets_nowhere_changes_nothing(
    command: Command, ids_file: Path, output: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong key, or no network. It does not say that something could be resumed."""
    target = output.with_name(name)
    for path in (target, target.with_name(f"{name}.jsonl"), output):
        path.write_bytes(LINES[0])
    target.with_name(f"{name}.errors.jsonl").write_bytes(OLD_ERROR)
    before = content(output.parent)
    for variable, value, code in [
        ("INSTANTLY_API_KEY", "another-key-that-is-wrong", 4),
        ("INSTANTLY_BASE_URL", "http://127.0.0.1:1", 5),
    ]:
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            result = command("fetch", ids_file, "-o", target, "--force", "--patience", "0.1")
        assert result.code == code
        assert "Resume with" not in result.err
        assert content(output.parent) == before


def test_a_stopped_run_can_be_resumed(
    command: Command, ids_file: Path, output: Path, fake_instantly: FakeInstantly
) -> None:
    """With the printed command, in which ``--force`` has become ``--resume``."""
    output.write_bytes(LINES[5])
    fake_instantly.script(IDS[3], *[Fault.status(401)] * 2)
    result = command("fetch", ids_file, "-o", output, "--force", "--concurrency", "1")
    assert result.code == 4
    line = f"instantly-async fetch --resume {ids_file} -o {output} --concurrency 1"
    assert f"Resume with: {line}\n" in result.err
    assert ids_in(output.read_bytes()) == IDS[:3]
    assert command(*line.split()[1:]).code == 0
    assert ids_in(output.read_bytes()) == IDS


def test_a_table_is_replaced_when_the_run_has_finished(
    command: Command, ids_file: Path, output: Path, fake_instantly: FakeInstantly
) -> None:
    """Whatever it was. Until then the old one is there."""
    table = output.with_name("leads.csv")
    table.write_bytes(b"mine")
    fake_instantly.script(IDS[3], *[Fault.status(401)] * 2)
    options = ["--fields", "id", "--force"]
    assert command("fetch", ids_file, "-o", table, *options, "--concurrency", "1").code == 4
    assert table.read_bytes() == b"mine"
    assert command("fetch", ids_file, "-o", table, *options).code == 0
    assert sorted(table.read_text().split()) == sorted(["id", *IDS])


@pytest.mark.parametrize("other", ["--resume", "--repair", "--retry-errors"])
def test_options_that_contradict_it(
    command: Command, ids_file: Path, output: Path, other: str
) -> None:
    output.write_bytes(LINES[0])
    result = command("fetch", ids_file, "-o", output, "--force", other)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "--force starts again, but --resume, --repair and --retry-errors continue" in result.err
    result = command("fetch", ids_file, "--force")
    assert result == (2, b"", "Only a file can be replaced; name it with -o.\n")
    assert output.read_bytes() == LINES[0]


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
@pytest.mark.parametrize("name", ["leads.jsonl", "leads.jsonl.errors.jsonl"])
def test_files_that_are_refused_as_for_a_resume(
    command: Command, ids_file: Path, output: Path, name: str, options: tuple[str, ...]
) -> None:
    """Links, second names, and what another run is writing; nothing is left."""
    path, other = output.with_name(name), output.with_name("other")
    other.write_bytes(LINES[0])
    path.symlink_to(other)
    arguments = ("fetch", ids_file, "-o", output, "--force", *options)
    assert "is a symbolic link; name the file that" in command(*arguments).err
    path.unlink()
    path.hardlink_to(other)
    assert "has a second name (a hard link)" in command(*arguments).err
    other.unlink()
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "is being written by another run" in command(*arguments).err
    assert content(output.parent) == {name: LINES[0]}


def test_a_dry_run_changes_nothing(
    command: Command, ids_file: Path, output: Path, errors: Path
) -> None:
    """It counts no id as done."""
    output.write_bytes(LINES[0])
    errors.write_bytes(OLD_ERROR)
    before = content(output.parent)
    result = command("fetch", ids_file, "-o", output, "--force", "--dry-run")
    assert (result.code, b"to fetch      6" in result.out) == (0, True)
    assert content(output.parent) == before


@pytest.mark.parametrize("recorded", [True, False])
def test_after_kill_9_there_is_one_whole_output(
    command: Command, ids_file: Path, output: Path, environment: None, *, recorded: bool
) -> None:
    """The old one, or after the first lead the new one; the next run removes what else is left."""
    output.write_bytes(LINES[5])
    line = [*MODULE, "fetch", "-o", str(output), "--force"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        if recorded:
            os.write(process.stdin.fileno(), f"{IDS[0]}\n".encode())
            wait_until(lambda: output.read_bytes() == LINES[0])
        else:
            wait_until(lambda: len(list(output.parent.iterdir())) > 1)
        process.send_signal(signal.SIGKILL)
    assert output.read_bytes() == (LINES[0] if recorded else LINES[5])
    assert command("fetch", ids_file, "-o", output, "--force").code == 0
    assert list(output.parent.iterdir()) == [output]
    assert ids_in(output.read_bytes()) == IDS


def test_an_input_without_ids(command: Command, output: Path) -> None:
    """They replace an output only if they may be empty."""
    output.write_bytes(LINES[0])
    assert command("fetch", "-o", output, "--force", stdin=b"").code == 2
    assert output.read_bytes() == LINES[0]
    assert command("fetch", "-o", output, "--force", "--allow-empty", stdin=b"").code == 0
    assert output.read_bytes() == b""


def test_demo_has_it_too(command: Command, output: Path) -> None:
    output.write_bytes(LINES[5])
    assert "--force to replace it" in command("demo", "--count", "2", "-o", output).err
    assert command("demo", "--count", "2", "-o", output, "--force", "--quiet").code == 0
    assert ids_in(output.read_bytes()) == IDS[:2]
