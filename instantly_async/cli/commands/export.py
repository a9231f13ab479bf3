"""``export``: the leads of a campaign, of a list, or of the whole workspace."""

from typing import Annotated

from cyclopts import Parameter, validators

from instantly_async._api import wire_id
from instantly_async.cli import exits
from instantly_async.cli.exits import CommandError
from instantly_async.cli.groups import EXPORT
from instantly_async.cli.job import FetchJob, end, files_of, naming_for, run_fetch
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
from instantly_async.cli.output import PastListing, Query, Recovery
from instantly_async.cli.show import LISTING, plan_of_listing
from instantly_async.cli.system import STDIO
from instantly_async.cli.target import Target, target_of
from instantly_async.cli.usage import path_of
from instantly_async.cli.work import Listed

from .arguments import (
    DEFAULT_CONNECTION,
    DEFAULT_OUTPUT,
    DEFAULT_RESUME,
    Arguments,
    OutputFile,
    StatsFile,
    require_stdout,
    start,
)

CampaignId = Annotated[str | None, Parameter(name="--campaign", group=EXPORT)]
ListId = Annotated[str | None, Parameter(name="--list", group=EXPORT)]
Everything = Annotated[bool, Parameter(name="--all", negative=(), show_default=False, group=EXPORT)]
LeadLimit = Annotated[
    int | None, Parameter(name="--limit", validator=validators.Number(gte=1), group=EXPORT)
]


def export(
    *,
    campaign: CampaignId = None,
    list_id: ListId = None,
    everything: Everything = False,
    limit: LeadLimit = None,
    output: OutputFile = STDIO,
    options: OutputOptions = DEFAULT_OUTPUT,
    resuming: ResumeOptions = DEFAULT_RESUME,
    dry_run: Flag = False,
    stats_json: StatsFile = None,
    progress: ShownProgress = "auto",
    quiet: Quiet = False,
    connection: Connection = DEFAULT_CONNECTION,
    network: Network = DEFAULT_NETWORK,
    arguments: Arguments = (),
) -> int:
    """Export all leads of a campaign, a list or the workspace.

    Args:
        campaign: Id of a campaign.
        list_id: Id of a list.
        everything: All leads of the workspace.
        limit: Export at most so many leads; --resume exports the next ones.
        output: New file for the leads; - is stdout.
        options: Shared options.
        resuming: Shared options.
        dry_run: Print what a run would do, and send no request.
        stats_json: File for the summary as JSON; replaced if it exists.
        progress: auto, on (also with --quiet) or off.
        quiet: Hide progress and summary, and name no ids.
        connection: Shared options.
        network: Shared options.
        arguments: The command line.
    """
    terminal, target = start(connection.log_level), target_of(path_of(output), options)
    query = _query_of(campaign, list_id, connection.workspace, everything=everything)
    past = PastListing(query)
    target.require_other_than_stats(stats_json and path_of(stats_json))
    if dry_run:
        connection.rate_limit()
        recovery = target.read(past, resuming.how())
        require_stdout().write(_plan(past, target, recovery, resuming, limit) + "\n")
        return exits.ALL_FOUND
    client = connection.client(network)
    with target.open(past, resuming.how()) as out:
        job = FetchJob(
            client=client,
            work=Listed(past, limit=limit, from_first=resuming.retry_errors),
            output=out,
            terminal=terminal,
            target=target,
            naming=naming_for(target, terminal, quiet=quiet),
            make_line=target.make_line,
            quiet=quiet,
            progress=progress,
            limit=limit,
            resume_hint=target.how_to_resume(arguments, LISTING),
            retry_hint=target.how_to_retry(arguments, LISTING),
            hint=network.hint,
        )
        code = run_fetch(job)
    return end(job, code, stats_json)


def _query_of(
    campaign: str | None, list_id: str | None, workspace: str | None, *, everything: bool
) -> Query:
    """Return what is to be exported.

    Raises:
        CommandError: nothing, or several things; or an id is not a UUID.
    """
    given = (campaign is not None) + (list_id is not None) + everything
    if given != 1:
        count = "only one" if given else "one"
        raise CommandError(
            f"Name {count} of --campaign ID, --list ID and --all, as in: instantly-async export "
            "--campaign ID -o leads.jsonl."
        )
    return Query(
        campaign=_wire(campaign, "campaign"),
        list_id=_wire(list_id, "list"),
        all=everything,
        workspace=workspace,
    )


def _wire(given: str | None, what: str) -> str | None:
    wire = wire_id(given)
    if given is not None and wire is None:
        raise CommandError(
            f"--{what} needs the id of a {what}, which is a UUID, such as "
            "019a3f62-5400-7abc-8def-0123456789ab."
        )
    return wire


def _plan(
    past: PastListing,
    target: Target,
    recovery: Recovery | None,
    resuming: ResumeOptions,
    limit: int | None,
) -> str:
    behind = None if resuming.retry_errors else past.after
    there = None if recovery is None else (recovery.leads, recovery.failures)
    return plan_of_listing(past.query.describe(), files_of(target), there, behind, limit)
