"""HAProxy as a limiter that somebody else wrote: stick tables over 1 s and 60 s, before a fake.

HAProxy counts rejected requests, too. Its rates are not those of exact windows: it weighs the
period before with what of it is less than one period ago.
"""

import csv
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

PER_SECOND, PER_MINUTE = 100, 6_000
STOP_S = 5.0

CONFIG = """
global
    maxconn 1000
    stats socket {folder}/stats mode 600

defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s

frontend api
    bind fd@{descriptor}
    http-request track-sc0 hdr(authorization) table seconds
    http-request track-sc1 hdr(authorization) table minutes
    http-request return status 429 if {{ sc_http_req_rate(0) gt {per_second} }}
    http-request return status 429 if {{ sc_http_req_rate(1) gt {per_minute} }}
    default_backend api

backend api
    server fake {server}

backend seconds
    stick-table type string len 100 size 100 expire 10m store http_req_rate(1s)

backend minutes
    stick-table type string len 100 size 100 expire 10m store http_req_rate(60s)
"""


class HAProxy:
    """A running HAProxy."""

    def __init__(self, url: str, stats: Path) -> None:
        self.url = url
        self._stats = stats

    def counts(self) -> tuple[int, int]:
        """Return how many requests came, and how many of them got 4xx, which are 429s here."""
        with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rw") as file:
            connection.connect(str(self._stats))
            file.write("show stat\n")
            file.flush()
            rows = list(csv.DictReader(file))
        front = next(row for row in rows if row["svname"] == "FRONTEND")
        return int(front["req_tot"]), int(front["hrsp_4xx"])


def find_haproxy() -> str | None:
    """Return where it is installed; ``None``: it is not. Debian has it in a folder of root's."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def haproxy_before(server: str) -> Iterator[HAProxy]:
    """Run HAProxy before the server with this URL."""
    program = find_haproxy()
    assert program is not None
    with TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        file = Path(folder, "haproxy.cfg")
        config = CONFIG.format(
            folder=folder,
            descriptor=listener.fileno(),
            server=urlsplit(server).netloc,
            per_second=PER_SECOND,
            per_minute=PER_MINUTE,
        )
        file.write_text(config, encoding="ascii")
        command = [program, "-db", "-f", str(file)]
        with subprocess.Popen(command, pass_fds=[listener.fileno()]) as process:
            try:
                port = listener.getsockname()[1]
                yield HAProxy(f"http://127.0.0.1:{port}", Path(folder, "stats"))
            finally:
                process.terminate()
                process.wait(STOP_S)
