"""What the package needs, and from which version on: the floors are there for reasons."""

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from places import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CORE = {req.name: req for req in map(Requirement, PROJECT["project"]["dependencies"])}
SAFE = {"aiohttp": "3.14.4"}
"""The first versions without known vulnerabilities: CVE-2026-69244 and a flood of cookies."""


def floor_of(requirement: Requirement) -> Version:
    (floor,) = (each.version for each in requirement.specifier if each.operator == ">=")
    return Version(floor)


def entries() -> Iterator[tuple[str, str]]:
    yield "build", PROJECT["build-system"]["requires"][0]
    sets = {
        "core": PROJECT["project"]["dependencies"],
        **PROJECT["project"]["optional-dependencies"],
        **PROJECT["dependency-groups"],
    }
    for name, listed in sets.items():
        yield from ((name, each) for each in listed)


def test_the_core_is_small() -> None:
    assert set(CORE) == {"aiohttp", "msgspec", "aiolimiter"}


@pytest.mark.parametrize(("group", "entry"), list(entries()))
def test_each_has_a_floor_and_no_ceiling(group: str, entry: str) -> None:
    """A ceiling in a library locks its users out of fixes."""
    assert [each.operator for each in Requirement(entry).specifier] == [">="]


@pytest.mark.parametrize("name", SAFE)
def test_no_floor_lets_a_known_vulnerability_in(name: str) -> None:
    assert floor_of(CORE[name]) >= Version(SAFE[name])


@pytest.mark.parametrize("name", CORE)
def test_what_is_installed_keeps_the_floor(name: str) -> None:
    assert Version(version(name)) >= floor_of(CORE[name])


def test_the_python_is_one_of_those_promised() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert sys.version_info >= (3, 11)
