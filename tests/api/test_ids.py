"""Which spellings are a lead id, and how it goes over the wire (row 19 of the fault matrix)."""

from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from instantly_async._api import wire_id

LEAD_ID = "019e18e2-6487-73d2-a3b2-643e2207f444"


@pytest.mark.parametrize(
    "lead_id",
    [
        LEAD_ID,
        LEAD_ID.upper(),
        f"  {LEAD_ID}\n",
        f"\u00a0{LEAD_ID}\u3000",
        UUID(LEAD_ID),
    ],
)
def test_a_uuid_goes_out_in_lower_case_without_white_space(lead_id: object) -> None:
    assert wire_id(lead_id) == LEAD_ID


@pytest.mark.parametrize(
    "lead_id",
    [
        "",
        " ",
        "../../v2/api-keys",
        "..%2f..%2fv2%2fapi-keys",
        "%2e%2e",
        "//evil.example/x",
        "http://evil.example/",
        f"{LEAD_ID}/../../api-keys",
        f"{LEAD_ID}?x=1",
        f"{LEAD_ID}#x",
        f"{LEAD_ID}\r\nX-Evil: 1",
        f"{LEAD_ID}\0",
        f"{LEAD_ID[:18]} {LEAD_ID[18:]}",
        f"{{{LEAD_ID}}}",
        f"urn:uuid:{LEAD_ID}",
        LEAD_ID.replace("-", ""),
        LEAD_ID[:-1],
        LEAD_ID + "0",
        LEAD_ID.replace("0", "g"),
        LEAD_ID.replace("0", "\u0660"),  # Arabic-Indic digit
        LEAD_ID.replace("a", "\uff41"),  # full-width letter
        LEAD_ID.replace("-", "\u2010"),
        LEAD_ID.encode(),
        UUID(LEAD_ID).bytes,
        UUID(LEAD_ID).int,
        None,
        0,
        [LEAD_ID],
    ],
)
def test_anything_else_is_no_id(lead_id: object) -> None:
    """Sent as it is, it would call another endpoint with the key (row 19)."""
    assert wire_id(lead_id) is None


@given(st.uuids())
def test_every_uuid_has_one_wire_id(value: UUID) -> None:
    assert wire_id(value) == wire_id(str(value)) == wire_id(str(value).upper()) == str(value)


@given(st.text(max_size=60) | st.text("0123456789abcdefABCDEF-/.%\u0661", max_size=40))
@example(LEAD_ID)
def test_a_wire_id_can_never_change_the_path(text: str) -> None:
    wire = wire_id(text)
    if wire is not None:
        assert len(wire) == 36
        assert set(wire) <= set("0123456789abcdef-")
        assert wire == text.strip().lower()
