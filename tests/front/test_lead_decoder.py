"""Leads from JSON that the caller holds."""

from uuid import UUID

import msgspec
import pytest

from instantly_async import ConfigurationError, DecodeError, InvalidLeadIdError, Lead
from instantly_async.decoding import LeadDecoder
from instantly_async.testing import lead_ids, lead_json

ID, OTHER = lead_ids(2)
ODD = lead_json(ID).replace(b'"email_open_count":0', b'"email_open_count":"3"')


@pytest.mark.parametrize("lead_id", [None, ID, ID.upper(), UUID(ID)])
def test_a_lead(lead_id: str | UUID | None) -> None:
    lead, problems = LeadDecoder(Lead).decode(lead_json(ID), lead_id)
    assert (lead.id, problems) == (ID, ())
    lead, problems = LeadDecoder(Lead).decode(ODD, lead_id)
    assert (lead.email_open_count, problems) == (3, ("email_open_count",))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", lead_json(ID)[:-9]])
@pytest.mark.parametrize("lead_id", [None, ID])
def test_no_lead(body: bytes, lead_id: str | None) -> None:
    with pytest.raises(DecodeError) as caught:
        LeadDecoder(Lead).decode(body, lead_id)
    assert caught.value.raw == body


def test_another_lead() -> None:
    with pytest.raises(DecodeError, match="different lead"):
        LeadDecoder(Lead).decode(lead_json(ID), OTHER)
    with pytest.raises(InvalidLeadIdError):
        LeadDecoder(Lead).decode(lead_json(ID), "../api-keys")


def test_a_type_of_ones_own() -> None:
    class Email(msgspec.Struct):
        email: str

    lead, _ = LeadDecoder(Email).decode(lead_json(ID), ID)
    assert lead.email.endswith("@example.com")
    with pytest.raises(ConfigurationError):
        LeadDecoder(dict)
