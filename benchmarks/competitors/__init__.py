"""Those who fetch leads: what people use, the floor, and ours."""

from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple, cast

from benchmarks.competitors.contract import Competitor, Run, Task

__all__ = ["COMPETITORS", "OBSERVERS", "Entry", "Run", "Task", "is_installed", "open_competitor"]


class Entry(NamedTuple):
    """What a competitor is called in tables, where its code is, and the package it needs."""

    label: str
    place: str
    package: str = "aiohttp"


COMPETITORS = {
    "peer": Entry("instantlyai, gather", "peer:plain", "instantlyai"),
    "peer-semaphore": Entry("instantlyai, semaphore", "peer:under_semaphore", "instantlyai"),
    "peer-limit": Entry("instantlyai, 6,000/min", "peer:at_the_limit", "instantlyai"),
    "peer-best": Entry("instantlyai, 5,700/min, 10 retries", "peer:below_the_limit", "instantlyai"),
    "peer-list": Entry("instantlyai, pages", "peer:by_list", "instantlyai"),
    "httpx": Entry("httpx, workers", "httpx_workers:workers", "httpx"),
    "niquests": Entry("niquests, workers", "niquests_workers:workers", "niquests"),
    "niquests-retries": Entry(
        "niquests, workers, its retries", "niquests_workers:with_retries", "niquests"
    ),
    "hand": Entry("aiohttp, gather", "by_hand:plain"),
    "hand-semaphore": Entry("aiohttp, semaphore", "by_hand:under_semaphore"),
    "hand-workers": Entry("aiohttp, workers", "by_hand:workers"),
    "hand-limiter": Entry("aiohttp, aiolimiter", "by_hand:with_limiter"),
    "hand-paced": Entry("aiohttp, aiolimiter, no bursts", "by_hand:without_bursts"),
    "hand-both": Entry("aiohttp, no bursts, retries", "by_hand:with_both"),
    "hand-list": Entry("aiohttp, pages", "by_hand:by_list"),
    "hand-retries": Entry("aiohttp, semaphore, retries", "by_hand:with_retries"),
    "bare": Entry("bare aiohttp, bytes", "floor:aiohttp_bytes"),
    "bare-pages": Entry("bare aiohttp, pages", "floor:aiohttp_pages"),
    "protocol": Entry("bare protocol, bytes", "floor:protocol"),
    "hand-workspaces": Entry("aiohttp, aiolimiter", "by_hand:in_workspaces"),
    "hand-paced-workspaces": Entry("aiohttp, aiolimiter, no bursts", "by_hand:paced_in_workspaces"),
    "workspaces": Entry("ours, by get", "ours:in_workspaces"),
    "get": Entry("ours, by get", "ours:by_get"),
    "list": Entry("ours, by list", "ours:by_list"),
    "loader": Entry("ours, loader", "ours:by_loader"),
    "get-lead": Entry("ours, get_lead", "ours:by_get_lead"),
}

OBSERVERS = {
    "alone": "nobody",
    "told": "a function that does nothing",
    "counted": "OpenTelemetry, no durations",
    "measured": "OpenTelemetry",
    "all": "OpenTelemetry, all durations",
    "traced": "OpenTelemetry, a span per attempt",
}
COMPETITORS |= {
    f"{strategy}-{name}": Entry(label, f"observed:by_{strategy}_{name}", "opentelemetry.sdk")
    for strategy in ("get", "list")
    for name, label in OBSERVERS.items()
}


def is_installed(name: str) -> bool:
    """Return whether the package that this competitor needs is here."""
    try:
        return find_spec(COMPETITORS[name].package) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False


def open_competitor(name: str) -> Competitor:
    """Import a competitor."""
    module, _, function = COMPETITORS[name].place.partition(":")
    return cast(Competitor, getattr(import_module(f"benchmarks.competitors.{module}"), function))
