"""The package in an archive, without docstrings and assertions, as frozen applications have it."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from commands import ids_in

import instantly_async
from instantly_async.testing import lead_ids

MAIN = """
import sys
import instantly_async
if ".zip" not in instantly_async.__file__:
    sys.exit("not from the archive")
del instantly_async.__file__
from instantly_async.cli import main
for arguments in (["--help"], ["demo", "--count", "2", "--quiet", "-o", sys.argv[1]]):
    sys.argv[1:] = arguments
    if code := main():
        sys.exit(code)
"""


def test_from_an_archive_without_docstrings(tmp_path: Path, unmeasured: None) -> None:
    """The demo starts another Python, which has to find the archive, too.

    Coverage would count the archive's modules beside those that the other tests run.
    """
    package, archive = Path(instantly_async.__file__).parent, tmp_path / "app.zip"
    with ZipFile(archive, "w") as file:
        for each in package.rglob("*.py"):
            file.write(each, each.relative_to(package.parent))
        file.writestr("__main__.py", MAIN)
    output = tmp_path / "leads.jsonl"
    done = subprocess.run(
        [sys.executable, "-OO", str(archive), str(output)],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"Usage: instantly-async COMMAND")
    assert ids_in(output.read_bytes()) == list(lead_ids(2))
