"""The tables and signatures of docs/reference are those of the code.

That every public name is there, docs/conf.py requires when the site is made.
"""

import ast
import dataclasses
import inspect
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from places import DOCS

import instantly_async
from instantly_async import (
    EnrichmentStatus,
    EsgCode,
    EspCode,
    InstantlyClient,
    InstantlyError,
    InterestStatus,
    LastStep,
    Lead,
    LeadStatus,
    RateLimit,
    RetryPolicy,
    StatusSummary,
    SubsequenceStatusSummary,
    Timeouts,
    UploadMethod,
    VerificationStatus,
    models,
)
from instantly_async.enums import OpenIntEnum, OpenStrEnum

CLIENT, ERRORS, LEAD, SETTINGS = (
    (DOCS / "reference" / f"{name}.md").read_text()
    for name in ("client", "errors", "lead", "settings")
)
CODES: list[type[OpenIntEnum | OpenStrEnum]] = [
    LeadStatus,
    InterestStatus,
    VerificationStatus,
    EnrichmentStatus,
    UploadMethod,
    EspCode,
    EsgCode,
]
STRUCTS = [Lead, StatusSummary, LastStep, SubsequenceStatusSummary]


def tables(page: str, header: str) -> list[list[list[str]]]:
    """Return the cells of each table with this header."""
    found = re.findall(rf"(?m)^{re.escape(header)}\n\|[-|]+\|\n((?:\|.*\|\n)+)", page)
    return [
        [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in table.splitlines()]
        for table in found
    ]


def described(struct: type[Any]) -> list[list[str]]:
    """Return name, type and docstring of each field."""
    module = ast.parse(Path(str(models.__file__)).read_text())
    (body,) = (
        node.body
        for node in module.body
        if isinstance(node, ast.ClassDef) and node.name == struct.__name__
    )
    fields = [
        (field.target, docstring.value)
        for field, docstring in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(docstring, ast.Expr)
    ]
    types = get_type_hints(struct)
    return [
        [name.id, name_of(types[name.id]), text.value.replace("``", "`").strip(" `")]
        for name, text in fields
        if isinstance(name, ast.Name) and isinstance(text, ast.Constant)
        if isinstance(text.value, str)
    ]


def name_of(kind: Any) -> str:
    """Return the name of a type, which may be optional."""
    first = next(each for each in get_args(kind) or (kind,) if each is not type(None))
    return str(first.__name__)


def test_the_fields() -> None:
    """Each is a row, with the docstring that editors show."""
    shown = tables(LEAD, "| field | type | meaning |")
    assert shown == [described(struct) for struct in STRUCTS]
    assert [row[0] for row in shown[0]] == list(Lead.__struct_fields__)


def test_the_codes() -> None:
    assert tables(LEAD, "| code | name | label |") == [
        [[str(member.value), member.name, member.label] for member in kind] for kind in CODES
    ]
    assert re.findall(r"(?m)^### (\w+)", LEAD) == [kind.__name__ for kind in CODES]
    assert re.findall(r"Of the field `(\w+)`", LEAD) == [
        next(name for name, hint in get_type_hints(Lead).items() if name_of(hint) == kind.__name__)
        for kind in CODES
    ]


@pytest.mark.parametrize(("number", "kind"), [*enumerate([RateLimit, RetryPolicy, Timeouts])])
def test_the_settings(number: int, kind: type[Any]) -> None:
    shown = tables(SETTINGS, "| field | default | unit | meaning |")[number]
    defaults = [[field.name, repr(field.default)] for field in dataclasses.fields(kind)]
    assert [row[:2] for row in shown] == defaults
    assert all(unit and meaning for *_, unit, meaning in shown)


def test_the_arguments_of_the_client() -> None:
    (shown,) = tables(SETTINGS, "| argument | default | unit | meaning |")
    arguments = dict(inspect.signature(InstantlyClient).parameters)
    values = {row[0]: eval(row[1], vars(instantly_async)) for row in shown}  # noqa: S307 - ours
    assert values == {name: each.default for name, each in arguments.items()}


def test_the_signature_of_the_client() -> None:
    """Written out in the page, because Sphinx would show each overload instead."""
    (text,) = re.findall(r"autoclass:: InstantlyClient(\(.*\))", CLIENT)
    names: dict[str, Any] = dict(vars(instantly_async))
    exec(f"def shown{text}: ...", names)  # noqa: S102 - ours
    ours = inspect.signature(InstantlyClient).parameters.values()
    shown = inspect.signature(names["shown"]).parameters.values()
    assert [(each.name, each.kind, each.default) for each in shown] == [
        (each.name, each.kind, each.default) for each in ours
    ]


def test_the_tree_of_errors() -> None:
    """Each error stands below its base class, and none is missing."""
    tree = ERRORS.partition("```text\n")[2].partition("```")[0]
    bases: list[str] = []
    for line in tree.splitlines():
        name = line.lstrip(" │├└─")
        depth = (len(line) - len(name)) // 4
        error = getattr(instantly_async, name)
        assert error.__bases__[0].__name__ == (bases[depth - 1] if depth else "Exception")
        bases[depth:] = [name]
    every = {
        name
        for name in instantly_async.__all__
        if isinstance(each := getattr(instantly_async, name), type)
        and issubclass(each, InstantlyError)
    }
    assert {line.lstrip(" │├└─") for line in tree.splitlines()} == every
