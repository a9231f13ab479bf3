"""Answers of a hostile server, made by Hypothesis: everything that bytes and a socket can do.

A ``Reaction`` is what the server does with one request. Most are one step away from a good answer,
because pure noise is refused at the first byte and never gets far. Every answer quotes the API key
and an email address where it can, so that tests can search for them.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from gzip import compress
from typing import Any

from hypothesis import strategies as st

from instantly_async.testing import lead_ids, lead_json, make_lead

KEY = "canary-key-0123456789"
EMAIL = "ada.canary@example.com"
MARK = "canary-body"
"""Only answers hold it, so no error may, except as the API's reason for a rejection."""

GOOD = list(lead_ids(3))
"""Ids whose own requests are always answered well: the neighbours."""

BAD = list(lead_ids(2, seed=1))
STRANGER = next(lead_ids(1, seed=2))
REFUSAL = json.dumps({"statusCode": 404, "error": "Not Found", "message": f"{MARK}"}).encode()


class End(Enum):
    """What follows after the last byte."""

    KEEP = "wait for the next request"
    CLOSE = "FIN"
    RESET = "RST"
    HANG = "nothing"


@dataclass(frozen=True)
class Reaction:
    """Pieces to write, one by one, and what follows."""

    pieces: tuple[bytes, ...]
    end: End

    def __repr__(self) -> str:
        """Return an expression that makes an equal one, if it is short enough to be read."""
        pieces = [repr(piece) for piece in self.pieces[:8]]
        texts = [t if len(t) < 6000 else f"{t[:400]} … {t[-200:]}" for t in pieces]
        more = f" and {len(self.pieces) - 8} more" if len(self.pieces) > 8 else ""
        return f"Reaction(({', '.join(texts)}{more}), {self.end})"


# --- JSON --------------------------------------------------------------------------------

_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)
_odd_tokens = st.sampled_from(
    [
        "NaN", "-Infinity", "1e400", "-0", "01", "1.", "+1", "1" * 5000, f"{'9' * 400}.0",
        '"\\ud83d"', '"\\ude00\\ud83d"', '"\\u0000"', '"\x01"', '"\\x"', '"\\u12"', '"', "'a'",
        "", "nul", "undefined", "[", "{", "]", "[1,]", '{"a":}', '{"a":1,"a":2}',
        "[" * 3000, "[" * 300 + "]" * 300, '{"a":' * 3000 + "1" + "}" * 3000,
        "[" * 200_000, '"2025-11-01T00:00:00"', '"9999-12-31T23:59:60Z"', '"-1"', '"1e5"',
        '"\ufeff"', '"\U0001f600"', '"\u2028"', "1 2", "/* c */1",
        f'"{EMAIL}"', f'"Bearer {KEY}"', f'"{MARK}"', f'{{"{MARK}":"{EMAIL}"}}',
    ]
)  # fmt: skip
token = st.one_of(_odd_tokens, _plain.map(json.dumps))
"""The JSON of one value, often not valid."""

_LEAD_KEYS = sorted(make_lead(GOOD[0]))


def _object(members: Sequence[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in members) + "}"


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@st.composite
def odd_lead(draw: st.DrawFn, lead_id: str) -> bytes:
    """Draw a lead with members that are changed, left out, renamed or repeated."""
    members = [(key, json.dumps(value)) for key, value in make_lead(lead_id).items()]
    for key in draw(st.lists(st.sampled_from([*_LEAD_KEYS, "id", "x\ud83d"]), max_size=3)):
        value = draw(token)
        if draw(st.booleans()):
            members = [member for member in members if member[0] != key]
        members.append((key, value))
    ids = [lead_id.upper(), f" {lead_id}", STRANGER, GOOD[0], BAD[0], "", "x", f"{lead_id}\0"]
    match draw(st.sampled_from(["own", "own", "own", "other", "none", "token"])):
        case "other":
            members = [("id", json.dumps(draw(st.sampled_from(ids)))), *members[1:]]
        case "none":
            members = members[1:]
        case "token":
            members = [("id", draw(token)), *members[1:]]
    return _utf8(_object(members))


_NOISE = [b"\xff", b"\x00", b"\xed\xa0\xbd", b"\xf0\x9f", b"\xc0\x80", b"\x80"]
"""Never valid in JSON, wherever it is put, so it cannot turn one good value into another."""


@st.composite
def spoilt(draw: st.DrawFn, body: bytes) -> bytes:
    """Draw the body, or a damaged form of it."""
    kinds = ["not", "not", "cut", "noise", "bom", "padded", "more", "utf-16", "twice"]
    match draw(st.sampled_from(kinds)):
        case "cut":
            return body[: draw(st.integers(0, len(body)))]
        case "noise":
            at = draw(st.integers(0, len(body)))
            return body[:at] + draw(st.sampled_from(_NOISE)) + body[at:]
        case "bom":
            return b"\xef\xbb\xbf" + body
        case "padded":
            return b" \r\n\t" * 9 + body + b"\n" * 9
        case "more":
            return body + draw(st.sampled_from([b"}", b"\0", b"x", b",", b"\xff", body]))
        case "utf-16":
            return body.decode(errors="replace").encode("utf-16", "replace")
        case "twice":
            return body + b"\n" + body
    return body


_MESSAGES = st.builds(
    "".join,
    st.lists(
        st.sampled_from([KEY, EMAIL, " ", "\n", "\x1b[2J", "é", "Route GET:/ "])
        | st.text(max_size=5)
    ),
)
error_bodies = st.builds(
    lambda message, token: _utf8(
        _object([("statusCode", token), ("error", '"E"'), ("message", message)])
    ),
    _MESSAGES.map(json.dumps) | token,
    st.sampled_from(["400", "404", "4e2", '"400"', "null"]),
)
_other_bodies = st.one_of(
    error_bodies,
    st.binary(max_size=30),
    token.map(_utf8),
    st.sampled_from(
        [
            b"", b"\0" * 50, f"<html><p>{MARK} {EMAIL} {KEY}".encode(), b"error code: 1010",
            b" " * (1 << 21),
        ]
    ),
)  # fmt: skip


def lead_bodies(lead_id: str) -> st.SearchStrategy[bytes]:
    """Bodies that *Get lead* may return for this id."""
    return st.one_of(
        st.just(lead_json(lead_id)),
        odd_lead(lead_id),
        odd_lead(lead_id).flatmap(spoilt),
        spoilt(lead_json(lead_id)),
        st.sampled_from([STRANGER, *GOOD]).map(lead_json),
        _other_bodies,
    )


@st.composite
def page_bodies(draw: st.DrawFn) -> bytes:
    """Draw a page: good leads, changed, garbled and repeated ones, strangers, other things.

    An item with the id of a neighbour is always that lead, whole or spoilt.
    """
    item = st.one_of(
        st.sampled_from([*GOOD, *BAD]).map(lead_json),
        st.sampled_from(BAD).flatmap(odd_lead),
        st.sampled_from([*GOOD, *BAD]).map(lead_json).flatmap(spoilt),
        st.just(lead_json(STRANGER)),
        token.map(_utf8),
    )
    items = [lead_json(each) for each in GOOD] if draw(st.booleans()) else []
    items += draw(st.lists(item, max_size=5))
    page = b"[" + b",".join(items) + b"]"
    members = [b'"items":' + page]
    for extra in draw(
        st.lists(st.sampled_from(["before", "after", "again", "cursor"]), max_size=2)
    ):
        value = _utf8(draw(token))
        match extra:
            case "before":
                members.insert(0, b'"x":' + value)
            case "after":
                members.append(b'"x":' + value)
            case "again":
                members.append(b'"items":' + value)
            case "cursor":
                members.append(b'"next_starting_after":' + value)
    body = b"{" + b",".join(members) + b"}"
    return draw(st.one_of(st.just(body), spoilt(body), _other_bodies))


# --- heads -------------------------------------------------------------------------------

_STATUS_LINES = [
    b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.0 200 OK", b"HTTP/0.9 200 OK", b"HTTP/2 200 OK",
    b"HTTP/2.0 200 OK", b"HTTP/3.7 200 OK", b"http/1.1 200 OK", b"HTTP/1.1  200 OK",
    b"HTTP/1.1\t200 OK", b"HTTP/1.1 20", b"HTTP/1.1 2000 OK", b"HTTP/1.1 -200 OK", b"HTTP/1.1 0 OK",
    b"HTTP/1.1 099 OK", b"HTTP/1.1 999 OK", b"HTTP/1.1 2OO OK", b"HTTP/1.1 OK", b"HTTP/1.1", b"",
    b"HTTP/11 200 OK", b"HTTP/1.1 \xc2\xb200 OK", b"ICY 200 OK", b"SSH-2.0-OpenSSH_9.6",
    b"\r\nHTTP/1.1 200 OK", b"\r\n\r\n\r\nHTTP/1.1 200 OK", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    b"GET / HTTP/1.1", b"HTTP/1.1 200 OK\rHTTP/1.1 404 No", b"HTTP/1.1 200 \xff\xfe\x80",
    b"HTTP/1.1 200 " + b"x" * 10_000, f"HTTP/1.1 200 {MARK} {KEY} {EMAIL}".encode(),
]  # fmt: skip
_known_codes = st.sampled_from(
    [200, 201, 204, 205, 206, 301, 304, 400, 401, 402, 403, 404, 407, 408, 413, 422, 429, 500, 503]
)
_status_lines = st.one_of(
    st.just(b"HTTP/1.1 200 OK"),
    st.just(b"HTTP/1.1 200 OK"),
    st.sampled_from(_STATUS_LINES),
    _known_codes.map(lambda code: b"HTTP/1.1 %d %s %s" % (code, MARK.encode(), KEY.encode())),
    st.integers(100, 599).map(lambda code: b"HTTP/1.1 %d Code" % code),
    st.binary(max_size=12),
)

_RETRY_AFTER = [
    "0", "0.001", "0.01", "1e-9", "1", "60", "1e9", "1e308", "1e400", "-1", "-0", "nan", "inf",
    "soon", "", "0x1", "1_0", "\u0661", "1,2", "9" * 400, "Thu, 01 Jan 1970 00:00:00 GMT",
    "1e300", "1778534040", "1778534040000", "3 s", "1, 1",
    "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "Sun Nov  6 08:49:37 1994", "Mon, 00 Jan 2026", "Mon, 32 Foo 2026 25:61:61 GMT", "1 1 1 1 1",
    "Thu, 01 Jan 99999999999999999999 00:00:00 GMT", "Thu, 01 Jan 2026 00:00:00 +99999999999999999",
]  # fmt: skip
_text = st.text(st.characters(codec="utf-8"), max_size=12).map(_utf8)
_raw = st.binary(max_size=12)
_headers = st.one_of(
    st.sampled_from(_RETRY_AFTER).map(lambda value: _utf8(f"Retry-After: {value}")),
    _raw.map(b"Retry-After: ".__add__),
    st.sampled_from([*_RETRY_AFTER[-8:], MARK]).map(lambda value: _utf8(f"Date: {value}")),
    st.sampled_from(
        [
            b"Connection: close", b"Connection: keep-alive", b"Connection: upgrade\r\nUpgrade: h2c",
            b"Connection: close, keep-alive", b"Connection: Transfer-Encoding", b"Connection: \xff",
            b"Keep-Alive: timeout=-1, max=0", b"Upgrade: websocket", b"Trailer: Content-Length",
            b"Location: file:///etc/passwd", b"Location: //evil.example/x", b"Location: \xff://[",
            f"Location: http://127.0.0.1:1/{KEY}?{EMAIL}".encode(), b"Location: " + b"x" * 9000,
            f"Set-Cookie: a={KEY}; Domain=.example.com; Max-Age=-1".encode(),
            b"Set-Cookie: ;=;\xff",
            f"X-{MARK}: {EMAIL}".encode(), f"WWW-Authenticate: Bearer {KEY}".encode(),
            b"X-Long: " + b"x" * 8200, b"X-Longer: " + b"x" * 100_000, b"X" * 9000 + b": 1",
            b"\r\n".join(b"X-%d: 1" % number for number in range(200)),
            b"\r\n".join(b"X-%d: 1" % number for number in range(300)),
            b"X-Fold: a\r\n b\r\n\tc", b" X-Fold: first", b"X-Bare: a\rb", b"X-Nul: a\0b",
            b"X-Feed: a\nb",
            b"No colon", b": no name", b"Spaced : 1", b'X("): 1', b"X:", b"\xc3\xa9: 1",
            b"X: \xff\x80",
            b"Content-Type: text/html; charset=utf-16", b"Content-Type: \xff; charset=x",
            b"Content-Range: bytes 0-1/2", b"Age: -1", b"Vary: *", b"Sec-WebSocket-Accept: x",
        ]
    ),
    st.builds(lambda name, value: name + b": " + value, _text | _raw, _text | _raw),
)  # fmt: skip

_BOMB = compress(bytes(18 << 20))


@st.composite
def _coded(draw: st.DrawFn, body: bytes) -> tuple[list[bytes], bytes]:
    """Draw a coding of the body, right or wrong, and its headers."""
    names = [
        "gzip",
        "deflate",
        "br",
        "zstd",
        "identity",
        "GZIP",
        "x-gzip",
        "gzip, gzip",
        "\xff",
        "",
    ]
    name = draw(st.sampled_from(names))
    forms = ["as is", "gzip", "zlib", "raw", "cut", "two", "more", "damaged", "bomb"]
    form = draw(st.sampled_from(["as is"] if name in names[2:5] else forms))
    coded = compress(body, mtime=0)
    match form:
        case "as is":
            coded = body
        case "zlib":
            coded = zlib.compress(body)
        case "raw":
            coded = zlib.compress(body)[2:-4]
        case "cut":
            coded = coded[: draw(st.integers(0, len(coded)))]
        case "two":
            coded = compress(body[:9], mtime=0) + compress(body[9:], mtime=0)
        case "more":
            coded += b"\0\xff"
        case "damaged":
            at = draw(st.integers(0, len(coded) - 1))
            coded = coded[:at] + bytes([coded[at] ^ 0x55]) + coded[at + 1 :]
        case "bomb":
            coded = _BOMB
    return [f"Content-Encoding: {name}".encode("latin-1")], coded


@st.composite
def _chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """Draw the body in chunks, which may be wrong."""
    size = draw(st.sampled_from([1, 7, 1000, 1 << 20]))
    parts = [body[at : at + size] for at in range(0, len(body[:9000]), size)]
    if len(body) > 9000:
        parts.append(body[9000:])
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
    last = b"0\r\n\r\n"
    if draw(st.booleans()):
        odd = [  # data that is never valid in JSON, as in _NOISE
            b"-1\r\n", b"0x5\r\n\xff\xff\xff\xff\xff\r\n", b"\r\n", b"zz\r\n", b"f" * 20 + b"\r\n",
            b'5;ext="\xff"\r\n\xff\xff\xff\xff\xff\r\n',
            b"5\n\xff\xff\xff\xff\xff\n", b"00000000000000005\r\n\xff\xff\xff\xff\xff\r\n",
            b" 5 \r\n\xff\xff\xff\xff\xff\r\n",
            b"5\r\n\xff\xff\xff\xff\xffXX\r\n",
            b"7fffffffffffffff\r\n", b"5;" + b"x" * 70_000 + b"\r\n\xff\xff\xff\xff\xff\r\n",
            b"\xd9\xa5\r\n\xff\xff\xff\xff\xff\r\n", b"+5\r\n\xff\xff\xff\xff\xff\r\n",
        ]  # fmt: skip
        chunks.insert(draw(st.integers(0, len(chunks))), draw(st.sampled_from(odd)))
    if draw(st.booleans()):
        last = draw(
            st.sampled_from(
                [
                    b"", b"0", b"0\r\n", b"0\r\nX: 1\r\n\r\n", b"0\r\nContent-Length: 1\r\n\r\n",
                    b"0\r\n" + b"X: 1\r\n" * 300 + b"\r\n", b"0\r\n\xff\r\n\r\n", b"0000\r\n\r\n",
                    b"0\n\n",
                    b"0\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
                ]
            )
        )  # fmt: skip
    return b"".join(chunks) + last


@st.composite
def _framed(draw: st.DrawFn, body: bytes) -> tuple[list[bytes], bytes]:
    """Draw the framing of the body, right or wrong, and its headers."""
    length = b"Content-Length: %d" % len(body)
    match draw(st.sampled_from(["length", "length", "chunked", "none", "odd length", "mixed"])):
        case "length":
            return [length], body
        case "chunked":
            return [b"Transfer-Encoding: chunked"], draw(_chunked(body))
        case "none":
            return [], body
        case "odd length":
            lengths = [
                b"-1", b"+5", b"0", b"1", b"5, 5", b"5, 6", b"0x5", b"", b"x", b"9" * 30, b"1e3",
                b"5.0",
                b"\xd9\xa5", b" 5\t", b"%d" % (len(body) + 1), b"%d" % max(0, len(body) - 1),
                b"007",
                b"1_0", b"%d" % (1 << 63), b"%d" % (1 << 40),
            ]  # fmt: skip
            values = draw(
                st.lists(st.sampled_from([b"%d" % len(body), *lengths]), min_size=1, max_size=2)
            )
            return [b"Content-Length: " + value for value in values], body
    codings = [
        b"chunked", b"Chunked", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked",
        b"identity",
        b"xchunked", b"\x0bchunked", b"chunked;q=1", b"", b"\xff",
    ]  # fmt: skip
    lines = [b"Transfer-Encoding: " + draw(st.sampled_from(codings))]
    if draw(st.booleans()):
        lines.insert(draw(st.integers(0, 1)), length)
    return lines, draw(st.one_of(st.just(body), _chunked(body)))


_INTERIM = [
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
    b"HTTP/1.1 102 P\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 199 \r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
]  # fmt: skip


def whole(body: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a good answer with this body."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


_extras = st.one_of(
    st.sampled_from(
        [
            b"\r\n", b"\0", b"x", whole(b""), whole(REFUSAL, b"404 Not Found"),
            whole(REFUSAL, b"401 Unauthorized"), b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 20",
            whole(lead_json(STRANGER)), whole(lead_json(GOOD[0]).replace(b'"email":"',
            b'"email":"forged')),
            whole(b'{"items":[%s]}' % lead_json(STRANGER)),
        ]
    ),
    st.binary(min_size=1, max_size=9),
)  # fmt: skip


class Odd(Enum):
    """What may be wrong with an answer."""

    BODY = "the body"
    CODING = "Content-Encoding"
    FRAMING = "length or chunks"
    HEADERS = "other headers"
    STATUS = "the status line"
    LINES = "the ends of lines"
    INTERIM = "1xx answers before it"
    EXTRA = "bytes after it"
    DELIVERY = "how it is written"
    END = "what follows"
    REFUSAL = "it is an error of the API"


_REFUSALS = [400, 401, 402, 403, 404, 404, 404, 407, 408, 413, 422, 422, 429, 500, 503]


@st.composite
def reactions(
    draw: st.DrawFn, good: bytes, bodies: st.SearchStrategy[bytes], oddities: Sequence[Odd]
) -> Reaction:
    """Draw what the server does with one request.

    ``good`` is the body that answers it well, ``bodies`` are odd ones.
    """
    odd = set(draw(st.lists(st.sampled_from(oddities), max_size=4)))
    body = draw(bodies) if Odd.BODY in odd else good
    status = b"HTTP/1.1 200 OK"
    lines: list[bytes] = []
    if Odd.REFUSAL in odd:
        status = b"HTTP/1.1 %d No" % draw(st.sampled_from(_REFUSALS))
        body = draw(error_bodies)
    if Odd.STATUS in odd:
        status = draw(_status_lines)
    if Odd.CODING in odd:
        lines, body = draw(_coded(body))
    framing = [b"Content-Length: %d" % len(body)]
    if Odd.FRAMING in odd:
        framing, body = draw(_framed(body))
    lines += framing
    for header in draw(st.lists(_headers, min_size=1, max_size=3)) if Odd.HEADERS in odd else ():
        lines.insert(draw(st.integers(0, len(lines))), header)
    line_end = draw(st.sampled_from([b"\n", b"\r", b"\r\r\n"])) if Odd.LINES in odd else b"\r\n"
    data = line_end.join([status, *lines, b"", body])
    if Odd.INTERIM in odd:
        data = b"".join(draw(st.lists(st.sampled_from(_INTERIM), max_size=9))) + data
    end = draw(st.sampled_from(End)) if Odd.END in odd else End.KEEP
    if Odd.EXTRA in odd:
        # It must arrive with the answer: later, it cannot be told from the next one.
        return Reaction((data + draw(_extras),), end)
    if Odd.DELIVERY in odd:
        return draw(_deliveries(data, end))
    return Reaction((data,), end)


@st.composite
def _deliveries(draw: st.DrawFn, data: bytes, end: End) -> Reaction:
    at = draw(st.integers(0, len(data)))
    match draw(st.sampled_from(["cut", "halves", "bytes", "nothing"])):
        case "cut":
            return Reaction((data[:at],), draw(st.sampled_from(End)))
        case "halves":
            return Reaction((data[:at], data[at:]), end)
        case "bytes":
            bytewise = [bytes([each]) for each in data[at : at + 200]]
            return Reaction((data[:at], *bytewise, data[at + 200 :]), end)
    return Reaction((), draw(st.sampled_from(End)))


@dataclass(frozen=True)
class Plan:
    """What the server does: per bad id, for pages, and for checks; the last one is repeated."""

    leads: dict[str, list[Reaction]]
    pages: list[Reaction]
    checks: list[Reaction]


def _several(each: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(each, min_size=1, max_size=2)


def plans(*oddities: Odd) -> st.SearchStrategy[Plan]:
    """Plans whose answers are odd in some of these ways; without any, in all of them."""
    odd = oddities or tuple(Odd)
    page = b'{"items":[%s]}' % b",".join(map(lead_json, [*GOOD, *BAD]))
    pages = _several(reactions(page, page_bodies(), odd))
    leads = {each: _several(reactions(lead_json(each), lead_bodies(each), odd)) for each in BAD}
    return st.builds(Plan, st.fixed_dictionaries(leads), pages, pages)
