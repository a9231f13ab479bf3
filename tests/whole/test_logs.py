"""Logs: their fields, the page about them, and its programs."""

import ast
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guide_files import write_files
from places import DOCS

import instantly_async
from instantly_async import FilterIgnoredError, InstantlyClient, RetryPolicy
from instantly_async.testing import FakeInstantly, Fault, lead_ids

PACKAGE = Path(instantly_async.__file__).parent
GUIDE = (DOCS / "guides" / "logs.md").read_text()
IDS = list(lead_ids(150))
LEVELS = {"exception": "ERROR"}
QUICK = RetryPolicy(backoff_base_s=0.001, backoff_cap_s=0.01)


def calls() -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield level, message and fields of each place in the library that logs."""
    for file in sorted(PACKAGE.rglob("*.py")):
        if "cli" in file.relative_to(PACKAGE).parts:
            continue  # its log is for the terminal
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("_log."):
                level = ast.unparse(node.func).removeprefix("_log.")
                message = ast.literal_eval(node.args[0])
                yield LEVELS.get(level, level.upper()), message, frozenset(fields_of(node))


def fields_of(call: ast.Call) -> Iterator[str]:
    for keyword in call.keywords:
        if isinstance(keyword.value, ast.Dict):
            yield from (ast.literal_eval(key) for key in keyword.value.keys if key)
        elif isinstance(keyword.value, ast.Call):  # facts_of(…)
            yield from ("error", "status")
            yield from (str(each.arg) for each in keyword.value.keywords)


def test_the_page_lists_all_records_and_fields() -> None:
    rows = re.findall(r"^\| `([A-Z]+)` \| (.+?) \|(.*)\|$", GUIDE, re.MULTILINE)
    shown = {(level, text, frozenset(re.findall(r"`(\w+)`", cell))) for level, text, cell in rows}
    assert shown == set(calls())


def test_no_field_is_one_of_a_record() -> None:
    """``logging`` raises then, and formatters mistake one for the other."""
    own = vars(logging.makeLogRecord({})).keys() | {"message", "asctime", "taskName"}
    structlog = {"event", "level", "logger", "timestamp"}
    for _, _, fields in calls():
        assert fields.isdisjoint(own | structlog)


async def test_the_fields_of_a_run(caplog: pytest.LogCaptureFixture) -> None:
    """With a 429, a failed page, a failed search, and an outage."""
    caplog.set_level(logging.DEBUG, "instantly_async")
    async with FakeInstantly() as fake:
        async with InstantlyClient(fake.api_key, base_url=fake.url, retry=QUICK) as client:
            fake.script_list(*[Fault.status(500)] * 6)
            await client.get_leads(IDS[:100], strategy="list")
            fake.reads_contacts = 1
            with pytest.raises(FilterIgnoredError):
                async with client.find_leads(f"{n}@example.com" for n in range(99)) as matches:
                    async for _ in matches:
                        pass
            fake.script(IDS[0], Fault.throttle(0))
            await client.get_lead(IDS[0])
    facts = {record.msg: fields(record) for record in caplog.records}
    assert facts["429: the rate is reduced to %.1f/s"] == {"rate": 76.0, "limit": 95.0}
    page = {"error": "ServerError", "status": 500, "leads": 100}
    assert facts["A page of %d leads failed: %s"] == page
    search = facts["A search for %d emails failed: %s"]
    assert search["error"] == "FilterIgnoredError"
    assert search["emails"] > 1
    retry = facts["%s: %s; retry in %.2f s"]
    assert retry.pop("wait_s") >= 0
    assert retry == {"error": "RateLimitedError", "method": "GET"}


def fields(record: logging.LogRecord) -> dict[str, Any]:
    own = vars(logging.makeLogRecord({})).keys() | {"message", "asctime", "taskName"}
    return {name: value for name, value in vars(record).items() if name not in own}


@pytest.mark.parametrize("number", [0, 1], ids=["standard library", "structlog"])
def test_the_programs_print_what_the_page_shows(number: int, tmp_path: Path) -> None:
    """A 429 in the middle of a run; the time is another one."""
    (tmp_path / "ids.txt").write_text("\n".join(IDS[:20]) + "\n")
    name = write_files("logs.md", tmp_path)[number]
    with FakeInstantly() as fake:
        fake.script(IDS[3], Fault.throttle(0))
        done = subprocess.run(
            [sys.executable, name],
            cwd=tmp_path,
            env={**os.environ, "INSTANTLY_API_KEY": fake.api_key, "INSTANTLY_BASE_URL": fake.url},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    shown = json.loads(re.findall(r"```text\n(.+)\n```", GUIDE)[number])
    (printed,) = map(json.loads, done.stderr.splitlines())
    for line in (shown, printed):
        stamp = line.pop("time" if number == 0 else "timestamp")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\+0000|\.\d{6}Z|[+-]\d{4})", stamp)
    assert printed == shown
