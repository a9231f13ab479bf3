"""Makes the pipeline of a stream: by one of the two strategies, by emails, or of a listing."""

from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from instantly_async._api import MAX_IDS_PER_PAGE, Endpoints
from instantly_async._recorder import Recorder
from instantly_async.errors import ConfigurationError
from instantly_async.outcomes import EmailMatch, LeadId, Outcome
from instantly_async.settings import DEFAULT_LIST_CONCURRENCY, Strategy, check_concurrency

from .absence import WorkPlaces
from .by_email import MAX_EMAILS, EmailLookup
from .by_get import GetLookup
from .by_list import ListLookup
from .intake import ChunkIntake, Intake
from .listing import Listing
from .pipeline import Pipeline
from .workspace import Workspace

L = TypeVar("L")

MOST_AWAY = 2000
"""Ids of a stream that may wait for a retry without holding up the others (*choice*: 10 MB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailOptions:
    """The options of ``InstantlyClient.find_leads``.

    Raises:
        ConfigurationError: an option is out of range.
    """

    ordered: bool
    concurrency: int | None
    keep_raw: bool

    def __post_init__(self) -> None:
        if self.concurrency is not None:
            check_concurrency(self.concurrency)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """The options of ``InstantlyClient.stream_leads``.

    Raises:
        ConfigurationError: an option is out of range.
    """

    strategy: Strategy
    ordered: bool
    concurrency: int | None
    keep_raw: bool
    confirm_missing: bool

    def __post_init__(self) -> None:
        if self.strategy not in get_args(Strategy):
            raise ConfigurationError(
                f'strategy must be "get" or "list"; {self.strategy!r} is neither.'
            )
        if self.concurrency is not None:
            check_concurrency(self.concurrency)


def make_pipeline(
    lead_ids: Iterable[LeadId] | AsyncIterable[LeadId],
    options: StreamOptions,
    endpoints: Endpoints[L],
    workspace: Workspace,
    recorder: Recorder,
    *,
    most: int,
    on_end: Callable[[], None],
) -> Pipeline[Any, Outcome[L]]:
    """Make the pipeline of a stream. ``most`` is the client's concurrency."""
    allowed = min(options.concurrency or most, most)
    if options.strategy == "get":
        places = WorkPlaces(allowed, MOST_AWAY)
        single = GetLookup(
            endpoints,
            workspace,
            recorder,
            keep_raw=options.keep_raw,
            absence=places.absence,
        )
        return Pipeline(
            Intake(lead_ids),
            single.run,
            concurrency=allowed,
            places=places,
            ordered=options.ordered,
            on_end=on_end,
        )
    pages = min(options.concurrency or DEFAULT_LIST_CONCURRENCY, most)
    places = WorkPlaces(pages, MOST_AWAY)
    listing = ListLookup(
        endpoints,
        workspace,
        recorder,
        concurrency=allowed,
        keep_raw=options.keep_raw,
        confirm_missing=options.confirm_missing,
        absence=places.absence,
    )
    return Pipeline(
        ChunkIntake(lead_ids, MAX_IDS_PER_PAGE),
        listing.run,
        concurrency=pages,
        places=places,
        ordered=options.ordered,
        on_end=on_end,
    )


def make_email_pipeline(
    emails: Iterable[str] | AsyncIterable[str],
    options: EmailOptions,
    endpoints: Endpoints[L],
    workspace: Workspace,
    recorder: Recorder,
    *,
    most: int,
    on_end: Callable[[], None],
) -> Pipeline[Any, EmailMatch[L]]:
    """Make the pipeline of a search by emails. ``most`` is the client's concurrency."""
    searches = min(options.concurrency or DEFAULT_LIST_CONCURRENCY, most)
    places = WorkPlaces(searches, MOST_AWAY)
    lookup = EmailLookup(
        endpoints,
        workspace,
        recorder,
        concurrency=searches,
        keep_raw=options.keep_raw,
        absence=places.absence,
    )
    return Pipeline(
        ChunkIntake(emails, MAX_EMAILS),
        lookup.run,
        concurrency=searches,
        places=places,
        ordered=options.ordered,
        on_end=on_end,
    )


def make_listing_pipeline(
    listing: Listing[L], *, on_end: Callable[[], None]
) -> Pipeline[Any, Outcome[L]]:
    """Make the pipeline of a listing: one worker, so that the order is that of the pages."""
    return Pipeline(Intake(listing.pages()), listing.deliver, concurrency=1, on_end=on_end)
