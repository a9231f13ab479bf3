"""What statuses and bodies mean. Row numbers are those of the fault matrix."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from places import SAMPLES

from instantly_async import errors
from instantly_async._api import TOO_MANY_IDS, error_for
from instantly_async._api.answers import parse_api_error
from instantly_async._http import ApiKey

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
    511: errors.ProtocolError,
}


def test_every_status_is_one_error() -> None:
    """Without a body of the API; rows 10, 11, 16, 23, 24."""
    for status in range(100, 600):
        kind = errors.ServerError if status >= 500 else errors.ProtocolError
        error = answer_to(status)
        assert type(error) is BY_STATUS.get(status, kind)
        assert str(error)
        assert getattr(error, "status", status) == status


@pytest.mark.parametrize("status", sorted(TOO_MANY_IDS))
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"message":"Bad Request"}'])
def test_what_is_not_from_the_api_rejects_many_ids_but_no_lead(status: int, body: bytes) -> None:
    """A proxy in front may not take so long a body; to a request for one lead it says nothing."""
    for takes_many, kind in ((True, errors.RequestRejectedError), (False, errors.ProtocolError)):
        error = error_for(status, {}, body, key=KEY, now=NOW, cap_s=CAP_S, takes_many=takes_many)
        assert type(error) is kind


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
    assert str(error) == (
        "The API rejected the request (HTTP 400: bad header Bearer ***, see docs)"
    )


def test_a_rejection_does_not_quote_emails() -> None:
    """The API may quote the value that it rejects."""
    text = str(answer_to(422, error_body(422, 'email "ada@example.com" of <a@b.c>, no')))
    assert "@" not in text
    assert "email *** of ***" in text


def test_a_reason_is_cut_and_cannot_forge_log_lines() -> None:
    """Control characters, line separators and bidi marks become blanks."""
    error = answer_to(422, error_body(422, "a\r\nERROR b\x1b[31m\u2028c\u202ed" + "x" * 999))
    assert str(error).startswith("The API rejected the request (HTTP 422: a  ERROR b [31m c dxxx")
    assert str(error).isprintable()
    assert len(str(error)) < 260


def test_a_key_at_the_cut_is_redacted_first() -> None:
    """The reason is cut after 200 characters; redacted later, half a key could remain."""
    text = str(answer_to(400, error_body(400, "x" * 195 + SECRET)))
    assert SECRET[:5] not in text


LONG = 4000  # characters of a message that are looked at


@given(st.integers(LONG - 60, LONG + 10), st.sampled_from(["x ", "x", "\u2028"]))
@example(LONG - 10, "x")  # all before is masked, so what is at the cut could be shown
def test_half_an_email_and_half_a_key_at_the_cut_are_left_out(start: int, filler: str) -> None:
    """A very long message is cut before it is looked at, wherever that is."""
    padding = ("@" + filler * LONG)[:start]
    for secret in ("anna.muster@example.com", SECRET):
        text = str(answer_to(400, error_body(400, padding + " " + secret + "z" * LONG)))
        assert "anna" not in text
        assert SECRET[:4] not in text
    assert len(text) < 260


def test_of_a_very_long_message_the_beginning_is_shown() -> None:
    text = str(answer_to(400, error_body(400, "too many ids " + "x" * LONG)))
    assert text == "The API rejected the request (HTTP 400: too many ids …)"


def test_a_body_too_large_for_an_error_is_not_the_api_s() -> None:
    """It is not looked at."""
    assert parse_api_error(error_body(404, "x" * 1_000_000)) is not None
    assert parse_api_error(error_body(404, "x" * 1024 * 1024)) is None


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


@pytest.mark.parametrize(
    ("status", "seconds"), [(429, 3.0), (503, 3.0), (500, None), (502, None), (408, None)]
)
def test_only_429_and_503_may_ask_to_wait(status: int, seconds: float | None) -> None:
    error = answer_to(status, Retry_After="3")
    assert isinstance(error, errors.TransientError)
    assert error.retry_after_s == seconds
