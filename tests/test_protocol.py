"""The API's rules without I/O. Row numbers are those of the fault matrix."""

import base64
import copy
import json
import logging
import pickle
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from instantly_async import errors
from instantly_async._api import error_for, wire_id
from instantly_async._api.answers import parse_api_error
from instantly_async._api.retry_after import parse_retry_after
from instantly_async._http import ApiKey, read_api_key, read_proxy, workspace_headers
from instantly_async._http.credentials import Authorization, Proxy, is_header_token, key_problem
from instantly_async.settings import base_url_problem

SAMPLES = Path(__file__).parent / "samples"
SECRET = "c2VjcmV0LWtleQ=="
KEY = ApiKey(SECRET, "INSTANTLY_API_KEY")
LEAD_ID = "019e18e2-6487-73d2-a3b2-643e2207f444"
NOW = 1_778_534_000.0
CAP_S = 120.0


def answer_to(status: int, body: bytes = b"", **headers: str) -> errors.InstantlyError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return error_for(status, named, body, key=KEY, now=NOW, cap_s=CAP_S)


def error_body(status: int, message: str) -> bytes:
    return json.dumps({"statusCode": status, "error": "Some Error", "message": message}).encode()


# --- ids (row 19) ---


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


# --- the key (rows 17 and 18) ---


@pytest.mark.parametrize("key", ["k", SECRET, f" {SECRET}\n", "!~", "a" * 5000])
def test_a_key_of_visible_ascii_is_one(key: str) -> None:
    assert key_problem(key) is None


@pytest.mark.parametrize("key", [None, "", " ", "\t\r\n"])
def test_no_key_says_how_to_pass_one(key: str | None) -> None:
    problem = key_problem(key)
    assert problem is not None
    assert "INSTANTLY_API_KEY" in problem


@pytest.mark.parametrize(
    "inside",
    ["\r", "\n", "\r\nX-Evil: 1", "\0", "\x7f", " ", "\t", "é", "\u200b", "\ud83d", "\uff11"],
)
def test_a_key_with_other_characters_is_refused_unquoted(inside: str) -> None:
    """CR, LF, NUL, DEL, blanks, non-ASCII (rows 17, 18)."""
    problem = key_problem(f"sec{inside}ret")
    assert problem is not None
    assert "sec" not in problem
    assert "ret" not in problem


@given(st.text(min_size=1))
def test_a_key_that_passes_can_stand_in_a_header(text: str) -> None:
    if key_problem(text) is None:
        assert is_header_token(text.strip())
    if is_header_token(text):
        assert all("\x21" <= character <= "\x7e" for character in text)
        assert key_problem(text) is None


@pytest.mark.parametrize(
    "shown",
    [
        repr(KEY),
        str(KEY),
        f"{KEY}",
        f"{KEY!r:>20}",
        f"{KEY!a}",
        "%s %r" % (KEY, KEY),  # noqa: UP031 - another way to print it
        repr([KEY]),
        repr({"key": KEY}),
        repr(KEY.header()),
        f"{KEY.header()!r}",
        repr({"Authorization": KEY.header()}),
        repr(KEY.header()[:12]),
        repr(KEY.header()[7]),
        logging.makeLogRecord({"msg": "%s", "args": (KEY,)}).getMessage(),
    ],
)
def test_the_key_prints_masked(shown: str) -> None:
    assert SECRET not in shown
    assert "***" in shown


def test_the_key_hides_from_introspection() -> None:
    assert not hasattr(KEY, "__dict__")
    assert SECRET not in repr([getattr(KEY, name) for name in ApiKey.__slots__])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_key_does_not_pickle(protocol: int) -> None:
    with pytest.raises(TypeError, match="does not pickle") as caught:
        pickle.dumps(KEY, protocol)
    assert SECRET not in str(caught.value)


def test_the_key_does_not_copy() -> None:
    """A copy would go the way of pickle."""
    for copier in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="does not pickle"):
            copier(KEY)


def test_the_header_is_the_real_key() -> None:
    """What prints masked must be sent whole."""
    header = KEY.header()
    assert isinstance(header, Authorization)
    assert header == f"Bearer {SECRET}"
    assert header.encode() == f"Bearer {SECRET}".encode()
    assert repr(header) == "'***'"
    assert KEY.origin == "INSTANTLY_API_KEY"


def test_the_argument_goes_before_the_environment() -> None:
    """Stripped once; the origin is what errors name."""
    environ = {"INSTANTLY_API_KEY": f" {SECRET}\n"}
    for key, text, origin in (
        (read_api_key(None, environ), SECRET, "INSTANTLY_API_KEY"),
        (read_api_key(" other ", environ), "other", "the api_key argument"),
    ):
        assert isinstance(key, ApiKey)
        assert (key.header(), key.origin) == (f"Bearer {text}", origin)


@pytest.mark.parametrize(
    ("argument", "environ"),
    [
        (None, {}),
        (None, {"INSTANTLY_API_KEY": ""}),
        (None, {"INSTANTLY_API_KEY": "sec\nret"}),
        ("", {"INSTANTLY_API_KEY": SECRET}),
        ("sec ret", {"INSTANTLY_API_KEY": SECRET}),
    ],
)
def test_a_key_that_cannot_work_is_an_error_without_frames(
    argument: str | None, environ: dict[str, str]
) -> None:
    """An empty argument does not fall back: the caller meant to pass a key."""
    error = read_api_key(argument, environ)
    assert isinstance(error, errors.ConfigurationError)
    assert error.__traceback__ is None
    assert "sec" not in str(error)


# --- base_url, proxy, workspace ---


@pytest.mark.parametrize(
    "url",
    [
        "https://api.instantly.ai",
        "https://api.instantly.ai/",
        "HTTPS://API.INSTANTLY.AI:443",
        "https://developer.instantly.ai:8443",
        "http://localhost",
        "http://localhost:8080/",
        "http://127.0.0.1:9",
        "http://127.255.0.3",
        "http://[::1]:8080",
        "https://[2001:db8::1]",
        "https://bücher.example",
    ],
)
def test_an_address_of_scheme_host_and_port_is_fine(url: str) -> None:
    assert base_url_problem(url) is None


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("", "no URL"),
        ("api.instantly.ai", "no URL"),
        ("https://", "no URL"),
        ("https://:443", "no URL"),
        ("https://api.instantly.ai:0", "no URL"),
        ("https://api.instantly.ai:99999", "no URL"),
        ("https://api.instantly.ai:https", "no URL"),
        ("https://[::1", "no URL"),
        ("https://api.instantly.ai ", "no URL"),
        ("https://api.inst\nantly.ai", "no URL"),
        ("https://api.inst\tantly.ai", "no URL"),
        ("\x01https://api.instantly.ai", "no URL"),
        ("https://api.instantly.ai\0", "no URL"),
        ("https://user@api.instantly.ai", "user or password"),
        ("https://:pw@api.instantly.ai", "user or password"),
        ("https://@api.instantly.ai", "user or password"),
        ("https://api.instantly.ai/api/v2", "without a path"),
        ("https://api.instantly.ai//", "without a path"),
        ("https://api.instantly.ai?", "without a path"),
        ("https://api.instantly.ai/?x=1", "without a path"),
        ("https://api.instantly.ai#", "without a path"),
        ("https://api.instantly.ai/#top", "without a path"),
        ("http://api.instantly.ai", "must be https"),
        ("http://127.0.0.1.evil.example", "must be https"),
        ("http://localhost.evil.example", "must be https"),
        ("http://128.0.0.1", "must be https"),
        ("http://0.0.0.0", "must be https"),
        ("http://[::2]", "must be https"),
        ("ftp://localhost", "must be https"),
        ("file://localhost", "must be https"),
        ("//api.instantly.ai", "must be https"),
    ],
)
def test_any_other_address_is_refused_with_its_reason(url: str, hint: str) -> None:
    problem = base_url_problem(url)
    assert problem is not None
    assert hint in problem


def test_an_address_is_never_quoted() -> None:
    """It could hold a password."""
    for url in ("https://u:hunter2@h", "http://hunter2", "https://h/hunter2", "https://h:hunter2"):
        assert "hunter2" not in (base_url_problem(url) or "")


@given(st.text(max_size=40) | st.text("htps:/@#?[].%\\ 1a", max_size=20))
def test_any_text_gets_a_verdict(text: str) -> None:
    """Nothing raises; what passes has a safe scheme and no user part."""
    problem = base_url_problem(text)
    if problem is None:
        assert text.lower().startswith(("https://", "http://"))
        assert "@" not in text


@pytest.mark.parametrize("proxy", [None, "http://proxy.example:3128", "https://u:p@proxy.example"])
def test_a_proxy_is_an_http_url_or_none(proxy: str | None) -> None:
    assert not isinstance(read_proxy(proxy), errors.ConfigurationError)


@pytest.mark.parametrize(
    ("proxy", "url", "pair"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128", None),
        ("http://u:hunter2@proxy.example", "http://proxy.example", b"u:hunter2"),
        ("https://u%40x:p%3A%2F@[::1]:3128/", "https://[::1]:3128/", b"u@x:p:/"),
        ("http://u@proxy.example", "http://proxy.example", b"u:"),
        ("http://u:é@proxy.example", "http://proxy.example", "u:é".encode()),
    ],
)
def test_a_proxy_is_split_from_its_password(proxy: str, url: str, pair: bytes | None) -> None:
    """URLs are printed; what goes into the header prints masked."""
    read = read_proxy(proxy)
    assert isinstance(read, Proxy)
    assert read.url == url
    sent = read.headers.get("Proxy-Authorization")
    assert (sent and base64.b64decode(sent.removeprefix("Basic "))) == pair
    assert "hunter2" not in repr(read)


@pytest.mark.parametrize("proxy", ["", "u:hunter2@proxy.example", "socks5://u:hunter2@proxy"])
def test_another_proxy_is_refused_unquoted(proxy: str) -> None:
    error = read_proxy(proxy)
    assert isinstance(error, errors.ConfigurationError)
    assert str(error) == "proxy must be a URL like http://proxy.example:8080."
    assert error.__traceback__ is None


def test_a_sub_workspace_is_named_in_a_header() -> None:
    assert workspace_headers(None) == {}
    assert workspace_headers("019e-abc") == {"x-as-workspace": "019e-abc"}


@pytest.mark.parametrize("workspace", ["", " ", "a b", "a\r\nX-Evil: 1", "a\0", "\u00e9"])
def test_a_workspace_that_cannot_stand_in_a_header_is_refused(workspace: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="workspace must be an id"):
        workspace_headers(workspace)


# --- statuses ---

SAMPLE_ERRORS = {
    "unauthorized": errors.AuthenticationError,
    "payment-required": errors.PaymentRequiredError,
    "scope-missing": errors.PermissionDeniedError,
    "edge-blocked": errors.EdgeBlockedError,
    "not-found": errors.NotFoundError,
    "route-missing": errors.ProtocolError,
    "elsewhere": errors.ProtocolError,
    "rate-limited": errors.RateLimitedError,
    "bad-gateway": errors.ServerError,
}


def sample(case: str) -> tuple[int, dict[str, str], bytes]:
    folder = SAMPLES / case
    head = json.loads((folder / "head.json").read_bytes())
    (body,) = folder.glob("body.*")
    return head["status"], head["headers"], body.read_bytes()


@pytest.mark.parametrize("case", SAMPLE_ERRORS)
def test_a_recorded_answer_is_the_error_it_stands_for(case: str) -> None:
    """403: the API's JSON or the CDN's page. 404: a lead, a route, another server (row 24)."""
    status, headers, body = sample(case)
    error = error_for(status, headers, body, key=KEY, now=NOW, cap_s=CAP_S)
    assert type(error) is SAMPLE_ERRORS[case]


BY_STATUS = {
    401: errors.AuthenticationError,
    402: errors.PaymentRequiredError,
    403: errors.EdgeBlockedError,
    404: errors.ProtocolError,
    407: errors.ProxyError,
    408: errors.ServerError,
    429: errors.RateLimitedError,
}


def test_every_status_is_one_error() -> None:
    """Without a body of the API; rows 10, 11, 16, 23, 24."""
    kinds = {4: errors.RequestRejectedError, 5: errors.ServerError}
    for status in range(100, 600):
        kind = kinds.get(status // 100, errors.ProtocolError)
        error = answer_to(status)
        assert type(error) is BY_STATUS.get(status, kind)
        assert str(error)
        assert getattr(error, "status", status) == status


BODIES = (
    st.binary(max_size=80)
    | st.builds(error_body, st.integers(), st.text(max_size=300))
    | st.sampled_from([b"null", b"[]", b"{}", b'{"statusCode":"404"}', b"[" * 5000, b"\xff"])
)


@given(
    status=st.integers(100, 999),
    body=BODIES,
    retry_after=st.none() | st.text(max_size=40),
)
def test_any_answer_is_exactly_one_of_our_errors(
    status: int, body: bytes, retry_after: str | None
) -> None:
    """Whatever the body and the headers are, nothing is raised and the text is one short line."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    error = error_for(status, headers, body, key=KEY, now=NOW, cap_s=CAP_S)
    assert isinstance(error, errors.LeadError) != isinstance(error, errors.RunError)
    assert str(error).isprintable()
    assert len(str(error)) < 400


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_named_by_its_origin(status: int) -> None:
    """Where it came from, never the key itself (row 23)."""
    text = str(answer_to(status, error_body(status, f"bad key {SECRET}")))
    assert "INSTANTLY_API_KEY" in text
    assert SECRET not in text


def test_a_404_is_a_lead_s_only_with_the_api_s_body() -> None:
    """A missing route or another server must never make leads *not found* (row 24)."""
    assert type(answer_to(404, error_body(404, "Resource not found"))) is errors.NotFoundError
    for body in (
        error_body(404, "Route GET:/v2/leads/x not found"),
        b'{"message":"Not Found"}',
        b"<h1>404</h1>",
        b"",
        b'{"statusCode":"404","error":"Not Found","message":"no"}',
    ):
        error = answer_to(404, body)
        assert type(error) is errors.ProtocolError
        assert error.status == 404


def test_a_rejection_gives_the_api_s_reason_without_the_key() -> None:
    error = answer_to(400, error_body(400, f"bad header Bearer {SECRET}, see docs"))
    assert isinstance(error, errors.RequestRejectedError)
    assert str(error) == ("The API refuses the request (HTTP 400: bad header Bearer ***, see docs)")


def test_a_rejection_does_not_quote_emails() -> None:
    """The API may name the field that it does not like, with its value."""
    text = str(answer_to(422, error_body(422, 'email "ada@example.com" of <a@b.c>, no')))
    assert "@" not in text
    assert "email *** of ***" in text


def test_a_reason_is_cut_and_cannot_forge_log_lines() -> None:
    """Control characters, line separators and bidi marks become blanks."""
    error = answer_to(422, error_body(422, "a\r\nERROR b\x1b[31m\u2028c\u202ed" + "x" * 999))
    assert str(error).startswith("The API refuses the request (HTTP 422: a  ERROR b [31m c dxxx")
    assert str(error).isprintable()
    assert len(str(error)) < 260


def test_a_key_at_the_cut_is_redacted_first() -> None:
    """The reason is cut after 200 characters; half a key would be half a key."""
    text = str(answer_to(400, error_body(400, "x" * 195 + SECRET)))
    assert SECRET[:5] not in text


def test_a_body_of_the_server_s_own_is_never_quoted() -> None:
    """HTML of a CDN can hold anything (row 11)."""
    for status in (400, 403, 404, 500, 502, 520, 302):
        assert "Bo" not in str(answer_to(status, b"<p>Bo</p>"))


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b"\xff", b"<html>", b"[" * 9999, b'{"statusCode":"1"}']
)
def test_what_others_write_is_no_api_error(body: bytes) -> None:
    assert parse_api_error(body) is None


def test_an_api_error_may_grow_fields() -> None:
    parsed = parse_api_error(b'{"statusCode":404,"error":"e","message":"m","code":"new"}')
    assert parsed is not None
    assert (parsed.statusCode, parsed.error, parsed.message) == (404, "e", "m")


# --- Retry-After (row 25) ---


def asked(value: str | None, date: str | None = None) -> float | None:
    headers = {} if value is None else {"Retry-After": value}
    if date is not None:
        headers["Date"] = date
    return parse_retry_after(headers, now=NOW, cap_s=CAP_S)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("2.5", 2.5),
        ("1e9", 1e9),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e999", None),
        ("-1", None),
        ("-0.001", None),
        ("soon", None),
        ("", None),
        ("3 seconds", None),
        ("3, 5", None),
        ("Mon, 99 Foo 2026 99:99:99 GMT", None),
        ("Mon, 11 May 99999999999 21:12:31 GMT", None),
    ],
)
@pytest.mark.parametrize("date", [None, formatdate(NOW, usegmt=True), "garbage"])
def test_seconds_are_taken_as_they_are_and_nonsense_is_ignored(
    value: str | None, seconds: float | None, date: str | None
) -> None:
    """Too long a wait is not this function's to judge."""
    assert asked(value, date) == seconds


def test_a_date_counts_from_the_answer_s_own_date() -> None:
    """So a wrong wall clock on this side has no effect (row 29)."""
    there = NOW + 3600  # our clock is an hour slow
    assert asked(formatdate(there + 40, usegmt=True), formatdate(there, usegmt=True)) == 40
    assert asked(formatdate(there + 999, usegmt=True), formatdate(there, usegmt=True)) == 999
    assert asked(formatdate(there - 1, usegmt=True), formatdate(there, usegmt=True)) is None


@pytest.mark.parametrize("date", [None, "garbage"])
def test_a_date_alone_counts_from_the_wall_clock_and_is_clamped(date: str | None) -> None:
    assert asked(formatdate(NOW + 40, usegmt=True), date) == 40
    assert asked(formatdate(NOW + 3600, usegmt=True), date) == CAP_S
    assert asked(formatdate(NOW - 5, usegmt=True), date) is None


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XXX-09:00")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
def test_every_form_of_an_http_date_is_in_gmt() -> None:
    """RFC 9110, 5.6.7: the asctime form names no zone, and is not in ours."""
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    assert asked("Sun, 06 Nov 1994 08:49:47 GMT", date) == 10
    assert asked("Sunday, 06-Nov-94 08:49:47 GMT", date) == 10
    assert asked("Sun Nov  6 08:49:47 1994", date) == 10
    assert asked("Sun, 06 Nov 1994 08:49:47 -0000", date) == 10


@given(st.text() | st.floats().map(str), st.none() | st.text(), st.floats(0, 4e9))
def test_retry_after_is_a_finite_wait_or_nothing(text: str, date: str | None, now: float) -> None:
    headers = {"Retry-After": text} | ({} if date is None else {"Date": date})
    seconds = parse_retry_after(headers, now=now, cap_s=CAP_S)
    assert seconds is None or 0 <= seconds < float("inf")


@pytest.mark.parametrize(
    ("status", "seconds"), [(429, 3.0), (503, 3.0), (500, None), (502, None), (408, None)]
)
def test_only_429_and_503_may_ask_to_wait(status: int, seconds: float | None) -> None:
    error = answer_to(status, Retry_After="3")
    assert isinstance(error, errors.TransientError)
    assert error.retry_after_s == seconds
