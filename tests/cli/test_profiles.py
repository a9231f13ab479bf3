"""``--profile``: which key is used, and that no key of any profile is shown or stored."""

import json
import sys
from pathlib import Path

import pytest
from commands import IDS, Command

from instantly_async.cli.keys import key_of, known_keys, without_keys
from instantly_async.cli.known import storable
from instantly_async.cli.serve import fake_process
from instantly_async.cli.target import Target
from instantly_async.testing import FakeInstantly

ACME = "key-of-acme-1"
OTHER = "key-of-other-2"

pytestmark = [
    pytest.mark.fake_instantly(rate_limit=None),
    pytest.mark.usefixtures("environment", "profiles"),
]


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTANTLY_API_KEY_ACME_EU_1", f" {ACME}\n")
    monkeypatch.setenv("INSTANTLY_API_KEY_OTHER", OTHER)
    monkeypatch.setenv("INSTANTLY_API_KEY_EMPTY", " ")


@pytest.mark.parametrize("name", ["acme-eu.1", "ACME_EU_1", "Acme.EU-1"])
@pytest.mark.parametrize("arguments", [("check",), ("get", IDS[0]), ("fetch", "ids.txt")])
def test_a_profile_selects_the_key(  # noqa: PLR0917 - fixtures
    command: Command,
    fake_instantly: FakeInstantly,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arguments: tuple[str, ...],
) -> None:
    """In any case; hyphens and dots are underscores in the variable. The plain key is not used."""
    monkeypatch.chdir(tmp_path)
    Path("ids.txt").write_text(IDS[0])
    fake_instantly.api_key = ACME
    assert command(*arguments, "--profile", name).code == 0
    assert command(*arguments).code == 4


def test_a_refused_key_is_named_by_its_variable(command: Command) -> None:
    result = command("check", "--profile", "other")
    assert result.code == 4
    assert "the key from INSTANTLY_API_KEY_OTHER (401)" in result.err
    assert OTHER not in result.err


@pytest.mark.parametrize("name", ["nobody", "empty", "", "no name", "clé", "../x", OTHER + "=="])
def test_an_unknown_profile_lists_those_that_are_set(command: Command, name: str) -> None:
    """One sentence without values, and without the name: a key may be given in its place."""
    result = command("check", f"--profile={name}")
    assert (result.code, result.out, result.err.count("\n")) == (2, b"", 1)
    assert "those that are set: acme_eu_1, other." in result.err
    assert ACME not in result.err
    assert OTHER not in result.err


def test_without_any_profile_the_sentence_has_an_example(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ACME_EU_1", "OTHER"):
        monkeypatch.delenv(f"INSTANTLY_API_KEY_{name}")
    err = command("check", "--profile", "acme").err
    assert "none is set; the key of the profile acme is in INSTANTLY_API_KEY_ACME." in err


def test_no_text_with_the_key_of_any_profile_is_stored() -> None:
    assert storable("12-ab") == "12-ab"
    assert storable(f"x{ACME}y") == storable(OTHER) == ""


def test_the_command_that_resumes_keeps_the_profile() -> None:
    """If the key of any profile is among the arguments, no command is shown."""
    target = Target("a.jsonl")
    arguments = ["fetch", "ids.txt", "-o", "a.jsonl", "--profile", "acme"]
    hint = target.how_to_resume(arguments, from_stdin=False)
    assert hint is not None
    assert hint.endswith("fetch --resume ids.txt -o a.jsonl --profile acme")
    assert target.how_to_resume([*arguments, f"--user-agent={OTHER}"], from_stdin=False) is None


def test_a_child_process_gets_no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The fake of ``demo``, which needs none."""
    seen, program = tmp_path / "seen", tmp_path / "python"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        f"open({str(seen)!r}, 'w').write(json.dumps(dict(os.environ)))\n"
        "print('export INSTANTLY_BASE_URL=http://x', flush=True)\n"
    )
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with fake_process():
        environment = json.loads(seen.read_text())
    assert "PATH" in environment
    assert not [name for name in environment if name.startswith("INSTANTLY_API_KEY")]


def test_keys_of_the_environment() -> None:
    """A value that is only white space is no key: every text holds the empty one."""
    environ = {"INSTANTLY_API_KEY": " a ", "INSTANTLY_API_KEY_B": "b", "INSTANTLY_API_KEY_C": " "}
    assert known_keys({**environ, "OTHER": "c"}) == ("a", "b")
    assert without_keys({**environ, "OTHER": "c"}) == {"OTHER": "c"}


def test_a_key_prints_as_stars() -> None:
    assert repr(key_of("other")) == "***"
