"""The case ``decode`` at a tiny size. Its figures mean nothing here."""

import pytest

from benchmarks.cases import decode
from benchmarks.tables import Spread
from instantly_async import Lead
from instantly_async.decoding import LeadDecoder

pytestmark = [pytest.mark.bench, pytest.mark.soak]


def test_each_way_decodes_equal_leads() -> None:
    (table,) = decode.tables(rounds=1, times=1)
    assert len(table.rows) == 9
    assert all(isinstance(cell, Spread) for cell in table.column("on a page, µs a lead"))


def test_a_wrong_lead_is_noticed() -> None:
    """Nothing is timed if a parser loses a field."""
    (way,) = decode.by_json()
    wrong = way._replace(one=lambda lead_id, body: way.one(lead_id, body) | {"status": 99})
    with pytest.raises(AssertionError, match="status"):
        decode.compare(wrong, decode.make_sample(odd=0))


def test_an_odd_lead_takes_the_slow_way() -> None:
    """The client names the field that it had to convert."""
    sample = decode.make_sample(odd=1)
    problems = [
        LeadDecoder(Lead).decode(body, lead_id)[1]
        for lead_id, body in zip(sample.ids[:2], sample.bodies[:2], strict=True)
    ]
    assert problems == [("email_open_count",), ()]
