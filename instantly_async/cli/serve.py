"""The fake API for ``serve`` and ``demo``: in this process, or in a child process."""

import asyncio
import contextlib
import ipaddress
import os
import re
import subprocess
import sys
from collections.abc import Iterator

from instantly_async.settings import API_KEY_VARIABLE, BASE_URL_VARIABLE
from instantly_async.testing import DEFAULT_API_KEY, FakeInstantly

from . import exits
from .exits import CommandError
from .keys import without_keys
from .system import reason_of, until_readable
from .terminal import Terminal


class StartError(CommandError):
    """The system does not let the fake API start."""

    code = exits.GAVE_UP


STOP_S = 5.0
"""Seconds that the fake's process may take to end (*choice*)."""

_URL = re.compile(rf"export {BASE_URL_VARIABLE}=(\S+)")


async def serve_fake(
    host: str, port: int, latency_s: float, terminal: Terminal, *, as_child: bool
) -> int:
    """Run the fake API until cancelled, ``as_child`` until stdin ends; print how to reach it.

    Raises:
        CommandError: it cannot listen there.
    """
    _require_loopback(host)
    async with contextlib.AsyncExitStack() as stack:
        fake = FakeInstantly(host=host, port=port, latency_s=latency_s)
        try:
            await stack.enter_async_context(fake)
        except (OSError, OverflowError) as error:
            raise CommandError(
                f"The fake API cannot listen on {host}, port {port}: {reason_of(error)}; choose "
                "another --port."
            ) from None
        if not as_child:
            terminal.say("The fake API is running; Ctrl-C ends it. Paste into another shell:")
        print(_exports(fake.url), flush=True)  # noqa: T201 - stdout is for this
        if as_child:
            await until_readable(0)  # nothing is written to it, so this is its end
        else:
            await asyncio.Event().wait()
    return exits.ALL_FOUND


def _exports(url: str) -> str:
    return f"export {BASE_URL_VARIABLE}={url}\nexport {API_KEY_VARIABLE}={DEFAULT_API_KEY}"


def _require_loopback(host: str) -> None:
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise CommandError(
            f"{host} is not this machine; use 127.0.0.1, ::1 or localhost as --host."
        )


@contextlib.contextmanager
def fake_process(latency_s: float) -> Iterator[str]:
    """Run the fake API in a child process, and yield its URL.

    The process ends with the block. It also ends if this process is killed, because its stdin ends
    then. Signals of the terminal do not reach it, so that a run can be stopped cleanly. Where no
    Python can be started like this, as in a frozen application, it runs in a thread.

    Raises:
        StartError: it did not start.
    """
    if not _can_start_python():
        with FakeInstantly(latency_s=latency_s) as fake:
            yield fake.url
        return
    process = _start(latency_s)
    stdin, stdout = process.stdin, process.stdout
    with process:
        try:
            match = _URL.match(stdout.readline().decode()) if stdout else None
            if match is None:
                raise StartError("The fake API did not start; see above.")
            yield match[1]
        finally:
            if stdin is not None:
                stdin.close()
            _await_end(process)


def _can_start_python() -> bool:
    return bool(sys.executable) and os.name == "posix" and not hasattr(sys, "frozen")


def _start(latency_s: float) -> "subprocess.Popen[bytes]":
    # This path, because the package may come from an archive, or from a folder that was added.
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; from instantly_async.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "serve", "--port", "0"]
    options = [f"--latency-ms={latency_s * 1000}", "--as-child"]
    return subprocess.Popen(  # noqa: S603 - our own command
        command + options,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=without_keys(os.environ),
        start_new_session=True,
    )


def _await_end(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
