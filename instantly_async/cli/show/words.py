"""``Words``: how a run names what it fetches. Only wording."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of a run for people.

    ``noun``: what each outcome is for. ``rate``: what the progress line counts per second.
    ``lack``: why some count as failed, for one and for several. ``rest``: what is left if nobody
    knows how much that is. ``stopping``: what is said after the first signal. ``is_listing``: there
    is no input, so no total either.
    """

    noun: str
    rate: str
    lack: tuple[str, str]
    rest: str
    stopping: str
    retry: str
    is_listing: bool = False


_INPUT_REST = "the rest of the input, which was not read"
_DRAINING = (
    "Stopping: requests in flight get {drain_s:.0f} s; a second signal ends the run at once."
)

IDS = Words(
    noun="id",
    rate="leads",
    lack=("has no lead", "have no lead"),
    rest=_INPUT_REST,
    stopping=_DRAINING,
    retry="fetch the ids without a lead again",
)
EMAILS = Words(
    noun="email",
    rate="emails",
    lack=("has no lead", "have no lead"),
    rest=_INPUT_REST,
    stopping=_DRAINING,
    retry="search for the emails without a lead again",
)
LISTING = Words(
    noun="lead",
    rate="leads",
    lack=("failed", "failed"),
    rest="the leads behind these",
    stopping="Stopping; a second signal ends the run at once.",
    retry="list the leads that failed again",
    is_listing=True,
)
