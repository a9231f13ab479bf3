"""``instantly_async.otel``: what an SDK gets, read by the SDK's own readers."""

import asyncio
import gc
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from instantly_async import (
    AdaptiveLimiter,
    AuthenticationError,
    ConfigurationError,
    InstantlyClient,
    RetryPolicy,
    Stats,
)
from instantly_async.events import Attempt
from instantly_async.otel import OtelObserver, instrument
from instantly_async.otel.metrics import metrics_of
from instantly_async.otel.values import DURATION, DURATION_BOUNDARIES_S
from instantly_async.testing import FakeInstantly, Fault, lead_ids

IDS = list(lead_ids(300))
QUICK = RetryPolicy(backoff_base_s=0.001, backoff_cap_s=0.01)

Key = frozenset[tuple[str, Any]]


class Sdk:
    """An application's OpenTelemetry, with readers that keep everything in memory."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))

    def observer(self, **options: Any) -> OtelObserver:
        return OtelObserver(meter_provider=self.meters, tracer_provider=self.tracers, **options)

    def read(self) -> dict[str, dict[Key, Any]]:
        """Return the data points by the name of their metric, then by their attributes."""
        return points_of(self.reader.get_metrics_data())

    def value(self, name: str, **attributes: Any) -> Any:
        """Return the value of a series; attributes are written with ``__`` for a dot."""
        dotted = {key.replace("__", "."): value for key, value in attributes.items()}
        return self.read()[name][frozenset(dotted.items())].value

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())


def points_of(data: MetricsData | None) -> dict[str, dict[Key, Any]]:
    assert data is not None
    return {
        metric.name: {
            frozenset((point.attributes or {}).items()): point for point in metric.data.data_points
        }
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


@pytest.fixture
def sdk() -> Iterator[Sdk]:
    made = Sdk()
    yield made
    made.meters.shutdown()
    made.tracers.shutdown()


def by(series: dict[Key, Any], attribute: str) -> dict[str, int]:
    """Return the values of a metric by the value of its only attribute."""
    return {dict(key)[attribute]: point.value for key, point in series.items()}


def assert_equal(points: dict[str, dict[Key, Any]], stats: Stats) -> None:
    """Compare all metrics that count with the counters of the client."""
    single = {
        name: next(iter(series.values())).value
        for name, series in points.items()
        if name not in {"instantly.leads", "instantly.failures", DURATION}
    }
    leads = by(points["instantly.leads"], "instantly.outcome")
    failed = by(points.get("instantly.failures", {}), "error.type")
    assert single["instantly.requests"] == stats.requests
    assert single["instantly.throttled"] == stats.throttled
    assert single["instantly.retries"] == stats.retries
    assert single["instantly.fallbacks"] == stats.fallbacks
    assert single["instantly.received"] == stats.bytes_received
    assert single["instantly.in_flight"] == stats.in_flight
    assert single["instantly.waiting"] == stats.waiting
    assert leads == {
        "found": stats.found,
        "not_found": stats.not_found,
        "failed": sum(stats.failed.values()),
    }
    assert failed == stats.failed
    durations = points[DURATION]
    assert sum(point.count for point in durations.values()) == stats.requests
    by_status: Counter[Any] = Counter()
    for key, point in durations.items():
        by_status[dict(key).get("http.response.status_code")] += point.count
    assert by_status[429] == stats.throttled


async def test_a_run_with_429s_retries_and_an_outage(sdk: Sdk) -> None:
    """The counts are exactly those of the counters: during the run, at its end, and after it."""
    slow_down = Fault.throttle(0.05)
    observer = sdk.observer(durations_per_s=None)
    async with FakeInstantly(unknown=set(IDS[40:50]), fault_rate=0.05, seed=2) as fake:
        async with InstantlyClient(
            fake.api_key, base_url=fake.url, retry=QUICK, observer=observer
        ) as client:
            await client.get_leads([*IDS[:60], "no id"])
            fake.script_all(slow_down, slow_down)
            fake.script(IDS[60], Fault.status(400))
            fake.script_list(slow_down)
            await client.get_leads(IDS[60:], strategy="list")
            assert_equal(sdk.read(), client.stats)
            fake.down = True
            async with client.stream_leads(IDS[:100]) as stream:
                down = asyncio.ensure_future(anext(stream))
                while not client.stats.breaker_open:
                    await asyncio.sleep(0.01)
                assert sdk.value("instantly.breaker.open") == 1
                assert sdk.value("instantly.in_flight") > 0
                fake.down = False
                await down
                async for _ in stream:
                    pass
            stats = client.stats
            assert_equal(sdk.read(), stats)
            assert sdk.value("instantly.breaker.open") == 0
            assert sdk.value("instantly.limiter.limit") == 95.0
            assert sdk.value("instantly.limiter.rate") == client.stats.allowed_rate
            assert sdk.value("instantly.limiter.paused") >= 0.5
            assert sdk.value("instantly.limiter.wait") > 0
        assert_equal(sdk.read(), stats)
    assert min(stats.throttled, stats.retries, stats.not_found, stats.done - stats.found) > 0


async def test_the_histogram_follows_the_conventions(sdk: Sdk) -> None:
    faults = [Fault.status(503), Fault.close(), Fault.body(b"{}")]
    async with FakeInstantly(unknown={IDS[1]}) as fake:
        fake.script(IDS[0], *faults)
        async with InstantlyClient(
            fake.api_key, base_url=fake.url, retry=QUICK, observer=sdk.observer()
        ) as client:
            await client.get_leads(IDS[:2])
            await client.get_leads(IDS[2:4], strategy="list")
    port = int(fake.url.rpartition(":")[2])
    of_server = {"server.address": "127.0.0.1", "server.port": port}
    get = {"http.request.method": "GET", "url.template": "/api/v2/leads/{id}", **of_server}
    post = {"http.request.method": "POST", "url.template": "/api/v2/leads/list", **of_server}
    durations = {key: point.count for key, point in sdk.read()[DURATION].items()}
    assert durations == {
        frozenset(each.items()): 1
        for each in (
            {**get, "http.response.status_code": 200},
            {**get, "http.response.status_code": 200, "error.type": "DecodeError"},
            {**get, "http.response.status_code": 404, "error.type": "404"},
            {**get, "http.response.status_code": 503, "error.type": "503"},
            {**get, "error.type": "ConnectionFailedError"},
            {**post, "http.response.status_code": 200},
        )
    }
    (point, *_) = sdk.read()[DURATION].values()
    assert isinstance(point, HistogramDataPoint)
    assert tuple(point.explicit_bounds) == DURATION_BOUNDARIES_S


async def test_nothing_that_is_exported_names_a_lead(sdk: Sdk) -> None:
    """Neither ids nor emails nor the key, with spans for each attempt."""
    key = "canary-key-of-the-api"
    observer = sdk.observer(attempt_spans=True)
    async with FakeInstantly(api_key=key, fault_rate=0.3, seed=5, rate_limit=None) as fake:
        async with InstantlyClient(
            key, base_url=fake.url, rate_limit=None, retry=QUICK, observer=observer
        ) as client:
            await client.get_leads([*IDS[:50], "no id"])
            await client.get_leads(IDS, strategy="list")
            async with client.find_leads(["ada@example.com"]) as matches:
                async for _ in matches:
                    pass
    data = sdk.reader.get_metrics_data()
    assert data is not None
    text = data.to_json() + "".join(span.to_json() for span in sdk.spans)
    assert "GET /api/v2/leads/{id}" in text
    for secret in (key, "example.com", *IDS, *(each.replace("-", "") for each in IDS)):
        assert secret not in text


async def test_a_stream_is_a_span_and_its_attempts_are_below_it(sdk: Sdk) -> None:
    observer = sdk.observer(attempt_spans=True, attributes={"workspace": "acme"})
    tracer = sdk.tracers.get_tracer("the application")
    async with FakeInstantly(unknown={IDS[1]}) as fake:
        fake.script(IDS[0], Fault.status(503))
        async with InstantlyClient(
            fake.api_key, base_url=fake.url, retry=QUICK, observer=observer
        ) as client:
            with tracer.start_as_current_span("a request"):
                await client.get_leads(IDS[:2])
                await client.get_lead(IDS[2])
    *attempts, top = sdk.spans
    (stream,) = [span for span in attempts if span.kind is SpanKind.INTERNAL]
    attempts.remove(stream)
    assert stream.name == "instantly stream_leads"
    assert stream.parent == top.context
    assert dict(stream.attributes or {}) == {
        "workspace": "acme",
        "instantly.strategy": "get",
        "instantly.leads.found": 1,
        "instantly.leads.not_found": 1,
        "instantly.leads.failed": 0,
        "instantly.requests": 3,
        "instantly.retries": 1,
        "instantly.throttled": 0,
    }
    parents = [span.parent for span in attempts]
    assert parents == [stream.context] * 3 + [top.context]
    assert {(span.name, span.kind) for span in attempts} == {
        ("GET /api/v2/leads/{id}", SpanKind.CLIENT)
    }
    failed = [span for span in attempts if span.status.status_code is StatusCode.ERROR]
    assert Counter((span.attributes or {})["error.type"] for span in failed) == {"503": 1, "404": 1}
    resent = [each for each in attempts if "http.request.resend_count" in (each.attributes or {})]
    assert len(resent) == 1
    assert resent[0] not in failed
    for span in attempts:
        assert top.start_time is not None
        assert span.start_time is not None
        assert span.end_time is not None
        assert top.start_time <= span.start_time <= span.end_time
        assert (span.attributes or {})["workspace"] == "acme"


async def test_the_end_of_a_stream_is_on_its_span(sdk: Sdk) -> None:
    """One that fails is an error. One that is left early is none."""
    async with FakeInstantly() as fake:
        async with InstantlyClient(fake.api_key, base_url=fake.url) as client:
            stream = client.stream_leads(IDS)
            await anext(stream)
            instrument(client, meter_provider=sdk.meters, tracer_provider=sdk.tracers)
            await stream.aclose()  # it began before, so it has no span
            async with client.list_leads() as listing:
                async for _ in listing:
                    break
        async with InstantlyClient(
            "another-key", base_url=fake.url, observer=sdk.observer()
        ) as client:
            with pytest.raises(AuthenticationError):
                await client.get_leads(IDS)
    left, failed = sdk.spans
    assert (left.name, left.status.status_code) == ("instantly list_leads", StatusCode.UNSET)
    assert (left.attributes or {})["instantly.left_early"] is True
    assert failed.status.status_code is StatusCode.ERROR
    assert (failed.attributes or {})["error.type"] == "AuthenticationError"
    assert failed.status.description is None
    assert [span.events for span in sdk.spans] == [(), ()]


async def test_clients_are_added_up_unless_their_attributes_differ(sdk: Sdk) -> None:
    """Also those that are closed, or have gone. Siblings belong to their first client."""
    async with FakeInstantly() as fake:

        def make(observer: OtelObserver | None) -> InstantlyClient[Any]:
            return InstantlyClient(fake.api_key, base_url=fake.url, observer=observer)

        first, second = make(sdk.observer()), make(sdk.observer())
        await first.get_lead(IDS[0])
        await first.for_workspace("ws-2").get_lead(IDS[1])
        await second.get_lead(IDS[2])
        assert sdk.value("instantly.requests") == 3
        assert sdk.value("instantly.limiter.limit") == 3 * 95.0
        await first.aclose()
        del first
        gc.collect()
        assert sdk.value("instantly.requests") == 3
        assert sdk.value("instantly.limiter.limit") == 95.0
        other = make(sdk.observer(attributes={"workspace": "acme"}))
        await other.get_lead(IDS[3])
        assert sdk.value("instantly.requests") == 3
        assert sdk.value("instantly.requests", workspace="acme") == 1
        assert sdk.value("instantly.leads", workspace="acme", instantly__outcome="found") == 1
        await second.aclose()
        await other.aclose()
    points = sdk.read()
    assert [point.value for point in points["instantly.requests"].values()] == [3, 1]
    assert "instantly.limiter.rate" not in points
    assert sum(point.count for point in points[DURATION].values()) == 4


async def test_a_client_without_limits_has_no_rate(sdk: Sdk) -> None:
    async with FakeInstantly(rate_limit=None) as fake:
        async with InstantlyClient(
            fake.api_key, base_url=fake.url, rate_limit=None, observer=sdk.observer()
        ) as client:
            await client.get_lead(IDS[0])
            assert {"instantly.limiter.rate", "instantly.limiter.limit"}.isdisjoint(sdk.read())


async def test_a_client_is_instrumented_once(sdk: Sdk) -> None:
    async with InstantlyClient("a-key") as client:
        instrument(client, meter_provider=sdk.meters)
        for each in (client, client.for_workspace("ws-2")):
            with pytest.raises(ConfigurationError, match="has an OtelObserver already"):
                instrument(each, meter_provider=sdk.meters)


ATTEMPT = Attempt(
    run=None, method="GET", route="/api/v2/leads/{id}", server_address="api.test", server_port=443,
    status=200, error=None, is_sent=True, duration_s=0.02, wait_s=0.5, bytes_received=3000,
    resend_count=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("per_s", "first", "later"), [(100.0, 100, 150), (0, 0, 0), (None, 640, 1280)]
)
def test_so_many_durations_a_second_are_recorded_at_most(
    sdk: Sdk,
    monkeypatch: pytest.MonkeyPatch,
    per_s: float | None,
    first: int,
    later: int,
) -> None:
    """Waits are counted all the same."""
    now = 50.0
    monkeypatch.setattr("instantly_async.otel.durations.time.monotonic", lambda: now)
    observer = sdk.observer(durations_per_s=per_s)

    def recorded() -> int:
        return sum(point.count for point in sdk.read().get(DURATION, {}).values())

    for _ in range(640):
        observer(ATTEMPT)
    assert recorded() == first
    now += 0.5
    for _ in range(640):
        observer(ATTEMPT)
    assert recorded() == later
    assert sdk.value("instantly.limiter.wait") == 1280 * ATTEMPT.wait_s


def test_durations_that_wait_are_part_of_the_next_export(sdk: Sdk) -> None:
    """Those of less than a batch, which have no task or timer of their own."""
    observer = sdk.observer()
    observer(ATTEMPT)
    (point,) = sdk.read()[DURATION].values()
    assert (point.count, point.sum) == (1, ATTEMPT.duration_s)
    observer(ATTEMPT)
    (point,) = sdk.read()[DURATION].values()
    assert (point.count, point.sum) == (2, 2 * ATTEMPT.duration_s)


class Keeps(MetricExporter):
    """Keeps how many requests each export has seen, and how many durations."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 0, **_: Any
    ) -> MetricExportResult:
        points = points_of(metrics_data)
        (requests,) = points["instantly.requests"].values()
        recorded = sum(point.count for point in points.get(DURATION, {}).values())
        self.seen.append((requests.value, recorded))
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 0, **_: Any) -> None: ...


async def test_an_exporter_in_its_own_thread_never_sees_less_than_before() -> None:
    exporter = Keeps()
    meters = MeterProvider([PeriodicExportingMetricReader(exporter, 5)])
    observer = OtelObserver(meter_provider=meters, durations_per_s=None)
    async with FakeInstantly(rate_limit=None, fault_rate=0.1) as fake:
        async with InstantlyClient(
            fake.api_key, base_url=fake.url, rate_limit=None, retry=QUICK, observer=observer
        ) as client:
            for first in range(0, 300, 10):
                await client.get_leads(IDS[first : first + 10])
    await asyncio.to_thread(meters.shutdown)
    assert len(exporter.seen) > 2
    for counts in zip(*exporter.seen, strict=True):
        assert list(counts) == sorted(counts)
    assert exporter.seen[-1] == (client.stats.requests, client.stats.requests)


async def test_an_exemplar_names_the_trace_of_its_stream(sdk: Sdk) -> None:
    async with FakeInstantly() as fake:
        async with InstantlyClient(
            fake.api_key, base_url=fake.url, observer=sdk.observer()
        ) as client:
            await client.get_leads(IDS[:1])
    (point,) = sdk.read()[DURATION].values()
    (span,) = sdk.spans
    assert span.context is not None
    assert [each.trace_id for each in point.exemplars] == [span.context.trace_id]


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_the_global_provider_may_be_set_later() -> None:
    """Observers that were made before and after it count the same metrics."""
    assert json.loads(
        run("""
import asyncio, json
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from instantly_async import InstantlyClient
from instantly_async.events import Attempt
from instantly_async.otel import OtelObserver, instrument
from instantly_async.testing import FakeInstantly, lead_ids

async def main():
    async with FakeInstantly() as fake:
        def make(**options):
            return InstantlyClient(fake.api_key, base_url=fake.url, **options)
        async with make(observer=OtelObserver()) as early, make() as late, make() as third:
            await early.get_lead(*lead_ids(1))
            reader = InMemoryMetricReader()
            provider = MeterProvider([reader])
            metrics.set_meter_provider(provider)
            instrument(late)
            instrument(third, meter_provider=provider)
            for client in (early, late, third):
                await client.get_lead(*lead_ids(1))
    data = json.loads(reader.get_metrics_data().to_json())
    (scope,) = data["resource_metrics"][0]["scope_metrics"]
    points = {each["name"]: each["data"]["data_points"] for each in scope["metrics"]}
    print(json.dumps([[each["value"] for each in points["instantly.requests"]],
                      points["http.client.request.duration"][0]["count"]]))

asyncio.run(main())
""")
    ) == [[4], 4]


def test_without_the_extra_it_says_what_to_install() -> None:
    assert "pip install 'instantly-async[otel]'" in run("""
import sys
sys.modules["opentelemetry.metrics"] = None
try:
    import instantly_async.otel
except ImportError as error:
    print(error)
""")


def test_the_package_does_not_import_opentelemetry() -> None:
    out = run("import instantly_async.client, sys; print('opentelemetry' in sys.modules)")
    assert out == "False\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"durations_per_s": -1}, "durations_per_s must be a number from 0 on"),
        ({"durations_per_s": "all"}, "durations_per_s must be a number from 0 on"),
        ({"attributes": ["workspace"]}, "attributes must be a mapping"),
        ({"attributes": {1: "a"}}, "attributes must be a mapping"),
        ({"attributes": {"a": ["b"]}}, "attributes must be a mapping"),
        ({"meter_provider": "global"}, "meter_provider must be"),
        ({"tracer_provider": MeterProvider}, "tracer_provider must be"),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        OtelObserver(**options)


def test_less_than_one_duration_a_second(sdk: Sdk, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 50.0
    monkeypatch.setattr("instantly_async.otel.durations.time.monotonic", lambda: now)
    observer = sdk.observer(durations_per_s=0.1)
    for _ in range(256):
        observer(ATTEMPT)
        now += 0.1
    (point,) = sdk.read()[DURATION].values()
    assert point.count == 2


async def test_a_client_that_is_forgotten_leaves_its_counts_and_no_gauge(sdk: Sdk) -> None:
    observer = sdk.observer()
    async with FakeInstantly() as fake:
        client = InstantlyClient(fake.api_key, base_url=fake.url, observer=observer)
        await client.get_lead(IDS[0])
        assert sdk.value("instantly.limiter.limit") == 95.0
        await client._connections.aclose()
        del client
        gc.collect()
        for _ in range(2):
            points = sdk.read()
            assert_single(points, "instantly.requests", 1)
            assert "instantly.limiter.limit" not in points
            assert_single(points, "instantly.breaker.open", 0)


def assert_single(points: dict[str, dict[Key, Any]], name: str, value: float) -> None:
    assert [point.value for point in points[name].values()] == [value]


async def test_what_was_in_flight_at_the_end_is_not_any_more(sdk: Sdk) -> None:
    async with FakeInstantly(latency_s=30) as fake:
        client = InstantlyClient(fake.api_key, base_url=fake.url, observer=sdk.observer())
        tasks = [asyncio.ensure_future(client.get_lead(each)) for each in IDS[:5]]
        while len(fake.requests) < 5:
            await asyncio.sleep(0.01)
        assert sdk.value("instantly.in_flight") == 5
        await client.aclose()
        await asyncio.gather(*tasks, return_exceptions=True)
    points = sdk.read()
    assert_single(points, "instantly.in_flight", 0)
    assert_single(points, "instantly.requests", 5)


async def test_a_limiter_that_clients_share_counts_once(sdk: Sdk) -> None:
    limiter = AdaptiveLimiter()
    async with InstantlyClient("a-key", limiter=limiter) as first:
        async with InstantlyClient("a-key", limiter=limiter) as other:
            for client in (first, other):
                instrument(client, meter_provider=sdk.meters)
            assert sdk.value("instantly.limiter.limit") == 95.0
            limiter.pause(asyncio.get_running_loop().time(), 10.0)
            assert 9.9 < sdk.value("instantly.limiter.paused") < 11.1


async def test_an_exemplar_of_a_call_names_the_trace_of_its_caller(sdk: Sdk) -> None:
    """Though it is recorded later, together with others."""
    tracer, traces = sdk.tracers.get_tracer("the application"), []
    async with FakeInstantly() as fake:
        fake.script(IDS[1], Fault.status(400))
        async with InstantlyClient(
            fake.api_key, base_url=fake.url, observer=sdk.observer()
        ) as client:
            for lead_id in IDS[:3]:
                with tracer.start_as_current_span("a request") as span:
                    await asyncio.gather(client.get_lead(lead_id), return_exceptions=True)
                    traces.append(span.get_span_context().trace_id)
    rejected = frozenset({("http.response.status_code", 400)})
    (point,) = [each for key, each in sdk.read()[DURATION].items() if rejected <= key]
    assert [each.trace_id for each in point.exemplars] == [traces[1]]


async def test_a_request_that_nobody_waits_for_any_more_is_no_error(sdk: Sdk) -> None:
    async with FakeInstantly(latency_s=0.05, jitter_s=0.05) as fake:
        async with InstantlyClient(
            fake.api_key, base_url=fake.url, observer=sdk.observer(attempt_spans=True)
        ) as client:
            async with client.stream_leads(IDS) as stream:
                async for _ in stream:
                    break
    ended = [each for each in sdk.spans if (each.attributes or {}).get("error.type")]
    assert {(each.attributes or {})["error.type"] for each in ended} == {"CancelledError"}
    assert {each.status.status_code for each in sdk.spans} == {StatusCode.UNSET}


def test_an_export_by_a_signal_handler_does_not_wait_for_its_own_thread(sdk: Sdk) -> None:
    """It may interrupt the thread that holds any of our locks."""
    observer = sdk.observer()
    observer(ATTEMPT)
    metrics = metrics_of(sdk.meters)
    with metrics._lock, observer._totals._lock, observer._durations._flushing:
        assert sdk.read()[DURATION]
