"""The servers, each in a process of its own."""

from benchmarks.servers.fake import LATENCY_S, RemoteFake, Tally, fake_process
from benchmarks.servers.fast import FastServer, fast_server, page_json
from benchmarks.servers.haproxy import HAProxy, find_haproxy, haproxy_before

__all__ = [
    "LATENCY_S",
    "FastServer",
    "HAProxy",
    "RemoteFake",
    "Tally",
    "fake_process",
    "fast_server",
    "find_haproxy",
    "haproxy_before",
    "page_json",
]
