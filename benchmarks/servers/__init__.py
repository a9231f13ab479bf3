"""The servers, each in a process of its own."""

from benchmarks.servers.fake import LATENCY_S, RemoteFake, Tally, fake_process
from benchmarks.servers.fast import FastServer, fast_server, page_json

__all__ = [
    "LATENCY_S",
    "FastServer",
    "RemoteFake",
    "Tally",
    "fake_process",
    "fast_server",
    "page_json",
]
