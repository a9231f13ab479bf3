"""An event loop is not blocked by the import, beyond reading modules, nor by construction.

Python's audit events show each file that is opened, sockets and processes. ``time.sleep`` has no
event before Python 3.13, and OpenSSL opens certificates without one, so the functions are watched.
"""

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("unmeasured")

PROGRAM = """
import asyncio, json, socket, ssl, sys, time

seen = []
phase = None
BLOCKING = ("open", "os.system", "os.exec", "os.fork", "os.posix_spawn")

def hook(event, arguments):
    if phase and (event in BLOCKING or event.startswith(("socket.", "subprocess."))):
        seen.append((phase, event, str(arguments[0]) if arguments else ""))

def watch(name):
    method = getattr(ssl.SSLContext, name)
    def watched(*arguments, **options):
        if phase:
            seen.append((phase, "certificates", sys._getframe(1).f_globals["__name__"]))
        return method(*arguments, **options)
    setattr(ssl.SSLContext, name, watched)

for name in ("load_default_certs", "load_verify_locations", "set_default_verify_paths"):
    watch(name)
sleep = time.sleep

def watched_sleep(seconds):
    if phase:
        seen.append((phase, "time.sleep", str(seconds)))
    sleep(seconds)

time.sleep = watched_sleep
sys.addaudithook(hook)

async def main():
    global phase
    phase = "import"
    import instantly_async
    from instantly_async import InstantlyClient
    phase = "construction"
    client = InstantlyClient("key")
    client.for_workspace("workspace")
    client.loader()
    client.stream_leads(["id"])
    client.find_leads(["email"])
    client.list_leads()
    {more}
    phase = None
    await client.aclose()

asyncio.run(main())
print(json.dumps(seen))
"""

MODULES = (".py", ".pyc", ".so", ".pyd", ".zip", "METADATA")
"""What the import system reads, and ``importlib.metadata`` for versions."""


def blocking_calls(more: str = "pass") -> list[tuple[str, str, str]]:
    """Return phase, event and first argument of each call that may block, in a new process."""
    command = [sys.executable, "-c", PROGRAM.replace("{more}", more)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seen: list[Any] = json.loads(done.stdout)
    return [(phase, event, argument) for phase, event, argument in seen]


def test_nothing_blocks_the_loop_but_the_modules() -> None:
    """aiohttp reads the certificate authorities once, when it is imported."""
    calls = blocking_calls()
    modules = [each for each in calls if each[1] == "open" and each[2].endswith(MODULES)]
    assert len(modules) > 10
    others = {each for each in calls if each not in modules}
    assert {phase for phase, _, _ in others} <= {"import"}
    assert {event for _, event, _ in others} <= {"certificates"}
    assert "construction" not in {phase for phase, _, _ in calls}


@pytest.mark.parametrize(
    ("call", "event"),
    [
        ("open('/dev/null')" if sys.platform != "win32" else "open('NUL')", "open"),
        ("socket.getaddrinfo('localhost', 1)", "socket.getaddrinfo"),
        ("socket.socket().close()", "socket.__new__"),
        ("time.sleep(0)", "time.sleep"),
        ("ssl.create_default_context()", "certificates"),
        ("import subprocess; subprocess.run([sys.executable, '-c', ''])", "subprocess.Popen"),
    ],
)
def test_a_call_that_blocks_would_be_found(call: str, event: str) -> None:
    assert event in {each for phase, each, _ in blocking_calls(call) if phase == "construction"}
