"""``check``: says whether the key works, and what is in the way if it does not."""

from typing import TextIO

from instantly_async.client import InstantlyClient
from instantly_async.errors import LeadError
from instantly_async.models import Lead

from . import exits
from .exits import CheckError


async def check_key(client: InstantlyClient[Lead], server: str, stdout: TextIO) -> int:
    """Ask the server for one lead and print what that has shown, but not the lead.

    Raises:
        RunError: the key does not work, or nothing can be fetched now.
        CheckError: there was no answer that says so.
    """
    async with client:
        try:
            found = await client.check()
        except LeadError as error:
            raise CheckError(
                f"{server} has not answered as the API does: {error}; try again later, or check "
                "the address."
            ) from None
    has = "has leads" if found.has_leads else "has no leads"
    milliseconds = found.round_trip_s * 1000
    stdout.write(
        f"The key works: {server} answered in {milliseconds:.0f} ms, the workspace {has}.\n"
    )
    return exits.ALL_FOUND
