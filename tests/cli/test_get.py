"""``get``: several ids, fields, and leads for a person on a terminal."""

import json
import os
import pty
import subprocess
import unicodedata

import pytest
from commands import IDS, MODULE, Command
from hypothesis import given
from hypothesis import strategies as st

from instantly_async.cli.pretty import to_pretty
from instantly_async.testing import FakeInstantly, Fault, lead_json

pytestmark = [
    pytest.mark.fake_instantly(rate_limit=None),
    pytest.mark.usefixtures("environment"),
]


def test_several_leads_in_the_order_given(command: Command, fake_instantly: FakeInstantly) -> None:
    """Also if the first is answered last. An id in another spelling is the same id."""
    fake_instantly.script(IDS[3], Fault.status(500))
    asked = [IDS[3], IDS[0], IDS[3].upper(), IDS[2], IDS[0]]
    lines = b"".join(lead_json(each) + b"\n" for each in (IDS[3], IDS[0], IDS[2]))
    assert command("get", *asked, "--log-level", "error") == (0, lines, "")


def test_each_missing_lead_is_named(command: Command, fake_instantly: FakeInstantly) -> None:
    """The others are printed all the same."""
    fake_instantly.unknown = {IDS[0], IDS[2]}
    code, out, err = command("get", *IDS[:4])
    assert (code, out) == (3, b"".join(lead_json(IDS[n]) + b"\n" for n in (1, 3)))
    assert err.splitlines() == [f"not found: {IDS[0]}", f"not found: {IDS[2]}"]


def test_fields(command: Command) -> None:
    """As with ``fetch``: in this order, and ``null`` for a field that the lead lacks."""
    names = ["id", "email", "payload.no_such_key"]
    result = command("get", IDS[0], "--fields", ",".join(names))
    lead = json.loads(lead_json(IDS[0]))
    assert json.loads(result.out) == {"id": IDS[0], "email": lead["email"], names[2]: None}
    assert list(json.loads(result.out)) == names
    refused = command("get", IDS[0], "--fields", "id,stauts")
    assert (refused.code, refused.out) == (2, b"")
    assert 'the nearest is "status"' in refused.err


def test_an_id_that_is_none(command: Command, fake_instantly: FakeInstantly) -> None:
    """It is named by its place, because it may be an email; no request is sent."""
    code, out, err = command("get", IDS[0], "ada@example.com")
    assert (code, out) == (2, b"")
    assert err.startswith("A lead id is a UUID, such as ")
    assert err.endswith("; argument 2 is not one.\n")
    assert "ada" not in err
    assert not fake_instantly.requests


def test_on_a_terminal_a_lead_is_indented() -> None:
    """And nothing in it can move the cursor. In a pipe it is one line, as the tests above show."""
    mine, theirs = pty.openpty()
    done = subprocess.run([*MODULE, "get", IDS[0]], stdout=theirs, check=False)
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(mine, 65536):
            drawn += chunk
    except OSError:  # EIO: nobody has the other side open any more
        pass
    os.close(mine)
    assert done.returncode == 0
    text = drawn.decode().replace("\r\n", "\n")
    assert text.startswith(f'{{\n  "id": "{IDS[0]}",\n')
    assert json.loads(text) == json.loads(lead_json(IDS[0]))
    assert "\x1b" not in text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_pretty_lead_means_the_same(value: object) -> None:
    """Without control characters, marks of direction and other hidden ones."""
    line = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
    shown = to_pretty(line + b"\n").decode()
    hidden = [c for c in shown if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} and c != "\n"]
    assert not hidden
    assert json.loads(shown) == value


def test_what_a_pretty_lead_escapes() -> None:
    """DEL, C1, marks of direction, and a character beyond U+FFFF; numbers stay as they are."""
    line = '{"a":"\x7f\x9b2J\u202e\U000e0041é🙂","b":1.50}\n'.encode()
    expected = '{\n  "a": "\\u007f\\u009b2J\\u202e\\udb40\\udc41é🙂",\n  "b": 1.50\n}\n'
    assert to_pretty(line).decode() == expected


def test_a_pretty_line_that_is_not_json() -> None:
    assert to_pretty(b'{"a": \x1b\xff\n') == '{"a": \\u001b\ufffd\n'.encode()
