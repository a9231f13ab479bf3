"""The command on systems that lack what Linux has: macOS, Windows; and with few descriptors.

Their names are taken out of the standard library, in another process, before anything is imported.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import IDS, MODULE, ids_in, wait_until

from instantly_async.testing import FakeInstantly, lead_ids

pytestmark = [
    pytest.mark.fake_instantly(rate_limit=None),
    pytest.mark.usefixtures("environment"),
]

WITHOUT = """
import importlib, sys
def without(modules):
    for name, names in modules.items():
        module = importlib.import_module(name)
        for each in names.split():
            if hasattr(module, each):
                delattr(module, each)
"""

MACOS = """
without({
    "os": "fdatasync posix_fallocate posix_fadvise pidfd_open sched_getaffinity sched_setaffinity "
          "memfd_create eventfd splice copy_file_range getrandom setresuid setresgid getresuid "
          "getresgid getxattr setxattr listxattr removexattr unshare setns O_TMPFILE O_PATH "
          "O_DIRECT O_LARGEFILE O_NOATIME O_RSYNC SPLICE_F_MOVE RWF_SYNC",
    "fcntl": "F_GETPIPE_SZ F_SETPIPE_SZ F_ADD_SEALS F_GET_SEALS F_NOTIFY F_SETSIG F_GETSIG "
             "F_OFD_SETLK",
    "signal": "SIGPOLL SIGPWR SIGSTKFLT SIGCLD SIGRTMIN SIGRTMAX sigwaitinfo sigtimedwait "
              "pidfd_send_signal",
    "socket": "SO_BINDTODEVICE SO_MARK SO_INCOMING_CPU SO_PRIORITY SO_PEERCRED SOCK_CLOEXEC "
              "SOCK_NONBLOCK TCP_USER_TIMEOUT TCP_QUICKACK TCP_CORK TCP_DEFER_ACCEPT TCP_KEEPIDLE "
              "AF_NETLINK AF_PACKET AF_VSOCK MSG_NOSIGNAL",
    "select": "epoll EPOLLIN",
    "resource": "prlimit RLIMIT_OFILE RLIMIT_NICE RLIMIT_SIGPENDING",
})
import os
os.process_cpu_count = os.cpu_count  # of Python 3.13, which has looked for sched_getaffinity before
sys.modules["uvloop"] = None
import selectors
selectors.DefaultSelector = selectors.PollSelector
"""
"""Not there: what only Linux has. kqueue, which macOS has instead, cannot be added."""

WINDOWS = """
for each in ("fcntl", "termios", "tty", "pty", "resource", "pwd", "grp", "syslog", "uvloop"):
    sys.modules[each] = None
import asyncio  # whose loops for Unix are used here, and need some of the names
without({
    "os": "getuid geteuid getgid getegid fchmod fchown chown mkfifo fdatasync pread pwrite "
          "set_blocking posix_fallocate posix_fadvise sched_getaffinity getpgid getpgrp setsid "
          "killpg fork forkpty O_NOFOLLOW O_CLOEXEC O_NONBLOCK O_DIRECTORY O_SYNC O_DSYNC",
    "signal": "SIGHUP SIGUSR1 SIGUSR2 SIGQUIT SIGPIPE SIGALRM SIGKILL SIGWINCH SIGTSTP SIGCONT "
              "pthread_sigmask pthread_kill sigwait setitimer alarm",
})
def absent(*_):
    raise NotImplementedError
for each in ("add_signal_handler", "remove_signal_handler", "add_reader", "add_writer"):
    setattr(asyncio.SelectorEventLoop, each, absent)
"""

RUN = """
import json
from instantly_async.cli import main
codes = []
for arguments in json.loads(sys.stdin.readline()):
    sys.argv = ["instantly-async", *arguments]
    codes.append(main())
print(json.dumps(codes), file=sys.stderr)
"""


def run_all(system: str, commands: Sequence[Sequence[str]]) -> tuple[list[int], bytes, list[str]]:
    """Run commands one after another in one process; return their codes, stdout, and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + system + RUN],
        input=json.dumps(commands).encode() + b"\n",
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    *said, codes = done.stderr.decode().splitlines()
    return json.loads(codes), done.stdout, said


def test_on_macos_everything_works(ids_file: Path, tmp_path: Path) -> None:
    """Each command ends with 0, with all leads."""
    table, journal = tmp_path / "leads.csv", tmp_path / "leads.csv.jsonl"
    again, whole = tmp_path / "again.csv", tmp_path / "demo.jsonl"
    stats = tmp_path / "stats.json"
    fetch = ["fetch", str(ids_file), "-o", str(table), "--stats-json", str(stats), "--quiet"]
    codes, out, said = run_all(
        MACOS,
        [
            fetch,
            [*fetch, "--resume"],
            ["convert", str(journal), str(again)],
            ["check"],
            ["get", IDS[0]],
            ["demo", "--count", "5", "--latency-ms", "0", "-o", str(whole), "--quiet"],
        ],
    )
    assert codes == [0] * 6, said
    assert ids_in(journal.read_bytes()) == IDS
    assert len(table.read_text().splitlines()) == 1 + len(IDS)
    assert again.read_bytes() == table.read_bytes()
    assert len(ids_in(whole.read_bytes())) == 5
    assert json.loads(stats.read_bytes())["already_done"] == len(IDS)
    assert out.startswith(b"The key works: ")


def test_on_windows_all_works_that_writes_no_file(ids_file: Path, tmp_path: Path) -> None:
    """Where a file would be written, one sentence says what to do instead, before any request."""
    lines, table = tmp_path / "leads.jsonl", tmp_path / "leads.csv"
    codes, out, said = run_all(
        WINDOWS,
        [
            ["--version"],
            ["--help"],
            ["ids", "--count", "1"],
            ["check"],
            ["get", IDS[0]],
            ["fetch", str(ids_file), "--quiet"],
            ["demo", "--count", "1", "--latency-ms", "0", "--quiet"],
            ["fetch", str(ids_file), "-o", str(lines)],
            ["fetch", str(ids_file), "-o", str(lines), "--resume"],
            ["fetch", str(ids_file), "-o", str(table)],
            ["fetch", str(ids_file), "--stats-json", str(lines)],
            ["convert", str(ids_file), str(table)],
        ],
    )
    assert codes == [0] * 7 + [2] * 5, said
    assert ids_in(b"".join(out.splitlines(keepends=True)[-len(IDS) - 1 :])) == sorted(
        [*IDS, IDS[0]]
    )
    assert said == [
        f"{path} cannot be written, because this system (Windows) lacks the file locks for it; "
        "run the command in WSL, or use the library from Python."
        for path in (lines, lines, table, lines, table)
    ]
    assert list(tmp_path.iterdir()) == [ids_file]


def test_on_windows_a_signal_ends_a_run_as_elsewhere(
    ids_file: Path, fake_instantly: FakeInstantly
) -> None:
    """Its event loop handles no signals."""
    fake_instantly.latency_s = 60
    command = json.dumps([["fetch", str(ids_file)]]).encode() + b"\n"
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT + WINDOWS + RUN],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        process.stdin.write(command)
        process.stdin.flush()
        wait_until(lambda: bool(fake_instantly.requests) or process.poll() is not None)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"Stopping")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130


def test_too_few_descriptors_cost_no_id(
    ids_file: Path, tmp_path: Path, fake_instantly: FakeInstantly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are opened at once, and take what the errors file and the folder would need later."""
    ids = list(lead_ids(60))
    ids_file.write_text("\n".join(ids))
    fake_instantly.unknown = set(ids[:3])
    fake_instantly.latency_s = 0.02
    monkeypatch.setenv("INSTANTLY_BASE_URL", fake_instantly.url.replace("127.0.0.1", "localhost"))
    output, stats = tmp_path / "leads.csv", tmp_path / "stats.json"
    line = ["fetch", str(ids_file), "-o", str(output), "--stats-json", str(stats)]
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -n 32; exec "$@"', "sh", *MODULE, *line, "--concurrency", "100"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3, done.stderr.decode()
    assert done.stderr.count(b"ulimit -n") == 1
    assert len(fake_instantly.requests) == len(ids)
    assert ids_in(Path(f"{output}.jsonl").read_bytes()) == sorted(ids[3:])
    assert len(Path(f"{output}.errors.jsonl").read_bytes().splitlines()) == 3
    assert len(output.read_bytes().splitlines()) == 1 + len(ids) - 3
    assert json.loads(stats.read_bytes())["retries"] == 0


def test_without_descriptors_for_an_event_loop(ids_file: Path, tmp_path: Path) -> None:
    """One sentence; uvloop would abort. The output, which is empty, is not left behind."""
    output = tmp_path / "leads.jsonl"
    line = [*MODULE, "fetch", str(ids_file), "-o", str(output)]
    shell = ["/bin/sh", "-c", 'ulimit -n 12; exec "$@"', "sh"]
    done = subprocess.run([*shell, *line], capture_output=True, check=False, timeout=60)
    assert done.returncode == 5
    assert done.stderr == (
        b"This process may not open enough files (Too many open files); raise the limit with "
        b"ulimit -n.\n"
    )
    assert not output.exists()
