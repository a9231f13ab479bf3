"""Key, proxy and workspace (rows 17 and 18 of the fault matrix)."""

import copy
import logging
import pickle

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from instantly_async import errors
from instantly_async._http import ApiKey, read_api_key, workspace_headers
from instantly_async._http.credentials import Authorization, is_header_token, key_problem

SECRET = "c2VjcmV0LWtleQ=="
KEY = ApiKey(SECRET, "INSTANTLY_API_KEY")


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


@given(st.text("abcWYZ019+/-_", min_size=1, max_size=90), st.sampled_from(["", "=", "=="]))
@example("abc=", "=")
def test_whatever_looks_like_base64_is_a_key(text: str, padding: str) -> None:
    """The form of v2 keys; the vendor documents none."""
    assume(text[0] not in "/-")  # no letter of text is encoded so
    assert key_problem(text + padding) is None


MISTAKES = {
    "has quotes around it": [
        f'"{SECRET}"',
        f"'{SECRET}'",
        f"`{SECRET}`",
        f"\u201c{SECRET}\u201d",
        f"\u2018{SECRET}\u2019",
        f"\u00ab{SECRET}\u00bb",
        f'"{SECRET}',
        f"{SECRET}'",
        '"',
    ],
    "has a name and = in front of it": [
        f"INSTANTLY_API_KEY={SECRET}",
        f"export INSTANTLY_API_KEY='{SECRET}",
        f"export X={SECRET}",
        f"set X={SECRET}",
        f"setx X {SECRET}",
        f"$env:X = {SECRET}",
        f"X={SECRET}",
        f"api_key = {SECRET}",
        f"--api-key={SECRET}",
        f"-e KEY={SECRET}",
    ],
    "is a whole header": [
        f"Bearer {SECRET}",
        f"bearer\t{SECRET}",
        f"Bearer:{SECRET}",
        f"Bearer%20{SECRET}",
        "Bearer",
        f"Authorization: Bearer {SECRET}",
        f"authorization:{SECRET}",
        f"X-API-Key: {SECRET}",
        f"Basic {SECRET}",
    ],
    "is JSON": [f'{{"api_key": "{SECRET}"}}', f'["{SECRET}"]', f"{{'key': '{SECRET}'}}"],
    "is a placeholder": [
        "<your key>",
        "<API_KEY>",
        "${INSTANTLY_API_KEY}",
        "$INSTANTLY_API_KEY",
        "%INSTANTLY_API_KEY%",
        "$env:INSTANTLY_API_KEY",
        "{{ secrets.INSTANTLY }}",
        "${{ secrets.INSTANTLY_API_KEY }}",
        "{key}",
        "[key]",
        "YOUR_API_KEY",
        "your-api-key-here",
        "Your API key",
        "INSERT_KEY_HERE",
        "REPLACE_ME",
        "INSTANTLY_API_KEY",
        "None",
        "null",
        "undefined",
        "changeme",
        "xxxxxxxx",
        "\u2026",
    ],
    "is a command": ["$(pass show instantly)", "$(cat"],
    "is the address of a secret": [
        "op://vault/instantly/key",
        "https://app.instantly.ai/app/settings",
        "arn:aws:secretsmanager:eu:1:secret:x",
    ],
    "is the name of a file": [
        "/run/secrets/instantly",
        "~/.instantly",
        "./key",
        "..\\key",
        "C:\\keys\\instantly",
        "key.txt",
        "@secrets/instantly.key",
        ".env",
    ],
    "has a name and a colon": [f"INSTANTLY_API_KEY: {SECRET}", f"api-key:{SECRET}"],
    "is shortened or masked": ["c2Vj...xlQ==", "c2Vj***", "***", "c2Vj\u2026Q==", "\u2022" * 12],
    "has several lines": [f"{SECRET}\n{SECRET}", f"KEY\r{SECRET}", f"# key\u2028{SECRET}"],
    "(white space in the middle)": [f"{SECRET[:5]} {SECRET[5:]}", f"{SECRET[:5]}\t{SECRET[5:]}"],
    "(a byte order mark)": [f"\ufeff{SECRET}", f"{SECRET}\ufeff"],
    "(an invisible one, U+200B)": [f"\u200b{SECRET}", f"{SECRET}\u200b\n"],
    "(an invisible one, U+00A0)": [f"{SECRET[:5]}\u00a0{SECRET[5:]}"],
    "(a letter or sign that is not ASCII)": [f"{SECRET}\u00e9", f"\u0410{SECRET}"],
}


@pytest.mark.parametrize(
    ("problem", "key"), [(problem, key) for problem, keys in MISTAKES.items() for key in keys]
)
def test_what_is_set_in_place_of_a_key_is_named(problem: str, key: str) -> None:
    """One sentence with a remedy, without the key; whatever white space is around it."""
    for text in (key, f" {key}\r\n"):
        said = key_problem(text)
        assert said is not None
        assert said.startswith("The API key ")
        assert problem in said
        assert said.endswith(".")
        assert SECRET not in said
        assert SECRET[5:] not in said


@pytest.mark.parametrize(
    "key", ["abc=def", "a:b", "a.b.c", "/x/y", "+/+/==", "key", "my-key", "basic-key", "a" * 500]
)
def test_what_could_be_a_key_is_one(key: str) -> None:
    assert key_problem(key) is None


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
    with pytest.raises(TypeError, match="cannot be pickled") as caught:
        pickle.dumps(KEY, protocol)
    assert SECRET not in str(caught.value)


def test_the_key_does_not_copy() -> None:
    """Copying uses pickle's methods, so it fails too."""
    for copier in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            copier(KEY)


def test_the_header_is_the_real_key() -> None:
    """It prints masked, but is sent whole."""
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


# --- workspace ---


def test_a_sub_workspace_is_named_in_a_header() -> None:
    assert workspace_headers(None) == {}
    assert workspace_headers("019e-abc") == {"x-as-workspace": "019e-abc"}


@pytest.mark.parametrize("workspace", ["", " ", "a b", "a\r\nX-Evil: 1", "a\0", "\u00e9"])
def test_a_workspace_that_cannot_stand_in_a_header_is_refused(workspace: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="workspace must be an id"):
        workspace_headers(workspace)
