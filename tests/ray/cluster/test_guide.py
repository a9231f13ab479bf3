"""The programs of docs/guides/ray.md."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clusters import PORT, QUIET
from places import DOCS

from instantly_async.testing import FakeInstantly, lead_ids

pytestmark = [QUIET, pytest.mark.usefixtures("logs")]

PROGRAMS = re.findall(r"```python\n(.*?)```", (DOCS / "guides" / "ray.md").read_text(), re.DOTALL)


def test_the_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file with ids to files with leads, a key for each workspace, and an actor."""
    ids, workspaces = list(lead_ids(60)), ["acme"] * 60
    pq.write_table(pa.table({"id": ids, "workspace": workspaces}), tmp_path / "ids.parquet")
    monkeypatch.setenv("INSTANTLY_API_KEY_acme", "the-key")
    fetch, keys, actor = PROGRAMS
    with FakeInstantly(port=PORT) as fake:
        exec(fetch.replace("/data", str(tmp_path)), {})  # noqa: S102 - our own
        leads = pq.read_table(tmp_path / "leads")
        assert leads.column("id").to_pylist() == ids
        assert leads.column("workspace").to_pylist() == workspaces
        assert set(leads.column("outcome").to_pylist()) == {"found"}
        assert fake.counts == {200: 1}

        names: dict[str, Any] = {}
        exec(keys, names)  # noqa: S102 - our own
        assert names["key_of"]("acme") == "the-key"
        exec(actor, names)  # noqa: S102 - our own
        reader = names["Reader"].__ray_metadata__.modified_class()  # here, without a process
        assert asyncio.run(reader.count("acme", ids)) == 60
