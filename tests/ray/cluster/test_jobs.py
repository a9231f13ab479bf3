"""``FetchLeads`` in jobs of Ray Data, with two worker processes.

Each job takes seconds to start, so each test looks at several things.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from clusters import QUIET, Job

from instantly_async.testing import DEFAULT_API_KEY, FakeInstantly, lead_ids

pytestmark = QUIET

SECRET = "another-key-0123456789abcdef"


def noting_key(folder: Path) -> Callable[[str | None], str]:
    """Return a function that returns the key, and leaves a file named after its process."""

    def key_of(workspace: str | None) -> str:
        (folder / str(os.getpid())).touch()
        return DEFAULT_API_KEY

    return key_of  # defined in here, so that Ray does not import it on the worker


def assert_no_key_in(texts: list[str]) -> None:
    assert texts
    assert not any(key in text for key in (SECRET, DEFAULT_API_KEY) for text in texts)


def logged(logs: Path) -> list[str]:
    return [path.read_text(errors="replace") for path in logs.rglob("*") if path.is_file()]


@pytest.mark.fake_instantly(rate_limit=None, latency_s=0.05)
def test_killed_workers_lose_no_row_and_double_none(
    job: Job, fake_instantly: FakeInstantly, tmp_path: Path
) -> None:
    """Others fetch their batches again. Ids of every kind, workspaces by column, key by function.

    Each worker is killed at the same time, while it waits for an answer.
    """
    ids = [*lead_ids(600), "no-uuid", None]
    ids += ids[-50:]
    workspaces = [f"w{number % 3}" for number in range(len(ids))]
    asked: list[str] = []
    killed: list[int] = []

    def known(lead_id: str) -> bool:
        asked.append(lead_id)
        if len(asked) == 250:
            killed.extend(int(path.name) for path in tmp_path.iterdir())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
        return lead_id not in ids[:100]

    fake_instantly.known = known
    table = job(
        pa.table({"lead": ids, "w": workspaces}),
        base_url=fake_instantly.url,
        id_column="lead",
        workspace_column="w",
        api_key=noting_key(tmp_path),
        limit=None,
        concurrency=10,
    )
    kinds = dict.fromkeys(["no-uuid", None], "failed") | dict.fromkeys(ids[:100], "not_found")
    rows = [
        (lead_id or "", workspace, kinds.get(lead_id, "found"))
        for lead_id, workspace in zip(ids, workspaces, strict=True)
    ]
    columns = (table.column(name).to_pylist() for name in ("id", "w", "outcome"))
    assert Counter(zip(*columns, strict=True)) == Counter(rows)
    assert killed
    assert len(asked) > sum(kind != "failed" for _, _, kind in rows)
    assert {request.workspace for request in fake_instantly.requests} == {"w0", "w1", "w2"}


def test_two_workers_keep_one_limit(job: Job, fake_instantly: FakeInstantly, logs: Path) -> None:
    """No 429, and no more than one may send; the key is in the environment, and in no log."""
    table = job(pa.table({"id": list(lead_ids(300))}), base_url=fake_instantly.url)
    assert table.column("outcome").to_pylist() == ["found"] * 300
    assert fake_instantly.counts == {200: 300}
    assert fake_instantly.worst_windows().per_second <= 99
    assert_no_key_in(logged(logs))


@pytest.mark.fake_instantly(api_key=SECRET)
def test_a_run_error_fails_the_job(job: Job, fake_instantly: FakeInstantly, logs: Path) -> None:
    """Ray shows it, with its workspace, and without the key, which is a wrong one."""
    ids = pa.table({"id": list(lead_ids(10)), "w": ["north"] * 10})
    with pytest.raises(Exception, match="AuthenticationError") as caught:
        job(ids, workers=1, base_url=fake_instantly.url, workspace_column="w", limit=None)
    assert "It was in the workspace 'north'." in str(caught.value)
    assert_no_key_in([str(caught.value), *logged(logs)])
