"""The command line: each command builds its parts and runs them."""

import sys
from collections.abc import Sequence
from typing import Annotated, TextIO

from cyclopts import App, CycloptsError, Parameter, validators

from instantly_async import __version__
from instantly_async._api import wire_id
from instantly_async.settings import API_KEY_VARIABLE, DEFAULT_MAX_LEAD_BYTES, Strategy
from instantly_async.testing import DEFAULT_API_KEY, lead_ids

from . import exits, process
from .check import check_key
from .exits import CommandError
from .fetch import FetchJob, end, plan_only, run_fetch, survey
from .input import GivenIds, InputFormat, open_source
from .known import KnownIds
from .options import (
    BASE_URL_VARIABLE,
    DEFAULT_NETWORK,
    Connection,
    Flag,
    Network,
    OutputOptions,
    ResumeOptions,
    ShownLogLevel,
    base_url,
)
from .output import Resume, Stdout
from .serve import fake_process, serve_fake
from .system import STDIO
from .target import Target, convert_visibly, target_of, writer_of
from .terminal import LogLevel, QuietConsole, Terminal, discard, log_to
from .usage import path_of, sentence_of

app = App(
    name="instantly-async",
    help=(
        "Fetch Instantly leads by id, within the workspace's rate limits.\n\n"
        f"The API key is read from {API_KEY_VARIABLE}, never from an argument.\n"
        f"{BASE_URL_VARIABLE} selects a server other than Instantly's."
    ),
    version=__version__,
    help_format="plaintext",
    help_formatter="plain",
)

_File = Annotated[str, Parameter(allow_leading_hyphen=True)]  # "-" is not an option
_Output = Annotated[str, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)]
_OptionalOutput = Annotated[
    str | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)
]
_OptionalFile = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
_Count = Annotated[int, Parameter(validator=validators.Number(gte=1))]
_Port = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))]
_Milliseconds = Annotated[float, Parameter(validator=validators.Number(gte=0, lte=60_000))]
_Strategy = Annotated[Strategy, Parameter(show_choices=False)]
_InputFormat = Annotated[InputFormat, Parameter(show_choices=False)]
_Arguments = Annotated[Sequence[str], Parameter(parse=False)]  # the whole command line

_DEFAULT_CONNECTION, _DEFAULT_OUTPUT, _DEFAULT_RESUME = (
    Connection(),
    OutputOptions(),
    ResumeOptions(),
)


@app.command
def get(
    lead_id: str,
    /,
    *,
    workspace: str | None = None,
    patience: float = 10.0,
    max_lead_bytes: int = DEFAULT_MAX_LEAD_BYTES,
    network: Network = DEFAULT_NETWORK,
    log_level: ShownLogLevel = "warning",
) -> int:
    """Print one lead as JSON.

    Args:
        lead_id: The lead's id, a UUID.
        workspace: Id of the sub-workspace that an admin key acts on.
        patience: Seconds to wait for an outage to end.
        max_lead_bytes: Cap on the lead's JSON.
        network: Shared options.
        log_level: Log debug, info, warning or error.
    """
    terminal = _start(log_level)
    if wire_id(lead_id) is None:
        raise CommandError("A lead id is a UUID, such as 019a3f62-5400-7abc-8def-0123456789ab.")
    options = Connection(workspace=workspace, patience=patience, max_lead_bytes=max_lead_bytes)
    job = FetchJob(
        client=options.client(network),
        source=GivenIds([lead_id]),
        output=Stdout(),
        terminal=terminal,
        quiet=True,
        hint=network.hint,
    )
    return run_fetch(job)


@app.command
def check(
    *,
    workspace: str | None = None,
    patience: float = 10.0,
    network: Network = DEFAULT_NETWORK,
    log_level: ShownLogLevel = "warning",
) -> int:
    """Check whether the API key works, by one request.

    Args:
        workspace: Id of the sub-workspace that an admin key acts on.
        patience: Seconds to keep trying.
        network: Shared options.
        log_level: Log debug, info, warning or error.
    """
    terminal, stdout = _start(log_level), _require_stdout()
    client = Connection(workspace=workspace, patience=patience).client(network)
    return process.run(check_key(client, base_url(), stdout, network.hint), terminal)


@app.command
def fetch(
    file: _File = STDIO,
    /,
    *,
    output: _Output = STDIO,
    options: OutputOptions = _DEFAULT_OUTPUT,
    resuming: ResumeOptions = _DEFAULT_RESUME,
    dry_run: Flag = False,
    input_format: _InputFormat | None = None,
    column: str | None = None,
    strategy: _Strategy = "get",
    stats_json: _OptionalFile = None,
    quiet: Flag = False,
    connection: Connection = _DEFAULT_CONNECTION,
    network: Network = DEFAULT_NETWORK,
    arguments: _Arguments = (),
) -> int:
    """Fetch many leads: JSON Lines as they complete, CSV or Parquet at the end.

    Args:
        file: File with lead ids; - is stdin.
        output: New file for the leads; - is stdout.
        options: Shared options.
        resuming: Shared options.
        dry_run: Print what a run would do, and send no request.
        input_format: text, csv, tsv or jsonl. Default: by FILE's suffix.
        column: CSV column with the ids. Default: id or lead_id.
        strategy: get: one lead per request; list: 100.
        stats_json: File for the summary as JSON; replaced if it exists.
        quiet: Hide progress and summary.
        connection: Shared options.
        network: Shared options.
        arguments: The command line.
    """
    terminal = _start(connection.log_level)
    file, target, known = path_of(file), target_of(path_of(output), options), KnownIds()
    client = None if dry_run else connection.client(network)
    with open_source(file, input_format, column, known) as source:
        target.require_other_than(source)
        target.require_other_than_stats(stats_json and path_of(stats_json), source)
        if client is None:
            target.read(known, resuming.how())
            text = plan_only(source, terminal, connection.rate_limit())
            _require_stdout().write(text + "\n")
            return exits.ALL_FOUND
        with target.open(known, resuming.how()) as out:
            if source.is_regular:
                survey(source, terminal)
            job = FetchJob(
                client=client,
                source=source,
                output=out,
                terminal=terminal,
                make_line=target.make_line,
                strategy=strategy,
                quiet=quiet,
                resume_hint=target.how_to_resume(arguments, from_stdin=file == STDIO),
                hint=network.hint,
            )
            code = run_fetch(job)
    return end(job, target, code, stats_json)


@app.command
def convert(
    leads: _File,
    output: _File,
    /,
    *,
    options: OutputOptions = _DEFAULT_OUTPUT,
    force: Flag = False,
    quiet: Flag = False,
) -> int:
    """Convert leads to CSV, Parquet or JSON Lines, completely or not at all.

    Args:
        leads: JSON Lines that `fetch` wrote; - is stdin.
        output: New file, named .jsonl, .csv or .parquet.
        options: Shared options.
        force: Replace an existing file.
        quiet: Hide progress.
    """
    terminal = _start("warning")
    leads, output = path_of(leads), path_of(output)
    writer = writer_of(output, options)
    convert_visibly(leads, output, writer, terminal, quiet=quiet, force=force)
    return exits.ALL_FOUND


@app.command
def demo(
    *,
    count: _Count = 500,
    strategy: _Strategy = "get",
    latency_ms: _Milliseconds = 50.0,
    output: _OptionalOutput = None,
    resume: Flag = False,
    stats_json: _OptionalFile = None,
    quiet: Flag = False,
    log_level: ShownLogLevel = "warning",
    arguments: _Arguments = (),
) -> int:
    """Fetch invented leads from a fake API on this machine.

    The fake enforces Instantly's rate limits. No key and no network are needed.

    Args:
        count: How many leads.
        strategy: get: one lead per request; list: 100.
        latency_ms: Milliseconds until each answer.
        output: New file for the leads; - is stdout. Default: none.
        resume: Resume an output that exists.
        stats_json: File for the summary as JSON; replaced if it exists.
        quiet: Hide progress and summary.
        log_level: Log debug, info, warning or error.
        arguments: The command line.
    """
    terminal = _start(log_level)
    target, known = Target(None if output is None else path_of(output)), KnownIds()
    target.require_other_than_stats(stats_json and path_of(stats_json))
    with (
        target.open(known, Resume() if resume else None) as out,
        fake_process(latency_ms / 1000) as url,
    ):
        job = FetchJob(
            client=Connection().client_of(DEFAULT_API_KEY, url),
            source=GivenIds(tuple(lead_ids(count)), known),
            output=out,
            terminal=terminal,
            strategy=strategy,
            quiet=quiet,
            resume_hint=target.how_to_resume(arguments, from_stdin=False),
        )
        code = run_fetch(job)
    return end(job, target, code, stats_json)


@app.command
def serve(
    *,
    port: _Port = 8700,
    host: str = "127.0.0.1",
    latency_ms: _Milliseconds = 50.0,
    as_child: Annotated[bool, Parameter(show=False, negative=())] = False,
) -> int:
    """Run a fake API on this machine, until Ctrl-C.

    It has a lead for every UUID, and enforces the rate limits. It prints two lines to
    paste into another shell; `instantly-async ids` prints lead ids.

    Args:
        port: Port to listen on; 0 is any free port.
        host: 127.0.0.1, ::1 or localhost.
        latency_ms: Milliseconds until each answer.
        as_child: End with stdin.
    """
    terminal = _start("warning")
    job = serve_fake(host, port, latency_ms / 1000, terminal, as_child=as_child)
    code = process.run(job, terminal)
    return exits.ALL_FOUND if code > exits.SIGNAL_BASE else code  # a signal is how it ends


@app.command
def ids(*, count: _Count = 1000) -> int:
    """Print ids of invented leads, for `serve`.

    Args:
        count: How many.
    """
    _require_stdout().writelines(f"{lead_id}\n" for lead_id in lead_ids(count))
    return exits.ALL_FOUND


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code. Foreseeable failures become a sentence."""
    try:
        command, bound, unparsed = app.parse_args(
            arguments, console=QuietConsole(), exit_on_error=False, print_error=False
        )
        if "arguments" in unparsed:  # of type _Arguments
            bound.arguments["arguments"] = arguments
        code = command(*bound.args, **bound.kwargs)
        if sys.stdout is not None:
            sys.stdout.flush()
    except (CommandError, CycloptsError) as error:
        Terminal().say(sentence_of(error) if isinstance(error, CycloptsError) else str(error))
        return error.code if isinstance(error, CommandError) else exits.USAGE
    except BrokenPipeError:  # ``ids | head -1``
        discard(1)
        return exits.ALL_FOUND
    return code or exits.ALL_FOUND


def _start(log_level: LogLevel) -> Terminal:
    terminal = Terminal()
    log_to(terminal, log_level)
    return terminal


def _require_stdout() -> TextIO:
    if sys.stdout is None:
        raise CommandError("stdout is closed; run the command with stdout open.")
    return sys.stdout
