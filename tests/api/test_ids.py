"""Which spellings are a lead id, and how it goes over the wire (row 19 of the fault matrix)."""

import re
import sys
import unicodedata
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from instantly_async._api import BLANK, wire_id

LEAD_ID = "019e18e2-6487-73d2-a3b2-643e2207f444"


DIGITS = LEAD_ID.replace("-", "")


@pytest.mark.parametrize(
    "lead_id",
    [
        LEAD_ID,
        LEAD_ID.upper(),
        f"  {LEAD_ID}\n",
        f"\u00a0{LEAD_ID}\u3000",
        f"\ufeff{LEAD_ID}\u200b",
        f"\u202a\xad{{{DIGITS}}}\u202c\u2060 ",
        DIGITS,
        DIGITS.upper(),
        f"{{{LEAD_ID}}}",
        f"{{{DIGITS.upper()}}}",
        f"urn:uuid:{LEAD_ID}",
        f"URN:UUID:{DIGITS}",
        UUID(LEAD_ID),
    ],
)
def test_each_spelling_goes_out_in_lower_case_with_hyphens(lead_id: object) -> None:
    assert wire_id(lead_id) == LEAD_ID


def test_an_id_of_a_subclass_goes_out_as_a_plain_string() -> None:
    """The command's ids know their line; msgspec would not encode them."""

    class Sub(str):
        __slots__ = ()

    assert type(wire_id(Sub(LEAD_ID))) is str


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
        f"{{{LEAD_ID}",
        f"{LEAD_ID}}}",
        f"}}{LEAD_ID}{{",
        f"{{{{{LEAD_ID}}}}}",
        f"{{ {LEAD_ID} }}",
        f"({LEAD_ID})",
        f"urn:uuid:{{{LEAD_ID}}}",
        f"{{urn:uuid:{LEAD_ID}}}",
        f"urn:uuid: {LEAD_ID}",
        f"urn:{LEAD_ID}",
        f"uuid:{LEAD_ID}",
        f"urn:uu\u0131d:{LEAD_ID}",  # a dotless i
        f"-{LEAD_ID}",
        f"{LEAD_ID}-",
        LEAD_ID.replace("-", "", 1),
        LEAD_ID.replace("-", "--", 1),
        f"{DIGITS[:16]}-{DIGITS[16:]}",
        f"{DIGITS[:4]}-{DIGITS[4:8]}-{DIGITS[8:16]}-{DIGITS[16:20]}-{DIGITS[20:]}",
        "-".join(DIGITS),
        f"{LEAD_ID[:8]}{{}}{LEAD_ID[8:]}",
        f"{LEAD_ID[:8]}\u200b{LEAD_ID[8:]}",
        "{../../v2/api-keys}",
        "urn:uuid:../../v2/api-keys",
        "-" * 36,
        "{" + "-" * 34 + "}",
        LEAD_ID[:-1],
        DIGITS[:-1],
        DIGITS + "0",
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


def test_a_uuid_of_another_class_cannot_bring_its_own_text() -> None:
    class Odd(UUID):
        def __str__(self) -> str:
            return "../../v2/api-keys"

    assert wire_id(Odd(LEAD_ID)) == LEAD_ID


@given(st.uuids(), st.data())
def test_every_uuid_has_one_wire_id(value: UUID, data: st.DataObject) -> None:
    """Law: whatever the spelling, the case, and the blanks around it."""
    assert wire_id(value) == str(value)
    blanks = st.text(st.sampled_from(BLANK), max_size=3)
    plain = data.draw(st.sampled_from([str(value), value.hex]))
    spelled = data.draw(st.sampled_from([plain, f"{{{plain}}}", f"urn:uuid:{plain}"]))
    cased = data.draw(st.sampled_from([spelled, spelled.upper()]))
    assert wire_id(data.draw(blanks) + cased + data.draw(blanks)) == str(value)
    assert UUID(cased.lower()) == value  # Python agrees, in lower case


@given(st.text(max_size=60) | st.text("0123456789abcdefABCDEF-/.%{}\u0661\u200b", max_size=40))
@example(LEAD_ID)
@example(f"{{{DIGITS}}}")
def test_a_wire_id_can_never_change_the_path(text: str) -> None:
    wire = wire_id(text)
    if wire is not None:
        assert re.fullmatch("[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", wire)
        assert wire.replace("-", "") in text.lower().replace("-", "")


def test_blank_is_white_space_and_what_cannot_be_seen() -> None:
    """Python knows the former; of the latter, Unicode says that they are format characters."""
    others = [each for each in BLANK if not each.isspace()]
    assert set(BLANK) >= {each for each in map(chr, range(sys.maxunicode + 1)) if each.isspace()}
    assert {unicodedata.category(each) for each in others} == {"Cf"}
