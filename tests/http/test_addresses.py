"""Addresses of the server and of proxies: each is refused, or works down to the socket."""

import asyncio
import base64
import re
import socket
import ssl
import traceback
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sending import GET

from instantly_async import ConfigurationError, ConnectionFailedError, InstantlyClient, RetryPolicy
from instantly_async._http import ApiKey, read_base_url, read_proxy
from instantly_async._http.addresses import Proxy, parse_address
from instantly_async._http.head import RequestHead
from instantly_async.testing import lead_ids

(LEAD_ID,) = lead_ids(1)

PROXIES_THAT_CANNOT_WORK: list[Any] = [
    "",
    5,
    b"http://proxy.example",
    "u:hunter2@proxy.example",
    "socks5://u:hunter2@proxy",
    "http://u:hunter2@proxy.example/path",
    "http://u:hunter2@proxy.example?",
    "http://u:hunter2@proxy.example#",
    "http://u:1/hunter2@proxy.example",  # a slash that is not escaped ends the host
    "http://u:hunter2@proxy.example:0",
    "http://u:hunter2@proxy.example:99999",
    "http://u:hunter2@[::1]x",
    "http://u:hunter2\ud83d@proxy.example",
    "http://u:hunter2\n@proxy.example",
]


# --- base_url ---


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
    assert isinstance(read_base_url(url, {}, None), str)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("", "not a URL"),
        ("api.instantly.ai", "not a URL"),
        ("https://", "not a URL"),
        ("https://:443", "not a URL"),
        ("https://api.instantly.ai:0", "not a URL"),
        ("https://api.instantly.ai:99999", "not a URL"),
        ("https://api.instantly.ai:https", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://api.instantly.ai ", "not a URL"),
        ("https://api.inst\nantly.ai", "not a URL"),
        ("https://api.inst\tantly.ai", "not a URL"),
        ("\x01https://api.instantly.ai", "not a URL"),
        ("https://api.instantly.ai\0", "not a URL"),
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
    problem = read_base_url(url, {}, None)
    assert isinstance(problem, ConfigurationError)
    assert hint in str(problem)
    assert problem.__traceback__ is None


MISTAKES: list[tuple[Any, str]] = [
    (5, "it is not a string"),
    ("", "it is empty"),
    (" \n", "it is empty"),
    ('"https://api.example"', "there are quotes around it"),
    ("\u201chttps://api.example\u201d", "there are quotes around it"),
    ("https://api.example\r", "it has white space or an invisible character"),
    ("https://api.example ", "it has white space or an invisible character"),
    ("https://api.\u200bexample", "it has white space or an invisible character"),
    ("https://a b", "it has white space or an invisible character"),
    ("${INSTANTLY_BASE_URL}", "it is a placeholder that was not replaced"),
    ("<url>", "it is a placeholder that was not replaced"),
    ("api.instantly.ai", "no scheme, such as https://, is in front"),
    ("localhost:8080", "no scheme, such as https://, is in front"),
    ("u:p@proxy.example:8080", "no scheme, such as https://, is in front"),
    ("https:/api.example", "it does not begin with a scheme and two slashes"),
    ("https:api.example", "it does not begin with a scheme and two slashes"),
    ("://api.example", "it does not begin with a scheme and two slashes"),
    ("https://", "it has no host"),
    ("https://:443", "it has no host"),
    ("https://u@:443", "it has no host"),
    ("https://a:99999", "its port must be a number from 1 to 65535"),
    ("https://a:0", "its port must be a number from 1 to 65535"),
    ("https://a:https", "its port must be a number from 1 to 65535"),
    ("https://::1", "it has no host"),
    ("https://fe80::1", "an IPv6 address must be in brackets"),
    ("https://[::g]", "is not valid|in brackets must be an IPv6 address"),
    ("https://[::1", "its host is not valid"),
    ("https://[::1]x", "is not valid|in brackets must be an IPv6 address"),
    ("https://127.0.0.256", "its host must be a name or a complete IP address"),
    ("https://10.1", "its host must be a name or a complete IP address"),
    ("https://api..example", "a part of its host between two dots is empty"),
    ("https://.example", "a part of its host between two dots is empty"),
    ("https://" + "a" * 64, "more than 253 characters, or 63 between two dots"),
    ("https://" + "a." * 127 + "a", "more than 253 characters, or 63 between two dots"),
    ("https://" + "a" * 5000, "more than 253 characters, or 63 between two dots"),
    ("https://a%2eb", "its host has characters that no name can have"),
    ("https://a\\b", "its host has characters that no name can have"),
    ("https://xn--\u00fc", "its host has characters that no name can have"),
]


@pytest.mark.parametrize(("url", "mistake"), MISTAKES)
def test_the_mistake_in_an_address_is_named(url: Any, mistake: str) -> None:
    for error in (read_base_url(url, {}, None), read_proxy(url)):
        assert isinstance(error, ConfigurationError)
        assert re.search(mistake, str(error))


@pytest.mark.parametrize(
    ("proxy", "mistake"),
    [
        ("socks5://h:1080", "it is a SOCKS proxy, which is not supported"),
        ("ftp://h", "the scheme is neither http nor https"),
        ("http://h/path", "something comes after host and port"),
    ],
)
def test_the_mistake_in_a_proxy_is_named(proxy: str, mistake: str) -> None:
    assert str(read_proxy(proxy)).endswith(f" Here, {mistake}.")


def test_a_scheme_twice_is_named() -> None:
    error = read_base_url("https://https://api.instantly.ai", {}, None)
    assert str(error) == "base_url must begin with one scheme; remove the second one."
    assert "without a path" in str(read_base_url("https://host//", {}, None))


def test_an_address_is_never_quoted() -> None:
    """It could hold a password."""
    for url in ("https://u:hunter2@h", "http://hunter2", "https://h/hunter2", "https://h:hunter2"):
        assert "hunter2" not in str(read_base_url(url, {}, None))


# --- proxy ---


@pytest.mark.parametrize("proxy", [None, "http://proxy.example:3128", "https://u:p@proxy.example"])
def test_a_proxy_is_an_http_url_or_none(proxy: str | None) -> None:
    assert not isinstance(read_proxy(proxy), ConfigurationError)


@pytest.mark.parametrize(
    ("proxy", "url", "pair"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128", None),
        ("http://u:hunter2@proxy.example", "http://proxy.example", b"u:hunter2"),
        ("https://u%40x:p%3A%2F@[::1]:3128/", "https://[::1]:3128", b"u@x:p:/"),
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


@pytest.mark.parametrize("proxy", PROXIES_THAT_CANNOT_WORK)
def test_another_proxy_is_refused_unquoted(proxy: str) -> None:
    error = read_proxy(proxy)
    assert isinstance(error, ConfigurationError)
    assert str(error).startswith("proxy must be a URL like http://user:password@proxy.example:80")
    assert error.__traceback__ is None


# --- both ---


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("HTTPS://API.Example:443", "https://api.example:443"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("https://api\u3002example", "https://api.example"),  # a full-width dot
        ("http://\uff11\uff12\uff17.0.0.1", "http://127.0.0.1"),  # full-width digits
        ("http://[0:0::0001]:80", "http://[::1]:80"),
        ("https://api.example:", "https://api.example"),
        ("https://api.example.", "https://api.example."),
        ("https://_dmarc.api.example", "https://_dmarc.api.example"),
        ("https://" + "a." * 126 + "a", "https://" + "a." * 126 + "a"),
    ],
)
def test_an_address_is_used_in_plain_ascii(url: str, plain: str) -> None:
    assert read_base_url(url, {}, None) == plain


@pytest.mark.parametrize(
    "host",
    [
        "a..b",
        ".a",
        "a" * 64,
        "a." * 127 + "a",
        "a\\b",
        "a%2eb",
        "a b",
        "a\u00a0b",
        "a\u200bb",
        "a/b",
        "\u3002",
        "\u2100",  # becomes a/c
        "\ud83d",
        "xn--\u00fc",
        "[::1]x",
        "x[::1]",
        "[::1%25eth0]",
        "[fe80::1%eth0]",
        "[127.0.0.1]",
        "[v1.x]",
        "[]",
        "[::1]]",
        "::1",
        "a:b:1",
        "a:\u0661",
        "a:+1",
        "a:1_0",
        "1",
        "127.1",
        "127.0.0.01",
        "127.0.0.1.",
        "2130706433",
    ],
)
def test_a_host_that_no_resolver_takes_is_refused(host: str) -> None:
    assert isinstance(read_base_url(f"https://{host}", {}, None), ConfigurationError)
    assert isinstance(read_proxy(f"http://{host}"), ConfigurationError)


@pytest.mark.parametrize("proxy", ["http://proxy.example:1", "https://10.0.0.1", "http://0.0.0.0"])
def test_plain_http_is_not_sent_through_another_machine(proxy: str) -> None:
    """The key would be readable on the way, and the other machine has no such server anyway."""
    with pytest.raises(ConfigurationError, match="base_url must be https with a proxy on another"):
        InstantlyClient("k", base_url="http://localhost:9", proxy=proxy)
    InstantlyClient("k", base_url="https://api.example", proxy=proxy)


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "http://[::1]", "https://u:p@LOCALHOST"])
def test_plain_http_through_a_proxy_on_this_machine(proxy: str) -> None:
    InstantlyClient("k", base_url="http://localhost:9", proxy=proxy)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"proxy": "http://u:hunter2\ud83d@h"},
        {"proxy": "http://u:hunter2@h", "base_url": "https://a..b"},
        {"proxy": "http://u:hunter2@h", "base_url": "http://localhost"},
        {"proxy": "http://u:hunter2@h", "workspace": "a b"},
        {"proxy": "http://u:hunter2@h", "timeouts": None},
        {"base_url": "https://u:hunter2@h"},
    ],
)
def test_a_refusal_shows_no_password_in_its_traceback(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        InstantlyClient("canary-key", **kwargs)
    error = caught.value
    assert error.__cause__ is error.__context__ is None
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [each for each in shown.stack if "instantly_async" in each.filename]
    assert ours
    said = f"{error} {error.args}" + "".join(str(each.locals) for each in ours[-2:])
    assert "hunter2" not in said
    assert "canary-key" not in said


class Offline(asyncio.SelectorEventLoop):
    """A loop without a network: names are encoded as for a resolver, and nothing is sent."""

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
        raise socket.gaierror(socket.EAI_NONAME, "offline")

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        raise ConnectionRefusedError


NASTY = st.sampled_from(
    [
        *"\\%[]@:/?#. \t\r\n\0\x7f-_*,;'\"<>{}|^`~$&()+=!",
        *("..", "%25", "%zz", "\ud83d", "\u3002", "\uff0e", "\u00ad", "\u200b", "\u202e", "\u2100"),
        *("\u00df", "\U0001f600", "\u0661", "\u0301"),
    ]
)
HOSTS = st.sampled_from(
    [
        *("api.example", "localhost", "127.0.0.1", "[::1]", "b\u00fccher.example", "a..b", "", "-"),
        *("1", "1.2.3", "0x7f.1", "0x7f", "999.1.1.1", "[::1%eth0]", "[fe80::1%25x]", "[::1]x"),
        *("xn--a", "xn--\u00fc", "\u3002\u3002", "api.example.", "[1.2.3.4]", "::1", "a" * 64),
        "a." * 130,
    ]
)
PIECES = (
    st.sampled_from(["https", "http", "HTTP", "ftp", "", "\uff48ttp"]),
    st.sampled_from(["", "u@", "u:p@", ":@", "@", "u:p%40@", "u:p@x@", "\u00fc:\u00fc@", "%ff:%@"]),
    HOSTS | st.text(max_size=8) | st.lists(NASTY | st.sampled_from("ab1"), max_size=6).map("".join),
    st.sampled_from(["", ":", ":443", ":0", ":65535", ":65536", ":-1", ":+1", ":\u0661", ":1:2"]),
    st.sampled_from(["", "/", "//", "/api/v2", "?", "#", "?x=1", "/#x", "\\", "/\\x"]),
)
PLAIN = ("https", "", "api.example", "", "")


@st.composite
def urls(draw: st.DrawFn) -> str:
    """Draw a good URL in which two pieces may be others, and something is put in anywhere."""
    pieces = list(PLAIN)
    for at in draw(st.lists(st.integers(0, 4), max_size=2)):
        pieces[at] = draw(PIECES[at])
    scheme, *rest = pieces
    url = f"{scheme}://{''.join(rest)}" if scheme else "".join(rest)
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(url)))
        url = url[:at] + draw(NASTY) + url[at:]
    return url


TLS = ssl.create_default_context()
HOST = re.compile(rb"\r\nHost: (\[[0-9a-f:.]+\]|[a-z0-9._-]{1,254})(:[0-9]{1,5})?\r\n")


@settings(max_examples=150)
@given(base_url=st.just("https://api.example") | urls(), proxy=st.none() | urls())
@example(base_url="https://api\u3002example", proxy="http://u:p%ff@[::1]:3128/")
def test_any_address_is_refused_or_works_down_to_the_socket(
    base_url: str, proxy: str | None
) -> None:
    """What is accepted makes a valid head, and only errors of ours come out of a request."""
    policy = RetryPolicy(attempts=1, breaker_patience_s=0.01)
    try:
        client = InstantlyClient("k", base_url=base_url, proxy=proxy, retry=policy, ssl_context=TLS)
    except ConfigurationError:
        return

    async def get() -> None:
        async with client:
            with pytest.raises(ConnectionFailedError):
                await client.get_lead(LEAD_ID)

    relay = read_proxy(proxy)
    origin = read_base_url(base_url, {}, relay)
    assert isinstance(origin, str)
    assert isinstance(relay, Proxy | None)
    assert HOST.search(RequestHead(origin, ApiKey("k", ""), {}, relay).render(GET))
    address = parse_address(origin)
    assert address is not None
    TLS.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=address.host.strip("[]."))
    with asyncio.Runner(loop_factory=Offline) as runner:
        runner.run(get())
