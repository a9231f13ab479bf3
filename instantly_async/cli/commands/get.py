"""``get``: a few leads. ``check``: whether the key works."""

import os
import sys
from typing import Annotated

from cyclopts import Parameter

from instantly_async._api import wire_id
from instantly_async.cli import process
from instantly_async.cli.check import check_key
from instantly_async.cli.convert import parse_fields
from instantly_async.cli.exits import CommandError
from instantly_async.cli.groups import OUTPUT
from instantly_async.cli.input import GivenIds
from instantly_async.cli.job import FetchJob, run_fetch
from instantly_async.cli.options import (
    DEFAULT_NETWORK,
    Connection,
    MaxLeadBytes,
    Network,
    Patience,
    ShownLogLevel,
    Workspace,
    base_url,
)
from instantly_async.cli.output import Stdout
from instantly_async.cli.pretty import to_pretty
from instantly_async.cli.records import Selection, to_line
from instantly_async.cli.telemetry import exporting
from instantly_async.cli.work import ById
from instantly_async.settings import DEFAULT_MAX_LEAD_BYTES

from .arguments import require_stdout, start

LeadIds = Annotated[list[str], Parameter(name="ID", negative=())]


def get(
    lead_ids: LeadIds,
    /,
    *,
    fields: Annotated[str | None, Parameter(group=OUTPUT)] = None,
    workspace: Workspace = None,
    patience: Patience = 10.0,
    max_lead_bytes: MaxLeadBytes = DEFAULT_MAX_LEAD_BYTES,
    network: Network = DEFAULT_NETWORK,
    log_level: ShownLogLevel = "warning",
) -> int:
    """Print leads as JSON: one per line, indented on a terminal.

    Args:
        lead_ids: One or more lead ids (UUIDs).
        fields: Fields in order, like id,email,payload.company. Default: all.
        workspace: Id of the sub-workspace that an admin key acts on.
        patience: Seconds to wait for an outage to end.
        max_lead_bytes: Cap on the JSON of one lead.
        network: Shared options.
        log_level: Log debug, info, warning or error.
    """
    terminal = start(log_level)
    ids = _distinct(lead_ids)
    make_line = to_line if fields is None else Selection(parse_fields(fields)).cut
    is_terminal = sys.stdout is not None and os.isatty(1)
    options = Connection(workspace=workspace, patience=patience, max_lead_bytes=max_lead_bytes)
    job = FetchJob(
        client=options.client(network),
        work=ById(GivenIds(ids), ordered=True),
        output=Stdout(),
        terminal=terminal,
        make_line=(lambda raw: to_pretty(make_line(raw))) if is_terminal else make_line,
        quiet=True,
        hint=network.hint,
    )
    return run_fetch(job)


def _distinct(lead_ids: list[str]) -> list[str]:
    """Return the ids in their order, each one once.

    Raises:
        CommandError: one is not a UUID. It is not shown, because it may be something else.
    """
    distinct: dict[str, str] = {}
    for number, lead_id in enumerate(lead_ids, 1):
        wire = wire_id(lead_id)
        if wire is None:
            which = f"; argument {number} is not one" if len(lead_ids) > 1 else ""
            raise CommandError(
                f"A lead id is a UUID, such as 019a3f62-5400-7abc-8def-0123456789ab{which}."
            )
        distinct.setdefault(wire, lead_id)
    return list(distinct.values())


def check(
    *,
    workspace: Workspace = None,
    patience: Patience = 10.0,
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
    terminal, stdout = start(log_level), require_stdout()
    client = Connection(workspace=workspace, patience=patience).client(network)
    with exporting(client):
        return process.run(check_key(client, base_url(), stdout, network.hint), terminal)
