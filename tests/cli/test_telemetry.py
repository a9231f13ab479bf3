"""``OTEL_*`` variables: what a run exports to a real collector, and what happens without one."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from commands import IDS, MODULE, Command, wait_until
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from instantly_async import __version__
from instantly_async.cli import telemetry
from instantly_async.cli.telemetry import names_of
from instantly_async.testing import DEFAULT_API_KEY, FakeInstantly, Fault, lead_ids

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("OTEL_")]:
        monkeypatch.delenv(name)


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP, and keeps it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[tuple[str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The last values of each metric, by the value of its first attribute; "": it has none."""
        found: dict[str, dict[str, float]] = {}
        for resource in self._resources(ExportMetricsServiceRequest, "/v1/metrics"):
            for metric in (each for scope in resource.scope_metrics for each in scope.metrics):
                points = getattr(metric, metric.WhichOneof("data")).data_points
                found[metric.name] = {value_of(point): number_of(point) for point in points}
        return found

    @property
    def spans(self) -> list[str]:
        resources = self._resources(ExportTraceServiceRequest, "/v1/traces")
        return [each.name for r in resources for scope in r.scope_spans for each in scope.spans]

    def attributes(self) -> dict[str, str]:
        """Return what the spans say about the process."""
        (resource, *_) = self._resources(ExportTraceServiceRequest, "/v1/traces")
        return {each.key: each.value.string_value for each in resource.resource.attributes}

    def _resources(self, kind: Any, path: str) -> list[Any]:
        messages = [kind.FromString(body) for at, body in self.bodies if at == path]
        field = kind.DESCRIPTOR.fields[0].name
        return [each for message in messages for each in getattr(message, field)]


def value_of(point: Any) -> str:
    return point.attributes[0].value.string_value if point.attributes else ""


def number_of(point: Any) -> float:
    if hasattr(point, "bucket_counts"):
        return float(point.count)
    return float(point.as_int or point.as_double)


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.bodies.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def silent() -> Iterator[str]:
    """Yield the address of a server that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_run_is_exported(
    fake_instantly: FakeInstantly,
    command: Command,
    collector: Collector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The counts are those of ``--stats-json``; nothing names a lead or the key."""
    ids = list(lead_ids(230))
    (tmp_path / "ids.txt").write_text("\n".join([*ids, "no id"]))
    fake_instantly.unknown = set(ids[:3])
    fake_instantly.script_list(Fault.throttle(0))
    monkeypatch.setenv(ENDPOINT, collector.url)
    stats_file = tmp_path / "stats.json"
    options = ("--strategy", "list", "--stats-json", stats_file)
    done = command("fetch", tmp_path / "ids.txt", "-o", tmp_path / "leads.jsonl", *options)
    assert done.code == 3
    assert "OpenTelemetry" not in done.err
    stats = json.loads(stats_file.read_text())
    metrics = collector.metrics
    assert metrics["instantly.leads"]["found"] == stats["found"] == 227
    assert metrics["instantly.leads"]["not_found"] == stats["not_found"] == 3
    assert metrics["instantly.requests"][""] == stats["requests"]
    assert metrics["instantly.throttled"][""] == stats["throttled"] == 1
    assert collector.spans == ["instantly stream_leads"]
    about = collector.attributes()
    assert (about["service.name"], about["service.version"]) == ("instantly-async", __version__)
    exported = b"".join(body for _, body in collector.bodies)
    for secret in (DEFAULT_API_KEY, "example.com", *ids):
        assert secret.encode() not in exported


@pytest.mark.parametrize(
    "arguments", [("get", IDS[0]), ("check",), ("export", "--all", "-o"), ("demo", "--count", "5")]
)
def test_each_command_that_sends_requests_is_exported(
    arguments: tuple[str, ...],
    command: Command,
    collector: Collector,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under the name that a variable gives; only metrics, if only these are asked for."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{collector.url}/v1/metrics")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "nightly")
    assert command(*arguments, *([output] if arguments[-1] == "-o" else [])).code == 0
    assert collector.metrics["instantly.requests"][""] >= 1
    assert {path for path, _ in collector.bodies} == {"/v1/metrics"}
    assert all(b"nightly" in body for _, body in collector.bodies)


def test_the_console_is_stderr(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "console")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console, none")
    done = command("get", *IDS[:2])
    assert len(done.out.splitlines()) == 2
    assert '"name": "instantly.leads"' in done.err
    assert '"name": "instantly stream_leads"' in done.err


@pytest.mark.parametrize("answers", [False, True], ids=["nobody listens", "nobody answers"])
def test_a_collector_that_fails_changes_nothing(
    answers: bool, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the exit code, and no more than a moment and one line.

    If nobody listens, old SDKs say so at once.
    """
    monkeypatch.setattr(telemetry, "CLOSING_S", 0.2)
    with silent() as address:
        monkeypatch.setenv(ENDPOINT, address if answers else "http://127.0.0.1:1")
        done = command("get", IDS[0])
    assert done.code == 0
    said = [line.partition("cli.telemetry: ")[2] for line in done.err.splitlines()]
    if not said[0].startswith("An export of metrics or traces failed (ConnectionError)"):
        (line,) = said
        assert line.endswith("within 0 s; check the collector, and OTEL_EXPORTER_OTLP_ENDPOINT.")
    assert len(said) == 1


def test_a_collector_that_refuses_is_named_once(
    command: Command, monkeypatch: pytest.MonkeyPatch, fake_instantly: FakeInstantly
) -> None:
    """Here the fake API is taken for one."""
    monkeypatch.setenv(ENDPOINT, fake_instantly.url)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    done = command("get", IDS[0])
    assert done.code == 0
    (line,) = done.err.splitlines()
    assert "An export of metrics or traces failed (HTTP 401); check OTEL_EXPORTER_OTLP" in line


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_METRICS_EXPORTER": "nope"}, "no exporter 'nope' for metrics"),
        ({"OTEL_TRACES_EXPORTER": "nope,none"}, "or correct OTEL_TRACES_EXPORTER"),
        (
            {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"},
            "no exporter 'otlp by smoke' for metrics",
        ),
    ],
)
def test_wrong_variables_are_named_and_the_run_goes_on(
    variables: dict[str, str], said: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = command("get", IDS[0])
    assert done.code == 0
    (line,) = done.err.splitlines()
    assert said in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_METRICS_EXEMPLAR_FILTER", "odd"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "odd"),
        ("OTEL_PYTHON_METER_PROVIDER", "odd"),
    ],
)
def test_variables_that_the_sdk_refuses_end_no_run(
    name: str, value: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the last one, the command has no need."""
    for signal_name in ("METRICS", "TRACES"):
        monkeypatch.setenv(f"OTEL_{signal_name}_EXPORTER", "console")
    monkeypatch.setenv(name, value)
    done = command("get", IDS[0])
    assert done.code == 0
    refused = "OpenTelemetry cannot be set up (ValueError), so nothing is exported; check"
    assert refused in done.err or '"name": "instantly.leads"' in done.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (ENDPOINT, "http://user:canary@127.0.0.1:99999"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=canary%0aX"),
    ],
)
def test_secrets_of_the_collector_are_not_printed(
    name: str,
    value: str,
    command: Command,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "CLOSING_S", 0.5)
    monkeypatch.setenv(ENDPOINT, collector.url)
    monkeypatch.setenv(name, value)
    done = command("get", IDS[0], "--log-level", "debug")
    assert done.code == 0
    assert "canary" not in done.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_during_the_last_export_cuts_only_that_short(
    number: signal.Signals,
    environment: None,
    ids_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run is over, so its files are there, and its exit code stands."""
    output, stats = tmp_path / "leads.csv.gz", tmp_path / "stats.json"
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{server.getsockname()[1]}")
        line = [*MODULE, "fetch", str(ids_file), "-o", str(output), "--stats-json", str(stats)]
        with subprocess.Popen(line, stderr=subprocess.PIPE) as run:
            exports, _ = server.accept()  # it has begun
            with exports:
                run.send_signal(number)
                assert run.wait(30) == 0
    assert output.exists()
    assert json.loads(stats.read_text())["found"] == len(IDS)


def test_an_exporter_that_cannot_start_is_left_out(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here its port is taken. The other one exports."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus,console")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1")
        monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", str(taken.getsockname()[1]))
        done = command("get", IDS[0])
    assert done.code == 0
    assert "'prometheus' for metrics cannot be used (OSError), so it is left out" in done.err
    assert '"name": "instantly.leads"' in done.err


def test_without_the_packages_it_says_what_to_install(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    done = command("get", IDS[0])
    assert done.code == 0
    (line,) = done.err.splitlines()
    assert "pip install 'instantly-async[cli,otlp]'" in line


HTTP, GRPC = "otlp_proto_http", "otlp_proto_grpc"


@pytest.mark.parametrize(
    ("environ", "metrics", "traces"),
    [
        ({}, [], []),
        ({"OTEL_SERVICE_NAME": "x"}, [], []),
        ({ENDPOINT: "http://c"}, [HTTP], [HTTP]),
        ({ENDPOINT: " ", "OTEL_METRICS_EXPORTER": " "}, [], []),
        ({ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": " "}, [HTTP], [HTTP]),
        ({ENDPOINT: "http://c", "OTEL_TRACES_EXPORTER": "none"}, [HTTP], []),
        ({ENDPOINT: "http://c", "OTEL_SDK_DISABLED": " True"}, [], []),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, [], [HTTP]),
        ({"OTEL_METRICS_EXPORTER": "otlp, prometheus"}, [HTTP, "prometheus"], []),
        ({ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, [GRPC], [GRPC]),
        (
            {
                ENDPOINT: "http://c",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf",
            },
            [HTTP],
            [GRPC],
        ),
    ],
)
def test_which_exporters_are_meant(
    environ: dict[str, str], metrics: list[str], traces: list[str]
) -> None:
    assert [names_of("metrics", environ), names_of("traces", environ)] == [metrics, traces]


def test_no_variable_no_import(environment: None, unmeasured: None, tmp_path: Path) -> None:
    code = f"""
import sys
from instantly_async.cli import main
sys.argv = ["instantly-async", "get", {IDS[0]!r}]
assert main() == 0
sys.exit("opentelemetry" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)


def test_sigterm_exports_what_was_done(
    fake_instantly: FakeInstantly,
    environment: None,
    collector: Collector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the exit code is that of the signal."""
    (tmp_path / "ids.txt").write_text("\n".join(lead_ids(5000)))
    monkeypatch.setenv(ENDPOINT, collector.url)
    output = tmp_path / "leads.jsonl"
    run = subprocess.Popen(
        [*MODULE, "fetch", tmp_path / "ids.txt", "-o", output, "--quiet", "--strategy", "get"]
    )
    wait_until(lambda: fake_instantly.counts[200] > 20)
    run.send_signal(signal.SIGTERM)
    assert run.wait(30) == 143
    done = output.read_bytes().count(b"\n")
    assert collector.metrics["instantly.leads"]["found"] == done >= 20
    assert collector.spans == ["instantly stream_leads"]
