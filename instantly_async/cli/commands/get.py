"""``get``: one lead. ``check``: whether the key works."""

from instantly_async._api import wire_id
from instantly_async.cli import process
from instantly_async.cli.check import check_key
from instantly_async.cli.exits import CommandError
from instantly_async.cli.input import GivenIds
from instantly_async.cli.job import FetchJob, run_fetch
from instantly_async.cli.options import (
    DEFAULT_NETWORK,
    Connection,
    Network,
    ShownLogLevel,
    base_url,
)
from instantly_async.cli.output import Stdout
from instantly_async.settings import DEFAULT_MAX_LEAD_BYTES

from .arguments import require_stdout, start


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
    terminal = start(log_level)
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
    terminal, stdout = start(log_level), require_stdout()
    client = Connection(workspace=workspace, patience=patience).client(network)
    return process.run(check_key(client, base_url(), stdout, network.hint), terminal)
