"""CPU time to decode a lead of 3 kB, alone and on a page of 100, and the memory it takes."""

import gc
import json
import re
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import msgspec

from benchmarks.competitors.contract import ComparedDelivery
from benchmarks.competitors.floor import decode_page
from benchmarks.running import absent, turns
from benchmarks.tables import Cell, Chart, Column, Spread, Table, spread_of
from instantly_async import Lead, RetryPolicy, Timeouts
from instantly_async._api import Endpoints, Steps
from instantly_async.testing import lead_ids, lead_json

PAGE = 100

find_count = re.compile(rb'("email_open_count":)(\d+)')


class Way(NamedTuple):
    """How to make a lead, and a page of leads, of JSON. So many of the 100 leads are ``odd``."""

    name: str
    one: Callable[[str, bytes], Any]
    page: Callable[[list[str], bytes], Sequence[Any]]
    odd: int = 0


class Sample(NamedTuple):
    """Leads, alone and as a page, in the order of their ids."""

    ids: list[str]
    bodies: list[bytes]
    page: bytes


def make_sample(odd: int) -> Sample:
    """Return a sample. Its odd leads have a text where a number should be."""
    ids = list(lead_ids(PAGE))
    bodies = [lead_json(lead_id) for lead_id in ids]
    for index in range(odd):
        bodies[index] = find_count.sub(rb'\1"\2"', bodies[index])
    return Sample(ids, bodies, b'{"items":[%b]}' % b",".join(bodies))


def ours() -> Iterator[Way]:
    """Yield what the client calls, for usual and for odd leads."""
    endpoints = Endpoints(Lead, Timeouts(), RetryPolicy())
    read_lead, read_page = endpoints.get.read, endpoints.list(keep_raw=False).read

    def one(lead_id: str, body: bytes) -> Lead:
        item = read_lead(lead_id, body)
        return (item.at_once() if isinstance(item, Steps) else item).lead

    def page(ids: list[str], body: bytes) -> list[Lead]:
        read = read_page(ids, body)
        done = read.at_once() if isinstance(read, Steps) else read
        return [item.lead for item in done.found.values()]

    yield Way("ours", one, page)
    yield Way("ours, one odd lead of 100", one, page, odd=1)
    yield Way("ours, all leads odd", one, page, odd=PAGE)


def by_msgspec() -> Iterator[Way]:
    """Yield msgspec alone, without the checks of ours."""
    lead = msgspec.json.Decoder(Lead).decode
    yield Way(
        "msgspec, Struct", lambda _, body: lead(body), lambda _, body: decode_page(body).items
    )
    yield dictionaries("msgspec", msgspec.json.decode)


def by_json() -> Iterator[Way]:
    """Yield the standard library."""
    yield dictionaries("json", json.loads)


def by_orjson() -> Iterator[Way]:
    """Yield the fastest parser that makes dictionaries."""
    import orjson  # noqa: PLC0415 - not everywhere

    yield dictionaries("orjson", orjson.loads)


def by_pydantic() -> Iterator[Way]:
    """Yield the peer's model: as the peer uses it, after ``json``; and at its best."""
    from instantlyai.models import Lead as PeerLead  # noqa: PLC0415 - not everywhere
    from pydantic import create_model  # noqa: PLC0415 - likewise

    make, page_model = PeerLead.model_validate, create_model("Page", items=list[PeerLead])
    yield Way(
        "pydantic after json, as instantlyai",
        lambda _, body: make(json.loads(body)),
        lambda _, body: [make(item) for item in json.loads(body)["items"]],
    )
    yield Way(
        "pydantic, model_validate_json",
        lambda _, body: PeerLead.model_validate_json(body),
        lambda _, body: page_model.model_validate_json(body).items,
    )


def dictionaries(package: str, loads: Callable[[bytes], Any]) -> Way:
    """Return a parser that makes dictionaries."""
    return Way(
        f"{package}, dict", lambda _, body: loads(body), lambda _, body: loads(body)["items"]
    )


NEEDS = {
    ours: "msgspec",
    by_msgspec: "msgspec",
    by_orjson: "orjson",
    by_json: "json",
    by_pydantic: "instantlyai",
}
"""The package that each needs."""


def compare(way: Way, sample: Sample) -> None:
    """Raise AssertionError if a field of a lead is not as it was sent."""
    compared = ComparedDelivery()
    alone = [way.one(*pair) for pair in zip(sample.ids, sample.bodies, strict=True)]
    for leads in (alone, way.page(sample.ids, sample.page)):
        for lead_id, lead in zip(sample.ids, leads, strict=True):
            compared(lead_id, lead)
    assert compared.delivered == 2 * PAGE


def time_alone(way: Way, sample: Sample, times: int) -> float:
    """Return µs of CPU for a lead that comes alone."""
    pairs = [*zip(sample.ids, sample.bodies, strict=True)] * times
    began = time.process_time()
    for lead_id, body in pairs:
        way.one(lead_id, body)
    return (time.process_time() - began) / len(pairs) * 1e6


def time_page(way: Way, sample: Sample, times: int) -> float:
    """Return µs of CPU for a lead that comes on a page."""
    began = time.process_time()
    for _ in range(times):
        way.page(sample.ids, sample.page)
    return (time.process_time() - began) / times / PAGE * 1e6


def memory_kb(way: Way, sample: Sample) -> float:
    """Return kB of memory for a lead that is kept, without its JSON."""
    gc.collect()
    tracemalloc.start()
    leads = [way.one(*pair) for pair in zip(sample.ids, sample.bodies, strict=True)]
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return kept / len(leads) / 1e3


NOTES = [
    "Ours includes all checks of the client: the id, the UTF-8, and whether a lead is missing.",
    "An odd lead has a text where a number should be. Ours converts it, and says so.",
    "Memory is what tracemalloc counts, without the JSON itself.",
]


def tables(*, rounds: int = 9, times: int = 10) -> list[Table]:
    """Compare all, in turns, in this process; takes half a minute."""
    ways = [way for make, package in NEEDS.items() if find_spec(package) for way in make()]
    notes = absent(package for package in NEEDS.values() if not find_spec(package))
    notes += [f"CPU time. {spread_of(rounds)}.", *NOTES]
    columns = [
        Column("way"),
        Column("alone, µs a lead", 1),
        Column("on a page, µs a lead", 1),
        Column("kept, kB a lead", 1),
    ]
    rows = measure(ways, rounds, times)
    return [Table("Decoding", columns, rows, notes, [Chart("on a page, µs a lead")])]


def measure(ways: list[Way], rounds: int, times: int) -> list[list[Cell]]:
    """Return the rows, after all ways have made equal leads."""
    samples = {way: make_sample(way.odd) for way in ways}
    for way, sample in samples.items():
        compare(way, sample)
    alone, paged = defaultdict[Way, list[float]](list), defaultdict[Way, list[float]](list)
    for way in turns(ways, rounds):
        alone[way].append(time_alone(way, samples[way], times))
        paged[way].append(time_page(way, samples[way], times))
    return [
        [
            way.name,
            None if way.odd == 1 else Spread.of(alone[way]),
            Spread.of(paged[way]),
            memory_kb(way, samples[way]),
        ]
        for way in ways
    ]
