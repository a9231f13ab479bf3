"""Where ``FetchLeads`` has its keys from, and which header and limit a workspace has."""

import pickle
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from instantly_async import (
    AuthenticationError,
    ConfigurationError,
    RunError,
)
from instantly_async.ray import FetchLeads
from instantly_async.ray.clients import limit_name
from instantly_async.testing import DEFAULT_API_KEY, FakeInstantly, lead_ids

SECRET = "another-key-0123456789abcdef"
IDS = list(lead_ids(4))
BATCH = pa.table({"id": IDS, "w": ["a", None, "b", "a"]})


async def fetch(fake: FakeInstantly, batch: pa.Table = BATCH, **options: Any) -> list[str]:
    rows = await FetchLeads(limit=None, base_url=fake.url, **options)(batch)
    outcomes: list[str] = rows.column("outcome").to_pylist()
    return outcomes


async def test_a_workspace_is_sent_in_the_header(
    environment: None, fake_instantly: FakeInstantly
) -> None:
    """For each row its own; null is the workspace of the key, which has no header."""
    assert await fetch(fake_instantly, workspace_column="w") == ["found"] * 4
    sent = {request.lead_id: request.workspace for request in fake_instantly.requests}
    assert sent == dict(zip(IDS, BATCH.column("w").to_pylist(), strict=True))


async def test_a_function_returns_the_key_of_each_workspace(
    fake_instantly: FakeInstantly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked once for each of a batch; the environment does not count."""
    monkeypatch.setenv("INSTANTLY_API_KEY", SECRET)
    asked: list[str | None] = []

    def key_of(workspace: str | None) -> str:
        asked.append(workspace)
        return DEFAULT_API_KEY

    options = {"workspace_column": "w", "as_workspace": False, "api_key": key_of}
    assert await fetch(fake_instantly, **options) == ["found"] * 4
    assert sorted(map(str, asked)) == ["None", "a", "b"]
    assert {request.workspace for request in fake_instantly.requests} == {None}


@pytest.mark.parametrize("key", [None, "", 7])
async def test_without_a_key_it_says_where_one_is_missing(
    fake_instantly: FakeInstantly, monkeypatch: pytest.MonkeyPatch, key: Any
) -> None:
    """A function that returns none does not make the environment's count."""
    monkeypatch.setenv("INSTANTLY_API_KEY", DEFAULT_API_KEY)
    with pytest.raises(ConfigurationError, match="on this worker; let the function api_key"):
        await fetch(fake_instantly, api_key=lambda _: key)
    monkeypatch.delenv("INSTANTLY_API_KEY")
    with pytest.raises(ConfigurationError, match="on this worker; set INSTANTLY_API_KEY there"):
        await fetch(fake_instantly)


def locals_of(error: BaseException) -> str:
    traceback, shown = error.__traceback__, ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if "instantly_async" in code.co_filename and "tests" not in Path(code.co_filename).parts:
            shown += repr(traceback.tb_frame.f_locals)
        traceback = traceback.tb_next
    return shown


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": SECRET},
        {"as_workspace": False},
        {"as_workspace": False, "workspace_column": "w"},
        {"as_workspace": False, "api_key": lambda _: SECRET},
        {"workspace_column": "email"},
        {"workspace_column": "outcome"},
        {"id_column": "w", "workspace_column": "w"},
        {"limit": 95},
    ],
    ids=range(8),
)
def test_arguments_are_checked_and_no_key_is_shown(options: dict[str, Any]) -> None:
    """Neither in the message nor in the locals of the traceback."""
    with pytest.raises(ConfigurationError) as caught:
        FetchLeads(**options)
    assert SECRET not in str(caught.value)
    assert SECRET not in locals_of(caught.value)


async def test_a_run_error_names_the_workspace_and_can_be_pickled(
    fake_instantly: FakeInstantly,
) -> None:
    """Ray pickles it on the worker. It has no key, and no outcomes."""
    batch = BATCH.set_column(1, "w", [["b"] * len(IDS)])
    with pytest.raises(AuthenticationError) as caught:
        await fetch(fake_instantly, batch, workspace_column="w", api_key=lambda _: SECRET)
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - made one line above
    assert isinstance(copy, RunError)
    assert copy.__notes__ == ["It was in the workspace 'b'."]
    assert copy.partial is None
    assert SECRET not in repr(vars(copy)) + locals_of(caught.value)


def test_a_limit_has_the_name_of_the_workspace_or_of_a_digest() -> None:
    """So all that use a workspace share one. Nobody can get the key from a part of a digest."""
    assert limit_name("a", SECRET) == limit_name("a", "other") == "a"
    names = {limit_name(None, key) for key in (SECRET, f" {SECRET}\n", "other")}
    assert len(names) == 2
    assert all(re.fullmatch("key [0-9a-f]{16}", name) for name in names)
