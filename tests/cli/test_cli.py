"""The command, against a real server. Most tests run it in this process, which is faster.

Pipes, signals, terminals and missing packages need a separate process.
"""

import asyncio
import errno
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from commands import IDS, MODULE, Command, ids_in, piped_stdin, wait_until

from instantly_async.cli import main
from instantly_async.cli.input import Survey, Understood, open_source
from instantly_async.cli.input.sources import CHUNK_BYTES
from instantly_async.cli.known import KnownIds
from instantly_async.cli.records import LineId, number_of
from instantly_async.cli.serve import fake_process
from instantly_async.cli.show import trouble
from instantly_async.errors import InvalidLeadIdError
from instantly_async.outcomes import Failed
from instantly_async.testing import FakeInstantly, Fault, lead_ids, lead_json

pytestmark = [
    pytest.mark.fake_instantly(rate_limit=None),
    pytest.mark.usefixtures("environment"),
]


# --- get ---------------------------------------------------------------------------------


def test_get_prints_the_servers_own_json(command: Command) -> None:
    assert command("get", IDS[0]) == (0, lead_json(IDS[0]) + b"\n", "")


def test_get_of_a_missing_lead(command: Command, fake_instantly: FakeInstantly) -> None:
    fake_instantly.unknown = {IDS[0]}
    assert command("get", IDS[0]) == (3, b"", f"not found: {IDS[0]}\n")


def test_get_wants_a_uuid(command: Command, fake_instantly: FakeInstantly) -> None:
    """Another text is refused, and no request is sent."""
    code, out, err = command("get", "../api-keys")
    assert (code, out) == (2, b"")
    assert err.startswith("A lead id is a UUID")
    assert not fake_instantly.requests


# --- fetch: input ------------------------------------------------------------------------


def test_fetch_from_a_file(command: Command, ids_file: Path) -> None:
    result = command("fetch", ids_file)
    assert (result.code, result.found) == (0, IDS)
    assert {bytes(line) for line in result.out.splitlines()} == {lead_json(each) for each in IDS}


def test_fetch_by_list(
    command: Command, ids_file: Path, fake_instantly: FakeInstantly, tmp_path: Path
) -> None:
    """One request for all ids; an id that the page omits gets its own GET, which is counted."""
    fake_instantly.list_omits = {IDS[0]}
    output = tmp_path / "leads.jsonl"
    result = command("fetch", ids_file, "--strategy", "list", "-o", output)
    assert result.code == 0
    assert ids_in(output.read_bytes()) == sorted(IDS)
    assert [request.method for request in fake_instantly.requests] == ["POST", "GET"]
    assert "\none by one   1, not settled by pages\n" in result.err


def test_demo_by_list(command: Command) -> None:
    result = command("demo", "--count", "250", "--latency-ms", "0", "--strategy", "list")
    assert result.code == 0
    assert re.search(r"found +250\n", result.err)
    assert re.search(r"requests +3 ", result.err)


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_fetch_from_stdin(command: Command, arguments: tuple[str, ...]) -> None:
    """BOM, CRLF, blank lines and comments are skipped; a duplicate is fetched once, and counted."""
    text = f"\ufeff{IDS[0]}\r\n\r\n# more\r\n{IDS[1]}\r\n{IDS[0].upper()}\r\n"
    result = command("fetch", *arguments, stdin=text.encode())
    assert (result.code, result.found) == (0, IDS[:2])
    assert re.search(r"^duplicates +1$", result.err, re.MULTILINE)


def test_an_empty_input_may_be_allowed(command: Command) -> None:
    result = command("fetch", "/dev/null", "--allow-empty")
    assert (result.code, result.out) == (0, b"")
    assert result.err.startswith("There are no ids in /dev/null.\nfound        0\n")


def test_csv_and_jsonl_by_suffix_and_by_option(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"lead,name\n{IDS[0]},x\n")
    result = command("fetch", tmp_path / "a.csv", "--column", "lead", "--quiet")
    assert result == (0, lead_json(IDS[0]) + b"\n", "")
    (tmp_path / "b.jsonl").write_bytes(result.out)
    assert command("fetch", tmp_path / "b.jsonl").found == IDS[:1]
    (tmp_path / "c").write_bytes(result.out)
    assert command("fetch", tmp_path / "c", "--input-format", "jsonl").found == IDS[:1]
    stdin = f"id\n{IDS[0]}\n".encode()
    assert command("fetch", "--column", "id", stdin=stdin).found == IDS[:1]


def test_every_id_is_written_or_reported(command: Command, fake_instantly: FakeInstantly) -> None:
    """Not found and failed: by id. Invalid: by line, and an email is never shown."""
    fake_instantly.unknown = {IDS[1]}
    fake_instantly.script(IDS[2], Fault.status(422), Fault.status(422))
    text = f"{IDS[0]}\n{IDS[1]}\n{IDS[2]}\nada@example.com\n123-abc\n"
    result = command("fetch", "--quiet", stdin=text.encode())
    assert (result.code, result.found) == (3, IDS[:1])
    assert sorted(result.err.splitlines()) == [
        f"failed: {IDS[2]}: The API rejected the request (HTTP 422: Scripted fault) (attempts: 1)",
        "invalid: 123-abc in line 5 (a lead id is a UUID)",
        "invalid: in line 4 (a lead id is a UUID)",
        f"not found: {IDS[1]}",
    ]


def test_failures_are_counted_by_kind(command: Command) -> None:
    result = command("fetch", stdin=f"x\n{IDS[0]}\n".encode())
    assert re.search(r"^failed +1 \(1 InvalidLeadIdError\)$", result.err, re.MULTILINE)


@pytest.mark.parametrize(
    ("data", "suffix", "message"),
    [
        (b"name\nx\n", ".csv", 'has no column with lead ids; its columns are "name"'),
        (b"\xff\xfea\x00", ".txt", "No entry of"),
        (b"\xff\xfe", ".txt", "There are no ids in"),
        (b"\xffa\n", ".txt", "No entry of"),
        (b"ada@example.com\n" * 2, ".txt", "holds emails and no lead ids"),
        (b"import os\n" * 50, ".txt", "None of the first 50 entries"),
        (b"\0" * 9, ".txt", "has a NUL byte (at offset 0)"),
        (b'id,n\n%b,"5"\n%b,"5 in\n%b,6"\n' % tuple(map(str.encode, IDS[:3])), ".csv", "in line 3"),
        (b"{", ".jsonl", "ends too early at its beginning; fix it, or copy it again"),
    ],
)
def test_a_bad_input_is_one_sentence(
    command: Command, tmp_path: Path, data: bytes, suffix: str, message: str
) -> None:
    """The empty output file is removed, so that it does not block the next run."""
    source, output = tmp_path / f"in{suffix}", tmp_path / "out.jsonl"
    source.write_bytes(data)
    result = command("fetch", source, "-o", output, "--quiet")
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not output.exists()


def test_a_bad_line_does_not_lose_the_ids_before_it(command: Command) -> None:
    """The leads of earlier lines are fetched before the error is reported."""
    result = command("fetch", stdin=f"{IDS[0]}\n{IDS[1]}\n\0\n".encode())
    assert (result.code, result.found) == (2, IDS[:2])
    assert "\nLine 3 of stdin has a NUL byte (at offset 74)" in result.err


def test_a_swallowed_row_does_not_lose_the_ids_before_it(command: Command) -> None:
    """From a pipe, as with any bad line."""
    text = f'id,size\n{IDS[0]},"4"\n{IDS[1]},"5 inch\n{IDS[2]},6" pipe\n'
    result = command("fetch", "--input-format", "csv", stdin=text.encode())
    assert (result.code, result.found) == (2, IDS[:1])
    assert "begins in line 3 of stdin swallows other rows, such as the one in line 4" in result.err


def understood(first: str) -> Understood:
    return Understood(form="text", first=first)


def test_the_total_of_a_file_is_known(tmp_path: Path) -> None:
    """The total of a pipe is unknown, and a survey uses the pipe up."""
    path = tmp_path / "ids"
    path.write_text(f"# two\n{IDS[0]}\n{IDS[0]}\n\nx\n{IDS[1]}")
    invalid = list[LineId]()
    with open_source(str(path), None, None) as source:
        assert source.survey(invalid.append) == Survey(2, 1, 1, 0, understood(IDS[0]))
        assert asyncio.run(collect(source.ids())) == [IDS[0], "x", IDS[1]]
        assert (source.total, source.duplicates) == (3, 1)
    assert [each.line for each in invalid] == [5]
    with piped_stdin(IDS[0].encode()), open_source("-", None, None) as source:
        assert source.total is None
        assert source.survey(invalid.append) == Survey(1, 0, 0, 0, understood(IDS[0]))
        assert asyncio.run(collect(source.ids())) == []


def test_a_full_stderr_does_not_end_a_run(ids_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "leads.jsonl"
    with Path("/dev/full").open("w") as full:
        command = [*MODULE, "fetch", str(ids_file), "-o", str(output)]
        assert subprocess.run(command, stderr=full, check=False).returncode == 0
    assert ids_in(output.read_bytes()) == IDS


async def collect(ids: AsyncIterator[str]) -> list[str]:
    return [lead_id async for lead_id in ids]


def test_without_uvloop(command: Command, ids_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra ``speed`` is optional, also to read a pipe."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert command("fetch", stdin=ids_file.read_bytes()).found == IDS


def test_input_that_cannot_be_opened(command: Command, tmp_path: Path) -> None:
    assert (
        command("fetch", tmp_path).err == f"{tmp_path} is a folder; name a file with ids in it.\n"
    )
    missing = tmp_path / "missing"
    assert command("fetch", missing) == (2, b"", f"There is no file {missing}; check the name.\n")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    result = command("fetch", loop)
    assert result.code == 2
    assert result.err.endswith(f"{os.strerror(errno.ELOOP)}; choose another file.\n")
    assert command("fetch", "a\0b").code == 2


def test_input_that_cannot_be_read(command: Command) -> None:
    """/proc/self/mem can be opened, but a read at address 0 fails with EIO."""
    result = command("fetch", "/proc/self/mem", "--quiet")
    assert (result.code, result.out) == (2, b"")
    reason = os.strerror(errno.EIO)
    assert (
        result.err == f"Reading /proc/self/mem failed: {reason}; check the file, then try again.\n"
    )


# --- fetch: output -----------------------------------------------------------------------


def test_output_is_a_new_private_file(command: Command, ids_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "leads.jsonl"
    result = command("fetch", ids_file, "--output", output)
    assert (result.code, result.out) == (0, b"")
    assert ids_in(output.read_bytes()) == IDS
    assert output.stat().st_mode & 0o777 == 0o600


def test_no_umask_locks_the_owner_out(command: Command, ids_file: Path, tmp_path: Path) -> None:
    """A later run, or the end of this one, has to read the file again."""
    output = tmp_path / "leads.csv"
    before = os.umask(0o777)
    try:
        assert command("fetch", ids_file, "-o", output).code == 0
    finally:
        os.umask(before)
    for path in (output, Path(f"{output}.jsonl")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_working_directory_that_is_gone(
    command: Command, ids_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    result = command("fetch", ids_file, "--stats-json", "stats.json")
    sentence = "There is no folder for stats.json; create it, or choose another.\n"
    assert result == (2, b"", sentence)
    assert command("fetch", ids_file, "-o", tmp_path / "leads.csv", "--quiet").code == 0


def test_output_never_replaces_anything(
    command: Command, ids_file: Path, tmp_path: Path, fake_instantly: FakeInstantly
) -> None:
    """Neither a file, nor the target of a link, even if the target does not exist."""
    output, link = tmp_path / "out.jsonl", tmp_path / "link.jsonl"
    output.write_text("mine")
    link.symlink_to(tmp_path / "elsewhere")
    remedy = "add --resume to continue it, --force to replace it, or choose another name"
    result = command("fetch", ids_file, "-o", output)
    assert result == (2, b"", f"{output} exists already; {remedy}.\n")
    for options in ([], ["--force"]):
        result = command("fetch", ids_file, "-o", link, *options)
        sentence = f"{link} is a symbolic link; name the file that it points to.\n"
        assert result == (2, b"", sentence)
    assert output.read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()
    assert not fake_instantly.requests


def test_output_that_cannot_be_created(command: Command, ids_file: Path, tmp_path: Path) -> None:
    assert (
        "There is no folder for" in command("fetch", ids_file, "-o", tmp_path / "a" / "b.csv").err
    )
    assert (
        "cannot be created" in command("fetch", ids_file, "-o", tmp_path / f"{'x' * 300}.jsonl").err
    )


def test_a_lead_with_undocumented_values_is_written_as_received(
    command: Command, fake_instantly: FakeInstantly
) -> None:
    body = b'{"id": "%s",\r\n "status": "odd \\ud83d",  "new": 1.50}' % IDS[0].encode()
    fake_instantly.script(IDS[0], Fault.body(body))
    assert command("get", IDS[0]).out == body.replace(b"\r\n", b"") + b"\n"


def test_a_full_disk_stops_the_run(ids_file: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [*MODULE, "fetch", ids_file, "--quiet"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert result.returncode == 5
    assert result.stderr.decode() == (
        f"Writing to stdout failed: {os.strerror(errno.ENOSPC)}; "
        "it ends with the last whole line.\n"
    )


# --- exit codes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        ({"api_key": "another"}, 4, "does not accept the key from INSTANTLY_API_KEY (401)"),
        ({"paid_plan": False}, 4, "no active paid plan (402)"),
        ({"scopes": ()}, 4, "may not read leads (403)"),
        ({"down": Fault.status(403, b"error code: 1010")}, 4, "The CDN in front of the API"),
        ({"down": Fault.status(407)}, 5, "The proxy requires credentials (407)"),
        ({"down": Fault.throttle(1000)}, 5, "The API asks to wait 1000 s"),
        ({"down": True}, 5, "The API keeps failing"),
    ],
)
def test_what_ends_a_run(
    command: Command,
    fake_instantly: FakeInstantly,
    ids_file: Path,
    case: tuple[dict[str, object], int, str],
) -> None:
    """One sentence, the exit code, and no empty file that would block the next run."""
    settings, code, message = case
    for name, value in settings.items():
        setattr(fake_instantly, name, value)
    output = ids_file.with_name("out.jsonl")
    options = ["--quiet", "--patience", "0.1", "--log-level", "error"]
    result = command("fetch", ids_file, "-o", output, *options)
    assert (result.code, result.out, result.err.count("\n")) == (code, b"", 1)
    assert message in result.err
    assert not output.exists()


def test_a_server_without_tls(
    command: Command, fake_instantly: FakeInstantly, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fake_instantly.url.replace("http:", "https:")
    monkeypatch.setenv("INSTANTLY_BASE_URL", url)
    assert command("get", IDS[0], "--patience", "0.1").code == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "--rate-share", "2"], "--rate-share must be at most 1"),
        (["fetch", "--concurrency", "0"], "--concurrency must be a whole number"),
        (["fetch", "--patience", "0"], "--patience must be a positive, finite number"),
        (["fetch", "--workspace", "a b"], "--workspace must be an id"),
        (["fetch", "--column", "id", "x", "--input-format", "text"], "--column is for tables"),
        (["serve", "--host", "192.0.2.1"], "192.0.2.1 is not this machine"),
        (["serve", "--host", "example.com"], "example.com is not this machine"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(
    command: Command, arguments: list[str], message: str
) -> None:
    result = command(*arguments)
    assert (result.code, result.out, result.err.count("\n")) == (2, b"", 1)
    assert message in result.err


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("INSTANTLY_API_KEY", " ", "Set INSTANTLY_API_KEY to the workspace's API key"),
        ("INSTANTLY_API_KEY", "secrét-1", "The API key contains characters that are not allowed"),
        ("INSTANTLY_API_KEY", "Bearer secret-1", "The API key is a whole header, or begins with"),
        ("INSTANTLY_BASE_URL", "api.instantly.ai", "INSTANTLY_BASE_URL is not a URL: no scheme"),
        ("INSTANTLY_BASE_URL", "http://example.com", "INSTANTLY_BASE_URL must be https"),
        ("INSTANTLY_BASE_URL", "https://u:secret-1@x", "must not contain a user or password"),
        ("INSTANTLY_BASE_URL", "https://x/api/v2", "INSTANTLY_BASE_URL must end after host"),
    ],
)
def test_a_wrong_environment_is_one_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    result = command("fetch")
    assert (result.code, result.out, result.err.count("\n")) == (2, b"", 1)
    assert message in result.err
    assert "secr" not in result.err


def test_retries_are_logged_by_one_handler(
    command: Command, fake_instantly: FakeInstantly, ids_file: Path
) -> None:
    """Also when the command runs more than once in one process."""
    for _ in range(2):
        fake_instantly.script_all(Fault.status(500))
        result = command("fetch", ids_file, "--log-level", "debug")
        assert result.code == 0
        assert (
            len(re.findall("DEBUG instantly_async._fetch.attempts: Lead .*HTTP 500", result.err))
            == 1
        )


def test_options_reach_the_client(
    command: Command, fake_instantly: FakeInstantly, ids_file: Path
) -> None:
    options = ["--workspace", "ws-1", "--concurrency", "1", "--rate-share", "0.9"]
    assert command("fetch", ids_file, *options).code == 0
    seen = fake_instantly.requests
    assert {each.workspace for each in seen} == {"ws-1"}
    assert [each.lead_id for each in seen] == IDS


# --- pipes, signals, terminals -----------------------------------------------------------


def test_a_closed_pipe_is_not_a_failure(ids_file: Path) -> None:
    """As with ``| head -1``, the reader closes the pipe early."""
    process = subprocess.Popen(
        [*MODULE, "fetch", ids_file, "--concurrency", "1", "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = os.read(process.stdout.fileno(), 10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert line == lead_json(IDS[0])[:10]
    assert process.returncode == 0


@pytest.mark.parametrize(("arguments", "code"), [("--help", 0), ("ids", 0), ("get x", 2)])
def test_stdout_and_stderr_into_a_closed_pipe(arguments: str, code: int) -> None:
    """``2>&1 | true``: Python flushes both at exit, which must not fail either."""
    reader, writer = os.pipe()
    os.close(reader)
    line = [*MODULE, *arguments.split()]
    result = subprocess.run(line, stdout=writer, stderr=writer, check=False)
    os.close(writer)
    assert result.returncode == code


WITHOUT_UVLOOP = (
    "import sys; sys.modules['uvloop'] = None; "
    "from instantly_async.cli import main; sys.exit(main())"
)


@pytest.mark.parametrize(
    ("number", "code", "start"),
    [
        (signal.SIGINT, 130, MODULE),
        (signal.SIGTERM, 143, MODULE),
        (signal.SIGINT, 130, [sys.executable, "-c", WITHOUT_UVLOOP]),
    ],
)
def test_a_signal_ends_the_run_cleanly(
    tmp_path: Path, number: int, code: int, start: list[str]
) -> None:
    """Whole lines, a summary and the exit code, although the input is a pipe that stays open."""
    output = tmp_path / "out.jsonl"
    process = subprocess.Popen(
        [*start, "fetch", "-o", output], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdin is not None
        assert process.stderr is not None
        os.write(process.stdin.fileno(), "".join(f"{each}\n" for each in IDS[:3]).encode())
        wait_until(lambda: output.exists() and output.read_bytes().count(b"\n") == 3)
        process.send_signal(number)
        err = process.stderr.read().decode()
    assert process.returncode == code
    assert ids_in(output.read_bytes()) == IDS[:3]
    assert re.search(r"^found +3$", err, re.MULTILINE)
    assert "Traceback" not in err


def test_an_interrupt_before_the_run(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("instantly_async.cli.app.run_command_line", interrupt)
    assert command("get") == (130, b"", "")


def test_the_extra_is_missing() -> None:
    """One sentence, with the command that installs it."""
    program = (
        "import sys; sys.modules['cyclopts'] = None; "
        "from instantly_async.cli import main; sys.exit(main())"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"pip install 'instantly-async[cli]'" in result.stderr
    assert result.stderr.count(b"\n") == 1


def test_another_missing_module_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "instantly_async.cli.app", None)
    with pytest.raises(ModuleNotFoundError):
        main()


@pytest.mark.parametrize(
    ("closed", "arguments", "code"),
    [("<&-", "fetch", 2), (">&-", "fetch /dev/null", 2), (">&-", "ids", 2), ("2>&-", "get x", 2)],
)
def test_a_standard_stream_that_is_closed(closed: str, arguments: str, code: int) -> None:
    """The next file or socket gets its descriptor; messages must not be written there."""
    line = f"exec {sys.executable} -m instantly_async.cli {arguments} {closed}"
    result = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False)
    assert result.returncode == code
    assert b"Traceback" not in result.stderr
    assert result.stdout == b""


# --- ids, serve, demo --------------------------------------------------------------------


def test_ids_can_be_fetched(command: Command) -> None:
    result = command("ids", "--count", "3")
    assert result == (0, "".join(f"{each}\n" for each in lead_ids(3)).encode(), "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serve_prints_how_to_reach_it_and_ends_with_a_signal(
    command: Command, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    process = subprocess.Popen(
        [*MODULE, "serve", "--port", "0", "--latency-ms", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        exports = [process.stdout.readline().decode() for _ in range(2)]
        for line in exports:
            name, _, value = line.removeprefix("export ").strip().partition("=")
            monkeypatch.setenv(name, value)
        assert command("get", IDS[0]).code == 0
        process.send_signal(number)
        assert process.stdout.read() == b""
        assert process.stderr.read().decode().startswith("The fake API is running")
    assert process.returncode == 0


def test_serve_on_a_port_in_use(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = command("serve", "--port", port)
    assert (result.code, result.out) == (2, b"")
    assert result.err.endswith("; choose another --port.\n")


def test_demo(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no key, and writes the leads to the output."""
    monkeypatch.delenv("INSTANTLY_API_KEY")
    output = tmp_path / "leads.jsonl"
    result = command("demo", "--count", "20", "--latency-ms", "5", "-o", output)
    assert (result.code, result.out) == (0, b"")
    assert ids_in(output.read_bytes()) == list(lead_ids(20))
    assert re.search(r"^found +20$", result.err, re.MULTILINE)
    assert re.search(r"^requests +20 \(0 retries, 0 . 429\)$", result.err, re.MULTILINE)


def test_demo_without_output_prints_no_leads(command: Command) -> None:
    assert command("demo", "--count", "1", "--quiet") == (0, b"", "")


def test_demo_of_a_frozen_application(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its executable is the application, so no Python can be started."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert command("demo", "--count", "1", "--quiet") == (0, b"", "")


def test_demo_when_the_fake_does_not_start(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    result = command("demo")
    assert (result.code, result.err) == (5, "The fake API did not start; see above.\n")


def test_a_fake_process_that_hangs_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stubborn = tmp_path / "stubborn"
    stubborn.write_text("#!/bin/sh\necho export INSTANTLY_BASE_URL=http://x\nexec sleep 60\n")
    stubborn.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(stubborn))
    monkeypatch.setattr("instantly_async.cli.serve.STOP_S", 0.01)
    with fake_process() as url:
        assert url == "http://x"


# --- what is shown -----------------------------------------------------------------------


def test_an_invalid_id_that_is_not_from_a_file_is_shown() -> None:
    error = InvalidLeadIdError("The id is not a UUID")
    outcome = Failed(lead_id="x", index=0, error=error, attempts=0, elapsed_s=0)
    assert trouble(outcome) == "failed: x: The id is not a UUID (attempts: 0)"


def test_ids_that_are_done_do_not_hold_up_the_loop(tmp_path: Path) -> None:
    """None of them is yielded, so the source itself has to let other tasks run."""
    path, known = tmp_path / "ids", KnownIds()
    ids = list(lead_ids(20_000))
    path.write_text("\n".join(ids))
    for number in map(number_of, ids):
        assert number is not None
        known.add_done(number)
    passes = 0

    async def count_passes() -> None:
        nonlocal passes
        while True:
            passes += 1
            await asyncio.sleep(0)

    async def main() -> list[str]:
        other = asyncio.create_task(count_passes())
        found = await collect(source.ids())
        other.cancel()
        return found

    with open_source(str(path), None, None, known) as source:
        assert asyncio.run(main()) == []
    assert passes >= path.stat().st_size / CHUNK_BYTES
