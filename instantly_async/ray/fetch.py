"""``FetchLeads``, which Ray Data calls with batches of ids, and gets tables of leads back."""

import asyncio
import contextlib
import gc
import sys
from collections.abc import AsyncIterator
from typing import Any

from instantly_async._reprs import cut_repr
from instantly_async.errors import ConfigurationError, RunError
from instantly_async.settings import (
    API_KEY_VARIABLE,
    DEFAULT_CONCURRENCY,
    RateLimit,
    RetryPolicy,
    Strategy,
    Timeouts,
    check_type,
)
from instantly_async.streams import LeadStream

from .batches import read_batch
from .clients import Clients, KeyOf
from .rows import COLUMNS, LeadRow, RowCollector, RowMaker

MOST_WORKSPACES = 16
"""Workspaces of one batch that are fetched at once (*choice*): each has connections of its own."""


class FetchLeads:
    """Fetches the leads of each batch of ids, for ``ray.data.Dataset.map_batches``.

    One row comes back for each row that goes in, in the same order: the columns of the command's
    Parquet files, then ``outcome`` (``found``, ``not_found`` or ``failed``), ``error``, and the
    workspace, if there is a column of them. A row that is not ``found`` has the id as it was
    given, and nulls.

    Use it with ``batch_format="pyarrow"``, and a ``batch_size`` of some thousands. Memory: a batch.
    ``fn_constructor_kwargs`` are these arguments:

    Args:
        id_column: the column with the ids.
        workspace_column: the column with the workspaces. ``None``: all leads are in that of the
            key, as are those whose workspace is null.
        as_workspace: the workspaces are ids, and sent in the header ``x-as-workspace``, as an
            admin key needs it. ``False``: each workspace has a key of its own, and may have any
            name in the column.
        api_key: a function from the workspace to its key, called on the worker for each batch;
            ``None``: the worker's environment variable ``INSTANTLY_API_KEY``. Never the key itself,
            because Ray stores arguments, and may show them.
        limit: of each workspace, for all processes of the cluster. ``None``: none, for servers of
            your own.
        strategy: as in ``InstantlyClient.stream_leads``, and so is ``confirm_missing``.
        base_url: as in ``InstantlyClient``, and so are ``retry``, ``timeouts`` and ``concurrency``
            (for each workspace of a batch).

    A ``RunError``, which concerns all leads of a workspace, fails the job.

    Raises:
        ConfigurationError: a value is invalid, or pyarrow is not installed.
    """

    def __init__(
        self,
        *,
        id_column: str = "id",
        workspace_column: str | None = None,
        as_workspace: bool = True,
        api_key: KeyOf | None = None,
        limit: RateLimit | None = RateLimit(),
        strategy: Strategy = "get",
        confirm_missing: bool = True,
        base_url: str | None = None,
        retry: RetryPolicy = RetryPolicy(),
        timeouts: Timeouts = Timeouts(),
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> None:
        if api_key is not None and not callable(api_key):
            api_key = None  # tracebacks show locals
            raise ConfigurationError(
                "api_key must be a function that returns the key, because Ray stores arguments, "
                f"and may show them; or leave it out and set {API_KEY_VARIABLE} on the workers."
            )
        if not as_workspace and (api_key is None or workspace_column is None):
            raise ConfigurationError(
                "as_workspace=False needs workspace_column=…, and a function api_key=… that "
                "returns the key of each workspace."
            )
        if workspace_column in {*COLUMNS, id_column}:
            raise ConfigurationError(
                f"workspace_column may not be {cut_repr(workspace_column)}, which is a column of "
                "its own in the result or holds the ids; rename it."
            )
        check_type("limit", limit, RateLimit, optional=True)
        self._columns = id_column, workspace_column
        self._options: dict[str, Any] = {"strategy": strategy, "confirm_missing": confirm_missing}
        settings = {
            "base_url": base_url,
            "retry": retry,
            "timeouts": timeouts,
            "concurrency": concurrency,
            "lead_type": LeadRow,
        }
        # Nobody tells an actor of Ray Data that it ends, so no client is kept.
        self._clients = Clients(api_key, limit, settings, as_workspace=as_workspace)
        self._rows = RowMaker(workspace_column)
        _spare_the_collector()

    async def __call__(self, batch: Any) -> Any:
        """Return a ``pyarrow.Table`` with the outcomes of a batch, which is one of ids.

        Raises:
            RunError: nothing can be fetched, because of the key, the plan or the service.
            ConfigurationError: the key, a setting or the batch is not usable.
        """
        ids = read_batch(batch, *self._columns)
        rows = RowCollector(self._rows, ids.workspaces)
        gate = asyncio.Semaphore(MOST_WORKSPACES)

        async def fetch(workspace: str | None, places: list[int]) -> None:
            lead_ids = [ids.lead_ids[row] for row in places]
            async with gate, self._outcomes_of(workspace, lead_ids) as outcomes:
                async for outcome in outcomes:
                    rows.add(places[outcome.index], outcome)

        try:
            async with asyncio.TaskGroup() as group:
                for workspace, places in ids.places.items():
                    group.create_task(fetch(workspace, places))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        # Arrow copies all rows to their places, and holds no lock meanwhile.
        return await asyncio.to_thread(rows.table)

    @contextlib.asynccontextmanager
    async def _outcomes_of(
        self, workspace: str | None, lead_ids: list[Any]
    ) -> AsyncIterator[LeadStream[Any]]:
        client = await self._clients.make(workspace)
        try:
            async with client, client.stream_leads(lead_ids, **self._options) as stream:
                yield stream
        except RunError as error:
            if workspace is not None:
                error.add_note(f"It was in the workspace {cut_repr(workspace)}.")
            raise


def _spare_the_collector() -> None:
    """In an actor, do not let the garbage collector look through all of Ray again and again.

    It took a tenth of the CPU time, and nothing could be sent meanwhile.
    """
    ray: Any = sys.modules.get("ray")
    if ray and ray.is_initialized() and ray.get_runtime_context().get_actor_id():
        gc.freeze()
