"""The way to the API: a proxy, the header ``User-Agent``, a private certificate authority."""

import asyncio
import os
import re
import shlex
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from commands import MODULE, Command, ids_in
from wire import leads_by_id

from instantly_async.cli.options import Network
from instantly_async.cli.target import Target
from instantly_async.testing import FakeInstantly, lead_ids, lead_json

(LEAD_ID,) = lead_ids(1)
PASSWORD = "hunter2"
BASIC = "Basic dXNlcjpodW50ZXIy"
VARIABLES = ("INSTANTLY_PROXY", "INSTANTLY_USER_AGENT", "HTTPS_PROXY", "ALL_PROXY")


class Proxy(ThreadingHTTPServer):
    """A proxy for plain HTTP that answers itself, with a lead, and keeps what it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://user:{PASSWORD}@127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        self._answer(lead_json(self.path.rpartition("/")[2]))

    def do_POST(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        self._answer(b'{"items":[]}')

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def plain_environment(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens at the address of the server."""
    monkeypatch.setenv("INSTANTLY_BASE_URL", "http://127.0.0.1:9")
    for name in (*VARIABLES, "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("arguments", [["get", LEAD_ID], ["check"], ["fetch", "--quiet"]])
@pytest.mark.parametrize("by", ["option", "variable"])
def test_requests_go_through_the_proxy(
    command: Command,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    by: str,
) -> None:
    """With its password, the key and the header; none of which is printed."""
    if by == "variable":
        monkeypatch.setenv("INSTANTLY_PROXY", proxy.url)
        monkeypatch.setenv("INSTANTLY_USER_AGENT", "acme/1")
    else:
        monkeypatch.setenv("INSTANTLY_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("INSTANTLY_USER_AGENT", "other/1")
        arguments = [*arguments, "--proxy", proxy.url, "--user-agent=acme/1"]
    stdin = f"{LEAD_ID}\n".encode() if "fetch" in arguments else None
    result = command(*arguments, "--log-level", "debug", stdin=stdin)
    assert result.code == 0
    ((target, headers),) = proxy.seen
    assert target.startswith("http://127.0.0.1:9/api/v2/leads/")
    assert (headers["Proxy-Authorization"], headers["User-Agent"]) == (BASIC, "acme/1")
    assert PASSWORD not in result.err


def test_an_empty_value_means_none(
    command: Command, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the variable names one; other programs' variables are ignored."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    for option, variable in (([], ""), (["--proxy", ""], proxy.url), (["--proxy="], proxy.url)):
        monkeypatch.setenv("INSTANTLY_PROXY", variable)
        monkeypatch.setenv("INSTANTLY_USER_AGENT", "")
        result = command("check", "--patience", "0.1", "--log-level", "error", *option)
        assert result.code == 5
        assert "HTTPS_PROXY is set, but not used; to use that proxy, set INSTANTLY" in result.err
        assert PASSWORD not in result.err
    assert not proxy.seen


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_a_variable_that_other_programs_use_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    assert Network().hint is None
    monkeypatch.setenv(variable, f"http://user:{PASSWORD}@proxy.example")
    expected = f"{variable} is set, but not used; to use that proxy, set INSTANTLY_PROXY to it."
    assert Network().hint == expected
    through = "All requests go through the proxy in {}; perhaps it cannot be reached."
    assert Network(proxy=f"http://u:{PASSWORD}@h").hint == through.format("--proxy")
    monkeypatch.setenv("INSTANTLY_PROXY", f"http://u:{PASSWORD}@h")
    assert Network().hint == through.format("INSTANTLY_PROXY")
    assert Network(proxy="").hint == expected


def test_a_run_that_reaches_nothing_is_told_of_it(
    command: Command, monkeypatch: pytest.MonkeyPatch, fake_instantly: FakeInstantly
) -> None:
    """But not one that has no ids, or that gets answers."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    options = ["--patience", "0.01", "--log-level", "error"]
    assert "HTTPS_PROXY is set" in command("get", LEAD_ID, *options).err
    assert "is set" not in command("fetch", "/dev/null").err
    monkeypatch.setenv("INSTANTLY_BASE_URL", fake_instantly.url)
    fake_instantly.paid_plan = False
    assert "is set" not in command("get", LEAD_ID, *options).err


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["--proxy", "socks5://u:hunter2@h"], {}, "--proxy must be"),
        (["--proxy=u:hunter2@h:1"], {}, "--proxy must be"),
        ([], {"INSTANTLY_PROXY": "u:hunter2@h"}, "INSTANTLY_PROXY must be"),
        (["--proxy", "http://u:hunter2@h"], {}, "INSTANTLY_BASE_URL must be https with a proxy"),
        (["--prxy=http://u:hunter2@h"], {}, "Unknown option"),
        (["--prxy", "http://u:hunter2@h"], {}, ""),
        (["--proxy", "http://u:hunter2@a", "--proxy", "http://u:hunter2@b"], {}, "more than once"),
        (["--user-agent", "a\nb"], {}, "--user-agent must be a text"),
        ([], {"INSTANTLY_USER_AGENT": "é"}, "INSTANTLY_USER_AGENT must be a text"),
    ],
)
@pytest.mark.parametrize("name", ["get", "check", "fetch"])
def test_a_wrong_value_is_one_sentence_without_the_password(  # noqa: PLR0917 - fixtures
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arguments: list[str],
    variables: dict[str, str],
    message: str,
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    result = command(name, *[LEAD_ID] * (name == "get"), *arguments)
    assert (result.code, result.out, result.err.count("\n")) == (2, b"", 1)
    assert message in result.err
    assert PASSWORD not in result.err


def test_demo_uses_no_proxy(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTANTLY_PROXY", "http://127.0.0.1:9")
    assert command("demo", "--count", "3", "--quiet").code == 0


@pytest.mark.parametrize("option", ["--proxy={}", "--proxy {}"])
def test_the_command_that_resumes_has_no_password(option: str) -> None:
    """It says that the option is left out."""
    target, url = Target("out"), f"http://user:{PASSWORD}@h:1"
    arguments = ["fetch", "ids", *option.format(url).split(), "-o", "out"]
    sentence = target.how_to_resume(arguments, from_stdin=False)
    expected = "Resume, with the same --proxy, with: instantly-async fetch --resume ids -o out"
    assert sentence == expected
    sentence = target.how_to_resume(arguments, from_stdin=True)
    assert sentence == expected.replace(" the same", " the same ids on stdin and the same")
    plain = [each.replace(f"user:{PASSWORD}@", "") for each in arguments]
    sentence = target.how_to_resume(plain, from_stdin=False)
    assert sentence is not None
    assert shlex.split(sentence.partition(": ")[2])[3:] == plain[1:]


def test_the_options_print_without_the_password() -> None:
    assert PASSWORD not in repr(Network(proxy=f"http://user:{PASSWORD}@h"))


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_private_certificate_authority(tmp_path: Path, *, trusted: bool) -> None:
    """OpenSSL's variable names it, as behind a company's proxy that replaces certificates."""
    authority, path = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with leads_by_id(tls=tls) as wire:
        environment = {**os.environ, "INSTANTLY_BASE_URL": wire.url}
        if trusted:
            environment["SSL_CERT_FILE"] = str(path)
        process = await asyncio.create_subprocess_exec(
            *MODULE,
            "get",
            LEAD_ID,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 30)
    if trusted:
        assert (process.returncode, ids_in(out), err) == (0, [LEAD_ID], b"")
    else:
        assert (process.returncode, out) == (5, b"")
        assert re.search(r"certificate .* is not trusted.* SSL_CERT_FILE", err.decode())
