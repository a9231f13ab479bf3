"""A server that is not the API: the command says so at once, and records nothing."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from commands import Command

from instantly_async.settings import API_KEY_VARIABLE, BASE_URL_VARIABLE
from instantly_async.testing import lead_ids


class Website(ThreadingHTTPServer):
    daemon_threads = True
    requests = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: the client leaves while it answers."""


class Page(BaseHTTPRequestHandler):
    """Answers each request with the page of a website that has no such address."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Website)
        self.server.requests += 1
        body = b"<!DOCTYPE html><title>404</title>Nothing here"
        self.send_response(404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Print nothing."""


@pytest.fixture
def website(monkeypatch: pytest.MonkeyPatch) -> Iterator[Website]:
    with Website(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv(BASE_URL_VARIABLE, f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv(API_KEY_VARIABLE, "k")
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("strategy", ["get", "list"])
def test_a_fetch_ends_at_once(
    strategy: str, command: Command, tmp_path: Path, website: Website
) -> None:
    (ids := tmp_path / "ids.txt").write_text("\n".join(lead_ids(2000)) + "\n")
    output = tmp_path / "leads.jsonl"
    result = command("fetch", ids, "-o", output, "--strategy", strategy)
    assert result.code == 5
    assert "What answers is not the Instantly API" in result.err
    assert BASE_URL_VARIABLE in result.err
    assert website.requests < 150
    assert not output.exists()
    assert not Path(f"{output}.errors.jsonl").exists()


def test_the_check_says_so(command: Command, website: Website) -> None:
    result = command("check")
    assert result.code == 5
    assert "did not answer like the API" in result.err
    assert website.requests <= 10
