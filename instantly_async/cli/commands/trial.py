"""Commands to try things out, without a key: ``demo``, ``serve``, ``ids``."""

from collections.abc import Iterable
from typing import Annotated

from cyclopts import Parameter, validators

from instantly_async.cli import exits, process
from instantly_async.cli.epilogues import after_demo
from instantly_async.cli.exits import CommandError
from instantly_async.cli.input import GivenIds
from instantly_async.cli.job import FetchJob, end, naming_for, run_fetch
from instantly_async.cli.known import KnownIds
from instantly_async.cli.options import (
    Connection,
    Quiet,
    ResumeOptions,
    ShownLogLevel,
    ShownProgress,
)
from instantly_async.cli.output import PastIds
from instantly_async.cli.serve import (
    DEFAULT_FAKE,
    DEFAULT_SERVED,
    FakeOptions,
    ServeOptions,
    fake_process,
    serve_fake,
)
from instantly_async.cli.target import Target, target_of
from instantly_async.cli.usage import path_of
from instantly_async.cli.work import ById
from instantly_async.testing import DEFAULT_API_KEY, campaign_ids, email_of, lead_ids, list_ids

from .arguments import (
    Arguments,
    Count,
    Force,
    OptionalOutputFile,
    ResumeFlag,
    ShownStrategy,
    StatsFile,
    require_stdout,
    start,
)

Instead = Annotated[bool, Parameter(negative=(), show_default=False)]
Port = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))]


def demo(
    *,
    count: Count = 500,
    strategy: ShownStrategy = "get",
    fake: FakeOptions = DEFAULT_FAKE,
    output: OptionalOutputFile = None,
    resume: ResumeFlag = False,
    force: Force = False,
    stats_json: StatsFile = None,
    progress: ShownProgress = "auto",
    quiet: Quiet = False,
    log_level: ShownLogLevel = "warning",
    arguments: Arguments = (),
) -> int:
    """Fetch invented leads from a fake API on this machine.

    The fake enforces Instantly's rate limits. No key and no network are needed.

    Args:
        count: How many leads.
        strategy: get: one lead per request; list: 100.
        fake: Shared options.
        output: New file for the leads; - is stdout. Default: none.
        resume: Resume an output that exists.
        force: Start again, and replace an output that exists.
        stats_json: File for the summary as JSON; replaced if it exists.
        progress: auto, on (also with --quiet) or off.
        quiet: Hide progress and summary, and name no ids.
        log_level: Log debug, info, warning or error.
        arguments: The command line.
    """
    terminal = start(log_level)
    target, known = _target(output), KnownIds()
    target.require_other_than_stats(stats_json and path_of(stats_json))
    with (
        target.open(PastIds(known), ResumeOptions(resume=resume, force=force).how()) as out,
        fake_process(fake) as url,
    ):
        job = FetchJob(
            client=Connection().client_of(DEFAULT_API_KEY, url),
            work=ById(GivenIds(tuple(lead_ids(count)), known), strategy),
            output=out,
            terminal=terminal,
            target=target,
            naming=naming_for(target, terminal, quiet=quiet),
            quiet=quiet,
            progress=progress,
            resume_hint=target.how_to_resume(arguments),
        )
        code = run_fetch(job)
    code = end(job, code, stats_json)
    is_done = job.step is None and code in {exits.ALL_FOUND, exits.INCOMPLETE}
    if is_done and terminal.is_terminal and not quiet:
        terminal.show(after_demo(strategy))
    return code


def _target(output: str | None) -> Target:
    return Target(None) if output is None else target_of(path_of(output), None)


def serve(
    *,
    port: Port = 8700,
    host: str = "127.0.0.1",
    fake: ServeOptions = DEFAULT_SERVED,
    as_child: Annotated[bool, Parameter(show=False, negative=())] = False,
) -> int:
    """Run a fake API on this machine, until Ctrl-C.

    It has a lead for every UUID, and enforces the rate limits.
    It prints two lines to paste into another shell, and its campaigns and lists.
    `instantly-async ids` prints ids and emails of its leads.

    Args:
        port: Port to listen on; 0 is any free port.
        host: 127.0.0.1, ::1 or localhost.
        fake: Shared options.
        as_child: End with stdin.
    """
    terminal = start("warning")
    job = serve_fake(host, port, fake, terminal, as_child=as_child)
    code = process.run(job, terminal)
    return exits.ALL_FOUND if code > exits.SIGNAL_BASE else code  # a signal is how it ends


def ids(
    *,
    count: Count = 1000,
    emails: Instead = False,
    campaigns: Instead = False,
    lists: Instead = False,
) -> int:
    """Print ids or emails of invented leads, for `serve`.

    Args:
        count: How many.
        emails: Print the emails of these leads.
        campaigns: Print the ids of the campaigns.
        lists: Print the ids of the lists.
    """
    kinds: dict[str, tuple[bool, Iterable[str]]] = {
        "--emails": (emails, map(email_of, lead_ids(count))),
        "--campaigns": (campaigns, campaign_ids()[:count]),
        "--lists": (lists, list_ids()[:count]),
    }
    given = [option for option, (is_given, _) in kinds.items() if is_given]
    if len(given) > 1:
        raise CommandError(f"Use {given[0]} or {given[1]}, not both.")
    lines = kinds[given[0]][1] if given else lead_ids(count)
    require_stdout().writelines(f"{line}\n" for line in lines)
    return exits.ALL_FOUND
