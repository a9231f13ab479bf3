"""``check``: reports whether the key works, and if not, why."""

from typing import TextIO

from instantly_async.client import InstantlyClient
from instantly_async.errors import ConnectionFailedError, LeadError, RequestTimeoutError
from instantly_async.models import Lead

from . import exits
from .exits import CheckError


async def check_key(
    client: InstantlyClient[Lead], server: str, stdout: TextIO, hint: str | None = None
) -> int:
    """Request one lead and print what the answer shows, but not the lead.

    ``hint`` is a sentence for the case that nothing answers.

    Raises:
        RunError: the key does not work, or nothing can be fetched now.
        CheckError: no answer shows whether the key works.
    """
    async with client:
        try:
            found = await client.check()
        except LeadError as error:
            if isinstance(error, ConnectionFailedError | RequestTimeoutError):
                raise CheckError(
                    f"Cannot reach {server}: {error}; check network and address, or try later."
                    + (f" {hint}" if hint else "")
                ) from None
            raise CheckError(
                f"{server} did not answer like the API: {error}; try again later, or check the "
                "address."
            ) from None
    has = "has leads" if found.has_leads else "has no leads"
    milliseconds = found.round_trip_s * 1000
    stdout.write(
        f"The key works: {server} answered in {milliseconds:.0f} ms, the workspace {has}.\n"
    )
    return exits.ALL_FOUND
