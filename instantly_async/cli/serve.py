"""The fake API for ``serve`` and ``demo``: in this process, or in a child process."""

import asyncio
import contextlib
import hashlib
import ipaddress
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter, validators

from instantly_async.settings import API_KEY_VARIABLE, BASE_URL_VARIABLE
from instantly_async.testing import DEFAULT_API_KEY, FakeInstantly, campaign_ids, list_ids

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


Milliseconds = Annotated[float, Parameter(validator=validators.Number(gte=0, lte=60_000))]
WorkspaceSize = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=10**9))]
Share = Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class FakeOptions:
    """Options of the fake API."""

    latency_ms: Milliseconds = 50.0
    """Milliseconds until each answer."""

    unknown: Share = 0.0
    """Share of ids without a lead, 0 to 1."""

    faults: Share = 0.0
    """Share of requests that fail, 0 to 1."""

    def make(self, host: str = "127.0.0.1", port: int = 0) -> FakeInstantly:
        """Make the fake, which is not started yet. Faults are the same each time (seeded)."""
        return FakeInstantly(
            host=host,
            port=port,
            latency_s=self.latency_ms / 1000,
            unknown=self.is_unknown if self.unknown else (),
            fault_rate=self.faults,
        )

    def is_unknown(self, lead_id: str) -> bool:
        """Whether there is no such lead: decided by the id alone, so always the same."""
        digest = hashlib.blake2b(lead_id.encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.unknown * 2**64

    def arguments(self) -> list[str]:
        """Return the options as they are on a command line."""
        return [
            f"--latency-ms={self.latency_ms}",
            f"--unknown={self.unknown}",
            f"--faults={self.faults}",
        ]


DEFAULT_FAKE = FakeOptions()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ServeOptions(FakeOptions):
    """Options of the fake API that a run by ids does not need."""

    leads: WorkspaceSize = 1000
    """Leads in the workspace: as many as `ids` prints."""

    slow_list_ms: Milliseconds | None = None
    """Milliseconds until each page. Default: --latency-ms."""

    ignore_filters: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Answer every list request with the whole workspace."""

    def make(self, host: str = "127.0.0.1", port: int = 0) -> FakeInstantly:
        fake = super().make(host, port)
        fake.workspace_size = self.leads
        fake.list_latency_s = None if self.slow_list_ms is None else self.slow_list_ms / 1000
        fake.list_ignores_filter = self.ignore_filters
        return fake

    def arguments(self) -> list[str]:
        slow = [] if self.slow_list_ms is None else [f"--slow-list-ms={self.slow_list_ms}"]
        ignore = ["--ignore-filters"] * self.ignore_filters
        return [*super().arguments(), f"--leads={self.leads}", *slow, *ignore]


DEFAULT_SERVED = ServeOptions()


async def serve_fake(
    host: str, port: int, options: FakeOptions, terminal: Terminal, *, as_child: bool
) -> int:
    """Run the fake API until cancelled, ``as_child`` until stdin ends; print how to reach it.

    Raises:
        CommandError: it cannot listen there.
    """
    _require_loopback(host)
    async with contextlib.AsyncExitStack() as stack:
        fake = options.make(host, port)
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
            _name_groups(fake, terminal)
            await asyncio.Event().wait()
    return exits.ALL_FOUND


def _exports(url: str) -> str:
    return f"export {BASE_URL_VARIABLE}={url}\nexport {API_KEY_VARIABLE}={DEFAULT_API_KEY}"


def _name_groups(fake: FakeInstantly, terminal: Terminal) -> None:
    """Print which campaigns and lists there are."""
    terminal.say(f"Its {fake.workspace_size:,} leads are in these campaigns and lists:")
    for kind, ids in (("campaign", campaign_ids()), ("list", list_ids())):
        for each in ids:
            terminal.say(f"  {kind:<8}  {each}")


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
def fake_process(options: FakeOptions = DEFAULT_FAKE) -> Iterator[str]:
    """Run the fake API in a child process, and yield its URL.

    The process ends with the block. It also ends if this process is killed, because its stdin ends
    then. Signals of the terminal do not reach it, so that a run can be stopped cleanly. Where no
    Python can be started like this, as in a frozen application, it runs in a thread.

    Raises:
        StartError: it did not start.
    """
    if not _can_start_python():
        with options.make() as fake:
            yield fake.url
        return
    process = _start(options)
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


def _start(options: FakeOptions) -> "subprocess.Popen[bytes]":
    # This path, because the package may come from an archive, or from a folder that was added.
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; from instantly_async.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "serve", "--port", "0"]
    return subprocess.Popen(  # noqa: S603 - our own command
        [*command, *options.arguments(), "--as-child"],
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
