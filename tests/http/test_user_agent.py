"""The header ``User-Agent``: the package's own, or that of the caller."""

import re
from typing import Any

import pytest
from wire import leads_by_id

from instantly_async import ConfigurationError, InstantlyClient
from instantly_async.testing import lead_ids

(LEAD_ID,) = lead_ids(1)
LONGEST = "a" * 500


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, rb"instantly-async/\S+ \(aiohttp/\S+; Python/\S+\)"),
        ("acme-sync/1.2 (+https://acme.example)", rb"acme-sync/1\.2 \(\+https://acme\.example\)"),
        ("x", b"x"),
        (LONGEST, LONGEST.encode()),
    ],
)
async def test_it_is_sent_once_and_by_each_sibling(given: str | None, sent: bytes) -> None:
    """It replaces the package's own: whoever is blocked because of that can get rid of it."""
    async with leads_by_id() as wire:
        async with InstantlyClient("k", base_url=wire.url, user_agent=given) as client:
            await client.get_lead(LEAD_ID)
            await client.for_workspace("other").get_lead(LEAD_ID)
        assert len(wire.requests) == 2
        for request in wire.requests:
            (line,) = re.findall(rb"(?im)^user-agent: (.*)\r$", request)
            assert re.fullmatch(sent, line)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        " a",
        "a ",
        "a\r\nX-Evil: 1",
        "a\nb",
        "a\0",
        "a\t b",
        "\x7f",
        "é",
        "\ud83d",
        "a" * 501,
        5,
        b"a",
        True,
    ],
)
def test_what_a_header_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="user_agent must be a text such as acme-sync/1"):
        InstantlyClient("k", user_agent=value)
