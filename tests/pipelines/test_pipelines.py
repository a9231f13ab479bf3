"""Runs the programs of guides/pipelines.md. The first attempt of each fails in the middle."""

import base64
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import ids_in
from places import DOCS
from sealed_home import IDS, Home

from instantly_async.testing import DEFAULT_API_KEY, FakeInstantly, Fault, email_of

pytestmark = pytest.mark.fake_instantly(rate_limit=None)

PAGE = (DOCS / "guides/pipelines.md").read_text()
REFUSED = IDS[-1]
EMAIL = email_of(IDS[0]).encode()
DAY = "2026-01-02"


@pytest.fixture
def home(tmp_path: Path, fake_instantly: FakeInstantly, unmeasured: None) -> Iterator[Home]:
    """Make a home. The first attempt gets a 401; no attempt writes the key into a file."""
    made = Home(tmp_path / "home", fake_instantly.url)
    fake_instantly.list_omits = {REFUSED}  # so it is fetched alone, after the others
    fake_instantly.script(REFUSED, *[Fault.status(401)] * 2)  # a 401 is asked for once more
    yield made
    assert made.files_with(DEFAULT_API_KEY.encode()) == []


def ids_asked_for(fake: FakeInstantly) -> Counter[str]:
    """Count the requests for a single lead, by its id."""
    return Counter(request.path.rpartition("/")[2] for request in fake.requests)


def test_each_program_is_run() -> None:
    """The programs are those of this file, and the page shows no other Python."""
    names = re.findall(r"```python\n# (\w+)\.py\n", PAGE)
    assert names == [
        "leads_airflow",
        "leads_dagster",
        "leads_prefect",
        "leads_dlt",
        "leads_dlt_file",
    ]
    assert len(names) == PAGE.count("```python")


def require_resumed(fake: FakeInstantly, output: Path) -> None:
    """Require that the second attempt has fetched what was missing, and nothing twice."""
    asked = ids_asked_for(fake)
    assert asked.pop(REFUSED) == 3
    assert set(asked.values()) == {1}
    assert ids_in(output.read_bytes()) == IDS


@pytest.mark.airflow
def test_airflow(home: Home, fake_instantly: FakeInstantly) -> None:
    """A 401 fails the task without a retry; run again, it resumes. The key is a variable."""
    home.write("airflow/dags/leads_airflow.py", (home.path / "leads_airflow.py").read_text())
    keys = {"AIRFLOW_VAR_INSTANTLY_API_KEY": DEFAULT_API_KEY, "INSTANTLY_API_KEY": "another"}
    assert home.run("-m", "airflow", "db", "migrate").code == 0
    test = ["-m", "airflow", "dags", "test", "instantly_leads", DAY]
    failed = home.run(*test, **keys)
    assert "DagRun failed" in failed.text
    assert "(401)" in failed.text
    done = home.run(*test, **keys)
    assert "state=success" in done.text, done.text
    require_resumed(fake_instantly, home.leads / f"leads-{DAY}.jsonl")
    assert home.files_with(EMAIL) == []


@pytest.mark.pipelines
def test_dagster(home: Home, fake_instantly: FakeInstantly) -> None:
    """A 401 fails the run without a retry; a second run of the partition resumes."""
    command = ["-m", "dagster", "asset", "materialize", "-f", "leads_dagster.py"]
    command += ["--select", "instantly_leads", "--partition", DAY]
    failed = home.run(*command)
    assert failed.code == 1
    assert "exit code 4" in failed.text
    assert "(401)" in failed.text
    done = home.run(*command)
    assert done.code == 0, done.text
    require_resumed(fake_instantly, home.leads / f"leads-{DAY}.jsonl")
    assert home.files_with(EMAIL) == []


@pytest.mark.prefect
def test_prefect(home: Home, fake_instantly: FakeInstantly) -> None:
    """A 401 fails the flow without a retry. Prefect stores the error, but no leads with it."""
    failed = home.run("leads_prefect.py")
    assert failed.code == 1
    assert "(401)" in failed.text
    stored = [file for file in (home.path / ".prefect/storage").rglob("*") if file.is_file()]
    assert any(b"AuthenticationError" in base64.b64decode(file.read_bytes()) for file in stored)
    assert not any(EMAIL in base64.b64decode(file.read_bytes()) for file in stored)
    assert not (home.leads / "leads.jsonl").exists()
    done = home.run("leads_prefect.py")
    assert done.code == 0, done.text
    assert f"{{'found': {len(IDS)}, 'not found': 0, 'failed': 0}}" in done.text
    assert ids_in((home.leads / "leads.jsonl").read_bytes()) == IDS
    assert home.files_with(EMAIL) == []


@pytest.mark.pipelines
def test_dlt(home: Home, fake_instantly: FakeInstantly) -> None:
    """A failed run loads nothing; later ones replace the rows of their leads."""
    failed = home.run("leads_dlt.py")
    assert failed.code == 1
    assert "(401)" in failed.text
    assert rows(home, "FROM information_schema.tables") == []
    done = home.run("leads_dlt.py")
    assert done.code == 0, done.text
    statuses = rows(home, "SELECT id, status FROM crm.leads ORDER BY id")
    assert [lead_id for lead_id, _ in statuses] == IDS
    fake_instantly.fields = {IDS[0]: {"status": 777, "payload": {"industry": "tea"}}}
    (command,) = re.findall(r"(?m)^\$ instantly-async (fetch .*)$", PAGE)
    fetch = command.replace("ids.txt", "leads/ids.txt").replace("-o ", "-o leads/")
    assert home.run("-m", "instantly_async.cli", *fetch.split()).code == 0
    assert home.run("leads_dlt_file.py").code == 0
    after = rows(home, "SELECT id, status FROM crm.leads ORDER BY id")
    assert after == [(IDS[0], 777), *statuses[1:]]
    industry = "SELECT payload ->> 'industry' FROM crm.leads WHERE status = 777"
    assert rows(home, industry) == [("tea",)]
    assert list((home.path / ".dlt").rglob("*.parquet")) == []


def rows(home: Home, query: str) -> list[tuple[Any, ...]]:
    """Return the rows that a query gets from the loaded database."""
    duckdb: Any = pytest.importorskip("duckdb")
    with duckdb.connect(home.path / "instantly.duckdb") as database:
        found: list[tuple[Any, ...]] = database.execute(query).fetchall()
    return found
