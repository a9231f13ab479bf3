"""The layers of docs/how-it-works/design.md, checked in the syntax trees: imports point down only.

Each folder (a *room* below) has a table that lists its entries from top to bottom. An entry
imports only entries below it, and other folders only through their ``__init__``.
"""

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

import instantly_async
import instantly_async.testing

PACKAGE = Path(instantly_async.__file__).parent

ROOMS: dict[str, list[str]] = {
    "": [
        "__main__",
        "cli",
        "otel  ray  redis",
        "__init__",
        "client",
        "reader",
        "streams  loader",
        "activity  decoding  progress",
        "_fetch",
        "testing",
        "limiters",
        "_pace  _http",
        "outcomes",
        "_arrow",
        "_api  _recorder",
        "events",
        "models  settings  stats  _html  _extras  _telling",
        "enums  errors  _version  _clock  _reprs  _key_log",
    ],
    "_fetch": [
        "__init__",
        "strategies",
        "by_list  by_email  listing",
        "by_get  chunk  email_search  sentinel",
        "email_chunk  cursor",
        "proven  settle  check  pipeline",
        "attempts",
        "canary",
        "sending",
        "witness",
        "workspace  retries  intake  page_size  absence  first_of  reading  seen  together  facts",
        "feeder",
    ],
    "otel": ["__init__", "observer", "metrics", "durations  spans", "totals  values"],
    "ray": ["__init__", "fetch", "batches  clients  rows", "limiter"],
    "redis": ["__init__", "limiter", "server"],
    "_pace": [
        "__init__",
        "pace",
        "remote",
        "adaptive",
        "limiter  ledger",
        "budget  breaker  cubic  places  trust",
    ],
    "_http": [
        "__init__",
        "transport",
        "connections",
        "attempt  pool  head",
        "failures",
        "connection  request  broken  coding",
        "addresses",
        "credentials  address_mistakes  descriptors  certificates",
        "key_mistakes",
    ],
    "_api": [
        "__init__",
        "endpoints",
        "listing",
        "pages  filters",
        "decoding  answers  endpoint",
        "salvage  emails",
        "scanning  fitting  retry_after",
        "copying  pieces  ids  steps  moments  foreign",
    ],
    "testing": [
        "__init__  plugin",
        "limiter_laws  server",
        "api",
        "listing",
        "matching",
        "behaviour  delivery  query",
        "faults  log  leads",
        "answers  call  windows  _template",
    ],
    "cli": [
        "__main__",
        "__init__",
        "app",
        "commands",
        "job  check  serve",
        "target  usage  pretty  work  telemetry",
        "remedies  options  process",
        "sharing",
        "show",
        "input  output  convert",
        "known",
        "records  system",
        "keys  epilogues",
        "exits  terminal  groups  amounts  invocation  shells",
    ],
    "cli/commands": ["__init__", "get  fetch  export  convert  trial", "arguments"],
    "cli/input": [
        "__init__",
        "sources",
        "reader",
        "choosing",
        "formats  lines  recoding  sniff  text_ids  workbooks",
        "json_documents",
        "json_elements",
        "csv_ids  json_ids  looks  stages",
        "csv_records  tables  extents",
        "sought",
        "names",
        "cells  understood",
    ],
    "cli/output": [
        "__init__",
        "opening",
        "journal",
        "error_lines  lines  recovery  replaced  reserve  syncer",
        "readback",
        "past  tearing",
        "query",
    ],
    "cli/convert": [
        "__init__",
        "conversion",
        "reading",
        "layout",
        "writers",
        "csv_cells",
        "columns  packing  names",
        "payloads",
    ],
    "cli/show": [
        "__init__",
        "progress  chart  listing",
        "ending  messages",
        "report  naming",
        "words",
    ],
    "cli/records": ["__init__", "selection", "line  payload_keys", "emails"],
    "cli/system": ["__init__", "files  polling  unpacking", "durability  locks  compression"],
}
"""Names in the same line do not import each other."""

FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(file: Path) -> tuple[str, ...]:
    """Return the module's path within the package, which ends in ``__init__`` for a folder."""
    return file.relative_to(PACKAGE).with_suffix("").parts


MODULES = {module_of(file) for file in FILES}


def is_module(parts: tuple[str, ...]) -> bool:
    return parts in MODULES or (*parts, "__init__") in MODULES


def imports_of(file: Path) -> Iterator[tuple[str, ...]]:
    """Yield the modules of this package that a file imports, at any place in the file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                package, *parts = alias.name.split(".")
                if package == "instantly_async":
                    yield tuple(parts)
        elif isinstance(node, ast.ImportFrom):
            package, *parts = (node.module or "").split(".")
            if node.level:
                here = module_of(file)[: -node.level]
                base = (*here, *filter(None, (package, *parts)))
            elif package == "instantly_async":
                base = tuple(parts)
            else:
                continue
            for alias in node.names:
                inner = (*base, alias.name)
                yield inner if is_module(inner) else base


def ranks_of(room: tuple[str, ...]) -> dict[str, int]:
    """Return the rank of each entry of a room; the top has the highest."""
    lines = reversed(ROOMS["/".join(room)])
    return {name: rank for rank, line in enumerate(lines) for name in line.split()}


def step(importer: tuple[str, ...], target: tuple[str, ...]) -> tuple[tuple[str, ...], str, str]:
    """Return the innermost room that holds both modules, and the entry of each there."""
    pairs = zip(importer[:-1], target, strict=False)
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    return importer[:shared], importer[shared], (*target, "__init__")[shared]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_down(file: Path) -> None:
    importer = module_of(file)
    for target in imports_of(file):
        room, mine, other = step(importer, target)
        ranks = ranks_of(room)
        assert ranks[mine] > ranks[other], f"{'/'.join(importer)} imports {'.'.join(target)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_room_is_only_imported_through_its_init(file: Path) -> None:
    importer = module_of(file)
    for target in imports_of(file):
        room, _, _ = step(importer, target)
        assert len(target) <= len(room) + 1, f"{'/'.join(importer)} imports {'.'.join(target)}"


def test_every_room_has_its_table() -> None:
    entries: dict[str, set[str]] = {}
    for module in MODULES:
        for depth in range(len(module)):
            entries.setdefault("/".join(module[:depth]), set()).add(module[depth])
    tables = {room: set(" ".join(lines).split()) for room, lines in ROOMS.items()}
    assert tables == entries


@pytest.mark.parametrize("room", [room for room in ROOMS if room], ids=str)
def test_a_room_says_what_it_decides(room: str) -> None:
    """Its module docstring says what it decides, and what it must not know."""
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text())
    text = " ".join((ast.get_docstring(tree) or "").split())
    assert "Decides" in text or room in {"cli", "testing"}
    assert "Must not know" in text or room in {"cli", "testing"}


def test_the_fake_shares_no_code_with_the_client() -> None:
    for file in set((PACKAGE / "testing").glob("*.py")) - {PACKAGE / "testing/limiter_laws.py"}:
        # _reprs and _key_log know nothing of requests and answers.
        assert {target[0] for target in imports_of(file)} <= {
            "models",
            "enums",
            "testing",
            "_reprs",
            "_key_log",
        }


def outside_imports_of(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module or "")
    return {name.split(".")[0] for name in found}


def test_only_one_room_imports_aiohttp_s_client() -> None:
    users = {module_of(file)[0] for file in FILES if "aiohttp" in outside_imports_of(file)}
    assert users == {"_http", "testing"}


def test_the_core_needs_no_extra() -> None:
    """Only the command imports packages of the extras."""
    extras = {"cyclopts", "rich", "uvloop", "pyarrow"}
    for file in FILES:
        assert module_of(file)[0] == "cli" or not outside_imports_of(file) & extras


def test_the_core_imports_on_every_system() -> None:
    """Modules such as ``fcntl`` do not exist on Windows."""
    posix_only = {"fcntl", "termios", "resource", "pwd", "grp"}
    for file in FILES:
        assert module_of(file)[0] == "cli" or not outside_imports_of(file) & posix_only


def test_importing_the_library_does_not_import_the_command() -> None:
    code = (
        "import instantly_async, sys; "
        "print([m for m in sys.modules if m.startswith('instantly_async.cli')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


MADE_BY_THE_CLIENT = {"LeadStream", "LeadLoader"}
"""Only the client calls their constructors."""


def signatures() -> Iterator[tuple[str, ast.AST]]:
    """Yield the annotations of every public function, with its name."""
    for file in FILES:
        if len(module_of(file)) > 1 and module_of(file)[0] != "testing":
            continue
        for node in ast.parse(file.read_text()).body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name not in PUBLIC:
                continue
            functions = node.body if isinstance(node, ast.ClassDef) else [node]
            for function in functions:
                if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                is_constructor = function.name == "__init__"
                if is_constructor and node.name in MADE_BY_THE_CLIENT:
                    continue
                if not function.name.startswith("_") or is_constructor:
                    where = f"{node.name}.{function.name}"
                    every = [*function.args.args, *function.args.kwonlyargs]
                    yield from ((where, arg.annotation) for arg in every if arg.annotation)
                    if function.returns:
                        yield where, function.returns


PUBLIC = {*instantly_async.__all__, *instantly_async.testing.__all__}


def private_names(file: Path) -> set[str]:
    """Return the names that a file imports from private modules."""
    return {
        alias.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("_") and node.level
        for alias in node.names
    }


def test_public_signatures_name_only_public_types() -> None:
    """A user can import every type of a public signature from a public module."""
    private = set().union(*map(private_names, PACKAGE.glob("*.py"))) - PUBLIC
    seen = 0
    for where, annotation in signatures():
        seen += 1
        text = ast.unparse(annotation)
        used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        assert not used & private, f"{where}: {text}"
    assert seen > 50


def test_files_stay_small() -> None:
    """None is longer than 350 lines, and half of them are shorter than 150."""
    lengths = {file: len(file.read_text().splitlines()) for file in FILES}
    for file, lines in lengths.items():
        assert lines <= 350, f"{file.name} has {lines} lines: is there a second reason to exist?"
    assert statistics.median(lengths.values()) < 150
