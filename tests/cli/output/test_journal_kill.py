"""A command that is killed at any time and repeated writes every lead exactly once."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from places import HELPERS

from instantly_async.testing import (
    DEFAULT_API_KEY,
    FakeInstantly,
    campaign_ids,
    email_of,
    lead_ids,
    lead_json,
)

INPUTS = {"get": list(lead_ids(150)), "list": list(lead_ids(1200))}
UNKNOWN = set(INPUTS["list"][::100])
KILLS = 210

pytestmark = [pytest.mark.soak, pytest.mark.fake_instantly(rate_limit=None)]


def killed(folder: Path, *command: str) -> dict[str, Any]:
    """Repeat and kill a command; return what the helper says of that."""
    program = [sys.executable, str(HELPERS / "killer.py"), str(folder), str(KILLS), *command]
    result = subprocess.run(program, check=True, capture_output=True, text=True)
    happened: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return happened


def test_row_31_kill_9_at_any_time_and_torn_lines(
    fake_instantly: FakeInstantly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTANTLY_API_KEY", DEFAULT_API_KEY)
    monkeypatch.setenv("INSTANTLY_BASE_URL", fake_instantly.url)
    fake_instantly.unknown = UNKNOWN
    for strategy, ids in INPUTS.items():
        (tmp_path / strategy).write_text("\n".join([*ids, "no id", "no id", ""]))
    happened = killed(tmp_path)
    assert happened["kills"] >= 200
    assert happened["torn"] >= 50
    assert set(happened["codes"]) == {3}
    for strategy, output in happened["outputs"]:
        check(INPUTS[strategy], Path(output))


def test_an_export_that_is_killed_at_any_time(
    fake_instantly: FakeInstantly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every lead of the campaign is written once, in the order of the API."""
    monkeypatch.setenv("INSTANTLY_API_KEY", DEFAULT_API_KEY)
    monkeypatch.setenv("INSTANTLY_BASE_URL", fake_instantly.url)
    fake_instantly.workspace_size = 5000
    leads = [json.loads(lead_json(each)) for each in lead_ids(5000)]
    wanted = [lead["id"] for lead in leads if lead["campaign"] == campaign_ids()[0]]
    happened = killed(tmp_path, "export", "--campaign", campaign_ids()[0])
    assert happened["kills"] >= KILLS
    assert happened["torn"] >= 30
    assert set(happened["codes"]) == {0}
    for _, output in happened["outputs"]:
        lines = Path(output).read_bytes().splitlines()
        assert [json.loads(line)["id"] for line in lines] == wanted


def check(ids: list[str], output: Path) -> None:
    leads = [json.loads(line) for line in output.read_bytes().splitlines()]
    assert sorted(lead["id"] for lead in leads) == sorted(set(ids) - UNKNOWN)
    for lead in leads:  # by list, some names in the payload differ
        lead["payload"] = None
        assert lead == json.loads(lead_json(lead["id"])) | {"payload": None}
    lines = output.with_name(f"{output.name}.errors.jsonl").read_bytes().splitlines()
    failed = sorted(json.loads(line)["id"] for line in lines)
    assert failed == sorted([*UNKNOWN.intersection(ids), "no id", "no id"])


def test_a_search_by_email_that_is_killed_at_any_time(
    fake_instantly: FakeInstantly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lead of each email is written once, although emails have two leads."""
    monkeypatch.setenv("INSTANTLY_API_KEY", DEFAULT_API_KEY)
    monkeypatch.setenv("INSTANTLY_BASE_URL", fake_instantly.url)
    leads = list(lead_ids(600))
    pairs = list(zip(leads[::2], leads[1::2], strict=True))
    fake_instantly.workspace_size = len(leads)
    fake_instantly.fields = {other: {"email": email_of(one)} for one, other in pairs}
    (tmp_path / "emails").write_text("\n".join([*(email_of(one) for one, _ in pairs), "x@x.com"]))
    happened = killed(tmp_path, "fetch", str(tmp_path / "emails"), "--by", "email")
    assert happened["kills"] >= KILLS
    assert happened["torn"] >= 30
    assert set(happened["codes"]) == {3}
    for _, output in happened["outputs"]:
        lines = Path(output).read_bytes().splitlines()
        assert sorted(json.loads(line)["id"] for line in lines) == leads
