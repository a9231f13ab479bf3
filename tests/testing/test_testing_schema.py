"""Invented leads agree with the vendor's schema of a lead (``tests/samples``)."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from instantly_async.testing import Behaviour, lead_ids, lead_json
from instantly_async.testing.leads import TEMPLATES, LeadRenderer

SCHEMA = json.loads((Path(__file__).parents[1] / "samples" / "lead-schema.json").read_bytes())

FORMATS = FormatChecker(("uuid",))
FORMATS.checks("date-time", raises=ValueError)(
    # Of a null there is nothing to check, where the schema allows it.
    lambda value: value is None or datetime.fromisoformat(value).tzinfo is not None
)
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FORMATS)

LEADS = {each: lead_json(each) for each in lead_ids(10 * TEMPLATES)}
LISTED = LeadRenderer(Behaviour().list_payload_keys)


def test_the_sample_has_a_lead_of_each_template() -> None:
    bodies = (body.replace(each.encode(), b"") for each, body in LEADS.items())
    assert len(set(bodies)) == TEMPLATES


def test_leads_agree_with_the_schema_of_the_vendor() -> None:
    for lead_id, body in LEADS.items():
        VALIDATOR.validate(json.loads(body))
        VALIDATOR.validate(json.loads(LISTED.render(lead_id)))


@pytest.mark.parametrize(
    "odd",
    [
        {"campaign": "spring"},
        {"timestamp_created": "yesterday"},
        {"timestamp_created": None},
        {"payload": {"phone": None}},
        {"payload": {"tags": []}},
        {"not_documented": 1},
        {"status": 5},
    ],
)
def test_the_schema_is_strict(odd: dict[str, Any]) -> None:
    """A validator that checks no format, or allows further fields, would find nothing."""
    lead = json.loads(next(iter(LEADS.values())))
    with pytest.raises(ValidationError):
        VALIDATOR.validate(lead | odd)
