"""The pages about OpenTelemetry and Prometheus: the programs run, and the queries find data."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import promql_parser
from commands import wait_until
from guide_files import write_files
from places import DOCS

from instantly_async.otel.metrics import INSTRUMENTS
from instantly_async.otel.values import DURATION
from instantly_async.testing import FakeInstantly, Fault, lead_ids

GUIDE = (DOCS / "guides" / "prometheus.md").read_text()
IDS = list(lead_ids(250))
KINDS = {"counter": "counter", "gauge": "gauge", "up_down_counter": "up-down counter"}


def queries() -> list[str]:
    """Return all queries of the page: those of its table, then those of its rules."""
    rows = re.findall(r"^\| [^|]+ \| (`.+`) \|", GUIDE, re.MULTILINE)
    panels = [query for row in rows for query in re.findall(r"`([^`]+)`", row)]
    return panels + re.findall(r"^ +expr: (.+)$", GUIDE, re.MULTILINE)


def environment(fake: FakeInstantly) -> dict[str, str]:
    return {**os.environ, "INSTANTLY_API_KEY": fake.api_key, "INSTANTLY_BASE_URL": fake.url}


@contextmanager
def running(folder: Path, fake: FakeInstantly) -> Iterator[str]:
    """Run the service of the page at a free port; yield the address of its metrics."""
    (name,) = write_files("prometheus.md", folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = folder / name
    program.write_text(program.read_text().replace("9464", str(port)))
    with (folder / "stderr").open("w") as stderr:
        service = subprocess.Popen(
            [sys.executable, name], cwd=folder, env=environment(fake), stderr=stderr
        )
    try:
        yield f"http://127.0.0.1:{port}/metrics"
        assert service.poll() is None, (folder / "stderr").read_text()
    finally:
        service.terminate()
        service.wait(30)


def scrape(address: str) -> str:
    try:
        with urlopen(address, timeout=10) as answer:  # noqa: S310 - on this machine
            return str(answer.read().decode())
    except (OSError, HTTPException):
        return ""  # it has not started yet


def test_prometheus(tmp_path: Path) -> None:
    """A scrape has each metric and label that a query of the page names."""
    (tmp_path / "ids.txt").write_text("\n".join(["no id", *IDS]) + "\n")
    with FakeInstantly(unknown={IDS[7]}) as fake:
        fake.script_list(Fault.throttle(0))
        with running(tmp_path, fake) as address:
            done = 'instantly_leads_total{instantly_outcome="found"'
            wait_until(lambda: any(
                line.startswith(done) and line.endswith(" 249.0")
                for line in scrape(address).splitlines()
            ), 60)  # fmt: skip
            text = scrape(address)
    names = set(re.findall(r"^([a-z_]+)[{ ]", text, re.MULTILINE))
    labels = set(re.findall(r'[{,]([a-z_]+)="', text))
    assert len(queries()) >= 17
    for query in queries():
        assert promql_parser.parse(query)
        named = set(re.findall(r"\b(?:instantly|http_client)_\w+", query)) - {"instantly_outcome"}
        assert named <= names, query
        used = set(re.findall(r'([a-z_]+)="|by \(([a-z_, ]+)\)', query))
        for one, several in used:
            assert {one, *several.split(", ")} - {""} <= labels | {"job"}, query
    assert re.search(r"throttled_total(?:\{.*\})? 1\.0$", text, re.MULTILINE)
    assert 'instantly_failures_total{error_type="InvalidLeadIdError"' in text


def test_metrics_and_traces(tmp_path: Path) -> None:
    """The program of the page prints its metrics and spans at its end."""
    (tmp_path / "ids.txt").write_text("\n".join(IDS[:5]) + "\n")
    (name,) = write_files("telemetry.md", tmp_path)
    with FakeInstantly() as fake:
        done = subprocess.run(
            [sys.executable, name],
            cwd=tmp_path,
            env=environment(fake),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert '"name": "instantly.leads"' in done.stdout
    assert '"name": "instantly stream_leads"' in done.stdout
    assert done.stderr == ""


def test_the_reference_lists_all_metrics() -> None:
    """With unit, kind and description."""
    text = (DOCS / "reference" / "otel.md").read_text()
    cells = r"^\| `([\w.]+)` \| `(.+)` \| ([\w-]+(?: counter)?) \| (.+) \|$"
    rows = re.findall(cells, text, re.MULTILINE)
    assert rows == [
        (DURATION, "s", "histogram", "Duration of HTTP client requests."),
        *[(i.name, i.unit, KINDS[i.kind], i.description) for i in INSTRUMENTS],
    ]
