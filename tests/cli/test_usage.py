"""A wrong command line: one sentence, the remedy, the help of the command, and no value."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from commands import IDS, MODULE, Command
from cyclopts import CycloptsError
from hypothesis import given
from hypothesis import strategies as st

from instantly_async.cli.app import app, options_by_command
from instantly_async.cli.remedies import BECAUSE, INSTEAD, MISSING, OF_COMMAND, TOO_MANY
from instantly_async.cli.usage import CommandLine, without_private
from instantly_async.testing import DEFAULT_API_KEY, FakeInstantly

pytestmark = [
    pytest.mark.fake_instantly(rate_limit=None),
    pytest.mark.usefixtures("environment"),
]

KEY = "never-set-0123456789"
EMAIL = "ada.canary@example.com"
PASSWORD = "canary-pass"
KEY_REMEDY = "the API key is read from INSTANTLY_API_KEY, never from an argument"

ROWS: dict[str, str] = {
    # arguments in place of options
    "fetch ids.txt leads.jsonl": "fetch reads one file; name the output with -o.",
    "convert a b c": "convert takes two files",
    "check me": "check takes no arguments.",
    "ids 300": "use --count 300.",
    "demo 300": "use --count 300.",
    "serve 8080": "use --port 8080.",
    f"ids {KEY}": "use --count N.",
    # options that do not exist
    "fetch --bogus": "Unknown option: --bogus.",
    "fetch --reusme": "did you mean --resume?",
    "fetch --Output x": "did you mean --output?",
    "demo -q": "use --quiet.",
    "fetch -q": "use --quiet.",
    "ids -n 5": "use --count.",
    "fetch --verbose": "use --log-level debug.",
    "demo --workspace x": "only get, check, fetch and export have it.",
    "get x --force": "Unknown option: --force; only ",
    "ids --labels": "only fetch, export and convert have it.",
    "fetch --timeout 5": "use --patience.",
    "fetch -f ids.txt": "a file with ids is named without an option.",
    "get -f ids.txt": "instantly-async fetch FILE.",
    "convert x --output y": "the output is the second argument",
    "convert x -o y": "the output is the second argument",
    "get x -o y": "write them to a file with > FILE.",
    "fetch --base-url https://x": "INSTANTLY_BASE_URL",
    "fetch --env-file .env": "are not read",
    "fetch --insecure": "SSL_CERT_FILE",
    "ids -x5": "Unknown option.",
    # keys, also of the environment
    f"fetch --api-key={KEY}": KEY_REMEDY,
    f"fetch --api-key {KEY}": KEY_REMEDY,
    f"fetch ids.txt --api-key {KEY}": KEY_REMEDY,
    f"get x --api-key {KEY}": KEY_REMEDY,
    f"get x --key={KEY}": KEY_REMEDY,
    f"check --token {KEY}": KEY_REMEDY,
    f"convert a b --token {KEY}": KEY_REMEDY,
    f"fetch --{KEY}": "Unknown option.",
    # values
    "fetch --format json": "--format must be jsonl, csv or parquet; did you mean jsonl?",
    f"fetch --log-level {KEY}": "--log-level must be debug, info, warning or error.",
    f"ids --count {KEY}": "--count must be a whole number.",
    f"fetch --patience {EMAIL}": "--patience must be a number.",
    "ids --count 0": "--count must be at least 1.",
    "serve --port 70000": "--port must be at most 65535.",
    "ids --count 1 --count 2": "--count is there more than once",
    "fetch -o": "-o needs a value after it.",
    "fetch -o --quiet": "A value is missing before --quiet.",
    # missing arguments
    "get": "Name at least one lead id",
    "convert a": "Name the leads and the output",
    # commands
    "feth ids.txt": "did you mean fetch?",
    "nonsense": "Unknown command: nonsense; there are ",
    KEY: "Unknown command; there are ",
    EMAIL: "Unknown command; there are ",
    IDS[0]: "A command comes before a lead id",
    "--hlp": "Unknown option: --hlp; did you mean --help?",
    "-V": "Unknown option: -V; did you mean --version?",
    "--count 5": "Unknown option: --count; name a command first, such as demo.",
    "help nonsense": "Unknown command: nonsense",
}


@pytest.mark.parametrize("line", ROWS)
def test_a_wrong_command_line(command: Command, line: str) -> None:
    """One sentence with the remedy, and at its end the help of this command."""
    result = command(*line.split())
    assert (result.code, result.out, result.err.count("\n")) == (2, b"", 1)
    assert ROWS[line] in result.err
    name = next((each for each in line.split()[:1] if each in app), "")
    see = f"instantly-async {name} --help".replace("  ", " ")
    assert result.err.endswith(f' See "{see}".\n')
    for value in (KEY, EMAIL):
        assert value not in result.err


LINES = st.lists(
    st.sampled_from([
        "fetch", "get", "convert", "ids", "demo", "serve", "completion", "-o", "-", "--count",
        "--format", "--api-key", "--proxy", "--force", "--fields", "--bogus", "--profile", "a",
        *(f"{before}{value}{after}" for value in (KEY, EMAIL, PASSWORD)
          for before, after in (("", ""), ("--x=", ""), ("-", ""), ("--", ""), ("http://u:", "@p"))
          if value != PASSWORD or after),
    ]),
    max_size=5,
)  # fmt: skip


@given(LINES)
def test_no_value_is_shown(arguments: list[str]) -> None:
    """Wherever a key, an email or a password is on a line that cannot be parsed."""
    said = sentences_about(arguments)
    assert not [value for value in (KEY, EMAIL, PASSWORD) if value in said]


def sentences_about(arguments: list[str]) -> str:
    """Return what is said about a command line; nothing if it can be parsed."""
    try:
        app.parse_args(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return CommandLine(arguments, options_by_command()).sentence_of(error)
    return ""


@pytest.mark.parametrize("argument", [DEFAULT_API_KEY, f"--token={DEFAULT_API_KEY}"])
@pytest.mark.parametrize("name", ["fetch", "get", "check", "convert", DEFAULT_API_KEY])
def test_a_key_of_the_environment_is_no_argument(
    command: Command, fake_instantly: FakeInstantly, name: str, argument: str
) -> None:
    """Not as the name of a file, nor anywhere else. The fixture checks that it is not shown."""
    result = command(name, argument)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert result.err.startswith("An argument is an API key, which other users")
    assert not fake_instantly.requests


def test_emails_and_passwords_are_left_out_of_sentences(command: Command) -> None:
    """They were given in place of a file. A folder may have an @ in its name."""
    url = f"http://user:{PASSWORD}@proxy.example:8080"
    for argument in (EMAIL, url):
        assert command("fetch", argument).err == "There is no file …; check the name.\n"
    assert without_private(f"Not {url}.", ["fetch", f"--x={url}"]) == "Not …."
    path = "/home/ada@work/ids.txt"
    assert without_private(f"No {path}.", ["fetch", path]) == f"No {path}."


def test_tables_name_real_commands_and_options() -> None:
    commands = {name for name in app if not name.startswith("-")}
    options = {
        each
        for name in commands
        for argument in app[name].assemble_argument_collection()
        for each in argument.names
    }
    assert {name for name, _ in OF_COMMAND} | {*TOO_MANY, *MISSING} <= commands
    assert not {*BECAUSE} & options
    shown = {instead.split()[0] for row in INSTEAD.values() for instead in row}
    assert shown <= options | {"--limit"}, "a remedy that does not exist"


def test_without_a_command(command: Command) -> None:
    """A short help on stderr; the code shows a script that something is missing."""
    result = command()
    assert (result.code, result.out) == (2, b"")
    assert "instantly-async demo" in result.err
    assert result.err.endswith('See "instantly-async --help".\n')


@pytest.mark.parametrize("line", ["help", "help fetch", "fetch -h", "-h"])
def test_other_ways_to_the_help(command: Command, line: str) -> None:
    words = [word for word in line.split() if word == "fetch"]
    assert command(*line.split()) == command(*words, "--help")


@pytest.mark.parametrize("arguments", ["--help", "fetch --help", "--version", "ids"])
def test_stdout_is_full(arguments: str, unmeasured: None) -> None:
    with Path("/dev/full").open("wb") as full:
        line = [*MODULE, *arguments.split()]
        result = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, check=False)
    assert result.returncode == 5
    assert result.stderr.count(b"\n") == 1
    assert b"No space left on device" in result.stderr


@pytest.mark.parametrize("line", ["fetch {0} -o {0}", "fetch ids.txt -o {0} --resume"])
def test_a_folder_in_place_of_a_file(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ids.txt").write_text(IDS[0])
    result = command(*line.format(tmp_path).split())
    assert (result.code, result.out) == (2, b"")
    assert f"{tmp_path} is a folder; name a file" in result.err


def test_a_folder_as_converted_output(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    result = command("convert", tmp_path / "a.jsonl", tmp_path, "--format", "csv")
    assert result == (2, b"", f"{tmp_path} is a folder; name a file in it.\n")


@pytest.mark.parametrize("options", [[], ["--column", "ID"]])
def test_two_columns_of_one_name(command: Command, tmp_path: Path, options: list[str]) -> None:
    """Their numbers, and their exact names, tell them apart."""
    (tmp_path / "a.csv").write_text(f"id,name,Id\n{IDS[0]},x,{IDS[1]}\n")
    result = command("fetch", tmp_path / "a.csv", *options)
    assert (result.code, result.out) == (2, b"")
    sentence = (
        'has 2 columns that could hold the lead ids, "id", "Id"; use --column 1 for the first.'
    )
    assert sentence in result.err
    for column, lead_id in (("1", IDS[0]), ("3", IDS[1]), ("Id", IDS[1])):
        result = command("fetch", tmp_path / "a.csv", "--quiet", "--column", column)
        assert result.found == [lead_id]


def test_tls_on_a_port_without_it(
    command: Command, fake_instantly: FakeInstantly, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTANTLY_BASE_URL", fake_instantly.url.replace("http:", "https:"))
    result = command("check")
    assert result.code == 5
    assert "does not speak TLS on this port" in result.err
    assert "INSTANTLY_BASE_URL" in result.err


@pytest.mark.parametrize("line", ["fetch {0}", "fetch {0} -o {1}", "convert {0} {1}"])
def test_no_descriptor_is_left(tmp_path: Path, unmeasured: None, line: str) -> None:
    """Another name for the file would not help."""
    (tmp_path / "ids.txt").write_text(IDS[0])
    names = [tmp_path / "ids.txt", tmp_path / "out.csv"]
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    program = (
        "import os, resource, sys\n"
        "from instantly_async.cli import main, app\n"
        "while (fd := os.open(os.devnull, os.O_RDONLY)) < 8: pass\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (fd + 1, {limit}))\n"
        "sys.exit(main())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *line.format(*names).split()],
        capture_output=True,
        env={**os.environ, "INSTANTLY_API_KEY": "k"},
        text=True,
        check=False,
    )
    assert result.returncode == 5, result.stderr
    assert "raise the limit with ulimit -n." in result.stderr
    assert result.stderr.count("\n") == 1
