"""``fetch``: many leads."""

from instantly_async.cli import exits
from instantly_async.cli.exits import CommandError
from instantly_async.cli.input import open_source
from instantly_async.cli.invocation import program
from instantly_async.cli.job import FetchJob, end, naming_for, plan_only, run_fetch, survey
from instantly_async.cli.known import KnownIds
from instantly_async.cli.options import (
    DEFAULT_NETWORK,
    Connection,
    Flag,
    Network,
    OutputOptions,
    Quiet,
    ResumeOptions,
    ShownProgress,
)
from instantly_async.cli.output import PastEmails, PastIds
from instantly_async.cli.system import STDIO
from instantly_async.cli.target import target_of
from instantly_async.cli.usage import path_of
from instantly_async.cli.work import work_of

from .arguments import (
    DEFAULT_CONNECTION,
    DEFAULT_OUTPUT,
    DEFAULT_RESUME,
    AllowEmpty,
    Arguments,
    By,
    Column,
    File,
    LimitCount,
    OutputFile,
    ShownInputFormat,
    ShownStrategy,
    StatsFile,
    require_stdout,
    start,
)


def fetch(
    file: File = STDIO,
    /,
    *,
    output: OutputFile = STDIO,
    options: OutputOptions = DEFAULT_OUTPUT,
    resuming: ResumeOptions = DEFAULT_RESUME,
    dry_run: Flag = False,
    by: By = "id",
    input_format: ShownInputFormat | None = None,
    column: Column = None,
    limit: LimitCount = None,
    allow_empty: AllowEmpty = False,
    strategy: ShownStrategy = "get",
    stats_json: StatsFile = None,
    progress: ShownProgress = "auto",
    quiet: Quiet = False,
    connection: Connection = DEFAULT_CONNECTION,
    network: Network = DEFAULT_NETWORK,
    arguments: Arguments = (),
) -> int:
    """Fetch many leads into JSON Lines, CSV or Parquet.

    Args:
        file: File with ids or emails, of any usual format; - is stdin.
        output: New file for the leads; - is stdout.
        options: Shared options.
        resuming: Shared options.
        dry_run: Print what a run would do, and send no request.
        by: What the file holds: id or email.
        input_format: text, csv, tsv, json, jsonl or excel. Default: by FILE.
        column: Column or key with the ids or emails, or its number, from 1.
        limit: Fetch at most so many of them; --resume fetches the next ones.
        allow_empty: Accept an input without ids or emails.
        strategy: get: one id per request; list: 100 ids.
        stats_json: File for the summary as JSON; replaced if it exists.
        progress: auto, on (also with --quiet) or off.
        quiet: Hide progress and summary, and name no ids.
        connection: Shared options.
        network: Shared options.
        arguments: The command line.
    """
    terminal = start(connection.log_level)
    file, target, known = path_of(file), target_of(path_of(output), options), KnownIds()
    past = PastEmails(known, connection.workspace) if by == "email" else PastIds(known)
    client = None if dry_run else connection.client(network)
    naming = naming_for(target, terminal, quiet=quiet)
    with open_source(
        file, input_format, column, known, by=by, allow_empty=allow_empty, limit=limit
    ) as source:
        target.require_other_than(source)
        target.require_other_than_stats(stats_json and path_of(stats_json), source)
        if source.is_terminal:
            file_instead = f"To read a file: {program()} fetch FILE"
            terminal.say(f"Type or paste {by}s, one per line; end with Ctrl-D. {file_instead}")
        if client is None:
            target.read(past, resuming.how())
            _require_no_limit(past, limit)
            text = plan_only(source, terminal, naming, connection.rate_limit())
            require_stdout().write(text + "\n")
            return exits.ALL_FOUND
        with target.open(past, resuming.how()) as out:
            _require_no_limit(past, limit)
            if source.is_regular:
                survey(source, terminal, naming)
            is_stdin = file == STDIO
            work = work_of(source, past, strategy)
            job = FetchJob(
                client=client,
                work=work,
                output=out,
                terminal=terminal,
                target=target,
                naming=naming,
                make_line=target.make_line,
                quiet=quiet,
                progress=progress,
                limit=limit,
                resume_hint=target.how_to_resume(arguments, work.words, from_stdin=is_stdin),
                retry_hint=target.how_to_retry(arguments, work.words, from_stdin=is_stdin),
                hint=network.hint,
            )
            code = run_fetch(job)
    return end(job, code, stats_json)


def _require_no_limit(past: PastIds, limit: int | None) -> None:
    """Check that a run which searches all emails again is not cut: the next would search the same.

    Raises:
        CommandError: it is.
    """
    if limit is not None and past.heals_at_end and past.has_gaps:
        raise CommandError("--repair searches all emails again; leave out --limit.")
