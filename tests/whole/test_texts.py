"""Texts from outside, through every door: the time they take is linear in their length.

Measured is the CPU time of this thread, which other processes do not lengthen, against a bound
that is far above what any door needs. A text is first tried short and then longer, so that a door
that takes quadratic time fails soon.
"""

import contextlib
import gc
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from stepping import at_once

from instantly_async import Lead, errors
from instantly_async._api import LeadDecoder, error_for, split_members, wire_id
from instantly_async._api.pieces import is_cut_off
from instantly_async._api.retry_after import parse_retry_after
from instantly_async._http import ApiKey, read_api_key, read_base_url, read_proxy, workspace_headers
from instantly_async.cli.app import run_command_line
from instantly_async.cli.convert.columns import parse_fields
from instantly_async.cli.convert.csv_cells import quote_cell
from instantly_async.cli.exits import USAGE, CommandError
from instantly_async.cli.input import InputFormat
from instantly_async.cli.input.reader import IdReader
from instantly_async.cli.known import KnownIds, storable
from instantly_async.cli.output.readback import read_back
from instantly_async.cli.records import LineId, Selection, id_of_object
from instantly_async.cli.show import invalid
from instantly_async.cli.terminal import Terminal
from instantly_async.testing import lead_ids

(ID,) = lead_ids(1)
KEY = ApiKey("c2VjcmV0LWtleQ==", "INSTANTLY_API_KEY")

pytestmark = pytest.mark.soak  # coverage would make lines of one character take 10 µs

LENGTHS = (2_000, 20_000)
US_PER_CHARACTER = 5.0
"""Most doors take less than 0.1 µs, an empty line 2 µs. What is quadratic takes 30 µs and more."""

SLACK_S = 0.1

DOORS: dict[str, Callable[[str], object]] = {}
"""What a text from outside can come to, by the name of the function."""


def door(function: Callable[[str], object]) -> Callable[[str], object]:
    DOORS[function.__name__] = function
    return function


def as_bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


@door
def reason_of_an_error(text: str) -> None:
    for status in (400, 403, 404):
        body = json.dumps({"statusCode": status, "error": text, "message": text})
        error_for(status, {}, body.encode(), key=KEY, now=0, cap_s=1)
        error_for(status, {}, as_bytes(text), key=KEY, now=0, cap_s=1)


@door
def missing_route(text: str) -> None:
    body = json.dumps({"statusCode": 404, "error": "", "message": "Route " + text})
    error_for(404, {}, body.encode(), key=KEY, now=0, cap_s=1)


@door
def headers(text: str) -> None:
    parse_retry_after({"Retry-After": text, "Date": text}, now=0, cap_s=1)
    parse_retry_after({"Retry-After": "Sun, " + text, "Date": text}, now=0, cap_s=1)


@door
def body_of_a_lead(text: str) -> None:
    fields = ("email", "email_open_count", "timestamp_created")
    lead = {"id": ID, **dict.fromkeys(fields, text), "payload": {text: text}}
    at_once(LeadDecoder(Lead).decode(json.dumps(lead).encode(), ID))


@door
def body_of_something_else(text: str) -> None:
    with contextlib.suppress(errors.DecodeError):
        at_once(LeadDecoder(Lead).decode(as_bytes(text), ID))
    for prefix in ("", '"', "{"):
        is_cut_off(prefix + text)
        split_members(as_bytes(prefix + text))


@door
def lead_id(text: str) -> None:
    wire_id(text)
    wire_id(ID + text)
    invalid(LineId(text, 1))
    storable(text)
    KnownIds().judge(text)


@door
def settings_and_environment(text: str) -> None:
    read_base_url(text, {}, None)
    read_base_url("https://" + text, {}, None)
    read_api_key(text, {})
    for proxy in (text, "http://" + text, f"http://{text}:p@127.0.0.1"):
        read_proxy(proxy)
    with contextlib.suppress(errors.ConfigurationError):
        workspace_headers(text)


def read_ids(form: InputFormat, text: str) -> None:
    reader = IdReader(form, "in")
    with contextlib.suppress(CommandError):
        list(reader.feed(as_bytes(text)))
        list(reader.finish())


@door
def lines_of_text(text: str) -> None:
    read_ids("text", text)


@door
def lines_of_csv(text: str) -> None:
    read_ids("csv", "id,b\n" + text)


@door
def header_of_csv(text: str) -> None:
    read_ids("csv", text.replace("\n", " "))


@door
def lines_of_json(text: str) -> None:
    read_ids("jsonl", '{"id": "' + text)


@door
def line_of_a_journal(text: str) -> None:
    line = json.dumps({"id": text, text: text})
    id_of_object(line)
    Selection(["email", "payload.x"]).cut(line.encode())
    quote_cell(text)


@door
def end_of_a_journal(text: str) -> None:
    fd = os.memfd_create("journal")
    try:
        os.write(fd, as_bytes(text.replace("\n", " ")))
        with contextlib.suppress(CommandError):
            read_back(fd, "journal", lambda *_: True)
    finally:
        os.close(fd)


@door
def names_of_fields(text: str) -> None:
    for fields in (text, f"payload.{text}"):
        with contextlib.suppress(CommandError):
            parse_fields(fields)


@door
def messages(text: str) -> None:
    terminal = Terminal()
    terminal.console.file = io.StringIO()
    terminal.say(text.replace("\n", " "))  # a line takes about 10 µs


@pytest.fixture(autouse=True)
def _no_garbage_collection() -> Iterator[None]:
    """In a process that has run many tests, one takes longer than any door."""
    gc.disable()
    yield
    gc.enable()


def require_linear(name: str, make: Callable[[int], str]) -> None:
    for length in LENGTHS:
        text, most_s = make(length), SLACK_S + length * US_PER_CHARACTER / 1e6
        before = time.thread_time()
        DOORS[name](text)
        took_s = time.thread_time() - before
        assert took_s < most_s, (name, length)


UNITS = [
    *("a", "@", "a.", "a@", " ", "1", "\n", "\\", "%", "=", "-", "\u0301", "\ud800", "\U0001f600"),
    *('"', '""', '"x","\n', ",", "[", '{"a":', "A,"),
]
"""Repeated, these make patterns try again and again, and parsers begin again."""


@pytest.mark.parametrize("name", DOORS)
def test_a_text_that_repeats_itself_takes_linear_time(name: str) -> None:
    for unit in UNITS:
        require_linear(name, partial(repeated, "", unit, ""))


def repeated(start: str, unit: str, end: str, length: int) -> str:
    return start + unit * (length // len(unit)) + end


any_text = st.text(st.characters(codec=None), max_size=6)  # with half surrogate pairs


@settings(max_examples=5, phases=[Phase.generate])  # to shrink a slow text takes minutes
@given(any_text, any_text.filter(bool), any_text)
def test_any_text_takes_linear_time(start: str, unit: str, end: str) -> None:
    for name in DOORS:
        require_linear(name, partial(repeated, start, unit, end))


@pytest.mark.parametrize("unit", ["a", "=", "a "])
def test_what_is_said_of_a_long_argument_is_cut(
    unit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = unit * 50_000
    for line in (["fetch", f"--{text}={text}"], ["fetch", "--strategy", text], ["fetch", text]):
        assert run_command_line(line) == USAGE
        assert len(capsys.readouterr().err) < 10_100
