"""One cap for one lead: by GET, on a page, and in the lines of the command."""

from pathlib import Path
from typing import Any

import pytest
from commands import IDS, Command, ids_in

from instantly_async import DecodeError, Failed, Found, InstantlyClient, Strategy
from instantly_async.cli.records import MAX_LINE_BYTES, Selection
from instantly_async.errors import ConfigurationError
from instantly_async.settings import MOST_MAX_LEAD_BYTES
from instantly_async.testing import FakeInstantly, Fault

CAP = 4096
MESSAGE = "The answer is larger than the cap of {} bytes; raise max_lead_bytes (--max-lead-bytes)"

pytestmark = pytest.mark.fake_instantly(rate_limit=None)


def serve(fake: FakeInstantly, sizes: dict[str, int]) -> None:
    """Answer each lead once by GET, and all of them once by the page."""
    leads = {lead_id: lead_of(lead_id, size) for lead_id, size in sizes.items()}
    fake.script_list(Fault.body(b'{"items":[%s]}' % b",".join(leads.values())))
    for lead_id, lead in leads.items():
        fake.script(lead_id, Fault.body(lead))


def lead_of(lead_id: str, size: int) -> bytes:
    """Return a lead whose JSON has this many bytes."""
    bare = b'{"id":"%s","payload":{"notes":""}}' % lead_id.encode()
    return bare.replace(b'""', b'"%s"' % (b"x" * (size - len(bare))))


@pytest.mark.parametrize("keep_raw", [False, True])
@pytest.mark.parametrize("strategy", ["get", "list"])
@pytest.mark.parametrize("cap", [CAP, 600_000])
async def test_a_lead_of_the_cap_is_found_and_a_larger_one_is_not(
    fake_instantly: FakeInstantly, strategy: Strategy, cap: int, *, keep_raw: bool
) -> None:
    """The same error with both strategies, and it costs no other lead."""
    fake = fake_instantly
    serve(fake, {IDS[0]: cap, IDS[1]: cap + 1, IDS[2]: 90})
    async with InstantlyClient(fake.api_key, base_url=fake.url, max_lead_bytes=cap) as client:
        batch = await client.get_leads(IDS[:3], strategy=strategy, keep_raw=keep_raw)
    first, second, third = batch.outcomes
    assert isinstance(first, Found)
    assert isinstance(third, Found)
    assert isinstance(second, Failed)
    assert isinstance(second.error, DecodeError)
    assert (second.error.reason, second.error.args) == ("oversized", (MESSAGE.format(cap),))
    assert batch.stats.requests == (3 if strategy == "get" else 2)


async def test_a_large_lead_is_not_absent(fake_instantly: FakeInstantly) -> None:
    """Even if ids that a page leaves out are not confirmed."""
    fake = fake_instantly
    serve(fake, {IDS[0]: CAP + 1, IDS[1]: 90})
    async with InstantlyClient(fake.api_key, base_url=fake.url, max_lead_bytes=CAP) as client:
        batch = await client.get_leads(IDS[:2], strategy="list", confirm_missing=False)
    assert [type(outcome) for outcome in batch.outcomes] == [Failed, Found]


async def test_a_page_takes_a_lead_of_any_cap(fake_instantly: FakeInstantly) -> None:
    """Its own cap grows with that of a lead."""
    fake = fake_instantly
    serve(fake, {IDS[0]: 17 * 1024 * 1024})
    cap = 18 * 1024 * 1024
    async with InstantlyClient(fake.api_key, base_url=fake.url, max_lead_bytes=cap) as client:
        batch = await client.get_leads(IDS[:1], strategy="list")
    assert (len(batch.leads), batch.stats.requests) == (1, 1)


@pytest.mark.parametrize("cap", [0, -1, 1023, MOST_MAX_LEAD_BYTES + 1, 4096.0, True, "4096", None])
def test_another_cap_is_refused(cap: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_lead_bytes must be a whole number from 1024"):
        InstantlyClient("key", max_lead_bytes=cap)


# --- the command ---


@pytest.mark.parametrize("strategy", ["get", "list"])
def test_a_large_lead_is_fetched_resumed_and_converted(
    command: Command, fake_instantly: FakeInstantly, tmp_path: Path, strategy: str
) -> None:
    """The option is needed by ``fetch`` alone: what it wrote, every command reads."""
    ids, output = tmp_path / "ids.txt", tmp_path / "leads.jsonl"
    ids.write_text("\n".join(IDS[:2]))
    args = ("fetch", ids, "-o", output, "--strategy", strategy, "--quiet")
    serve(fake_instantly, {IDS[0]: 5_000_000, IDS[1]: 90})
    result = command(*args)
    assert (result.code, ids_in(output.read_bytes())) == (3, [IDS[1]])
    recorded = Path(f"{output}.errors.jsonl").read_text()
    assert f"{MESSAGE.format(1024 * 1024)}, and add --retry-errors" in recorded

    fake_instantly.reset()
    serve(fake_instantly, {IDS[0]: 5_000_000})
    result = command(*args, "--retry-errors", "--max-lead-bytes", 8_000_000)
    assert (result.code, ids_in(output.read_bytes())) == (0, IDS[:2])

    fake_instantly.reset()
    assert command(*args, "--resume").code == 0
    assert command("fetch", output, "-o", tmp_path / "again.jsonl", "--dry-run").code == 0
    assert command("convert", output, tmp_path / "leads.csv").code == 0
    assert (tmp_path / "leads.csv").stat().st_size > 5_000_000
    assert fake_instantly.requests == []


def test_one_lead_with_another_cap(command: Command, fake_instantly: FakeInstantly) -> None:
    serve(fake_instantly, {IDS[0]: CAP})
    assert command("get", IDS[0], "--max-lead-bytes", CAP - 1).code == 3
    serve(fake_instantly, {IDS[0]: CAP})
    assert command("get", IDS[0], "--max-lead-bytes", CAP).found == [IDS[0]]
    result = command("get", IDS[0], "--max-lead-bytes", 9)
    assert (result.code, result.err[:32]) == (2, "--max-lead-bytes must be a whole")


def test_no_line_is_too_long_to_be_read() -> None:
    """Even if ``--fields`` puts a payload and its only key into it."""
    line = Selection(["payload", "payload.notes"]).cut(lead_of(IDS[0], 100_000))
    assert 199_000 < len(line) < 200_100
    assert MAX_LINE_BYTES > 2 * MOST_MAX_LEAD_BYTES + 500_000
