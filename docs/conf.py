"""Makes a site of this folder: ``sphinx-build -W docs docs/_build``.

The pages are plain Markdown. A name in code style, such as ``InstantlyClient.get_lead``, becomes a
link to its reference.
"""

import importlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from importlib.metadata import version as version_of
from typing import Any
from urllib.request import urlopen

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

project = "instantly-async"
author = "the instantly-async authors"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name
release = version = version_of(project)

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "jupyter_execute"]  # both are made by builds
nitpicky = True

myst_heading_anchors = 4
nb_execution_mode = "off"  # the tests execute the notebook and compare its outputs

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
napoleon_use_rtype = False
napoleon_custom_sections = [
    (section, "params_style")  # of Behaviour
    for section in (
        "Who may read",
        "Which leads there are",
        "How fast and how often",
        "What goes wrong",
        "Quirks of List leads",
    )
]
# The \copy of psql and crontabs have no lexer, but the fences say what they are.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = project
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
pygments_style = "friendly"
copybutton_exclude = ".linenos, .gp, .go"  # neither prompts nor outputs
html_theme_options = {
    "source_repository": "https://github.com/instantly-async/instantly-async/",
    "source_branch": "main",
    "source_directory": "docs/",
}

_INVENTORIES = {
    "python": "https://docs.python.org/3/",
    "aiohttp": "https://docs.aiohttp.org/en/stable/",
    "aiolimiter": "https://aiolimiter.readthedocs.io/en/stable/",
}


def _is_reachable(address: str) -> bool:
    """Whether the inventory is there, and not a page of something in between."""
    try:
        with urlopen(f"{address}objects.inv", timeout=3) as inventory:  # noqa: S310 - one of the above
            return bool(inventory.readline().startswith(b"# Sphinx inventory version "))
    except (OSError, HTTPException):
        return False


with ThreadPoolExecutor() as pool:
    _reachable = dict(
        zip(_INVENTORIES, pool.map(_is_reachable, _INVENTORIES.values()), strict=True)
    )
# Without a network, names of other projects are no links.
intersphinx_mapping = {
    name: (address, None) for name, address in _INVENTORIES.items() if _reachable[name]
}
intersphinx_timeout = 10
nitpick_ignore_regex = [
    (r"py:.*", r"(?!instantly_async\b).*"),
    (r"py:.*", r"instantly_async\.\w+\.[LRST]"),  # type variables
]

_PUBLIC_MODULES = (
    "instantly_async",
    "instantly_async.decoding",
    "instantly_async.events",
    "instantly_async.limiters",
    "instantly_async.otel",
    "instantly_async.progress",
    "instantly_async.ray",
    "instantly_async.redis",
    "instantly_async.testing",
)


def _public_names() -> dict[str, str]:
    """Map each public name to its full one, and the place where a class is defined, too."""
    names: dict[str, str] = {}
    for module in map(importlib.import_module, _PUBLIC_MODULES):
        for name in module.__all__:
            here, value = f"{module.__name__}.{name}", getattr(module, name)
            full = names.get(name, here)  # the first module that has it
            names[name] = names[here] = full
            if isinstance(value, type):
                names[f"{value.__module__}.{value.__qualname__}"] = full
    return names


_NAMES = _public_names()
_INSTANCES = {
    "batch": "LeadBatch",
    "client": "InstantlyClient",
    "fake": "FakeInstantly",
    "lead": "Lead",
    "loader": "LeadLoader",
    "match": "EmailMatch",
    "request": "RecordedRequest",
    "stats": "Stats",
    "stream": "LeadStream",
}
"""What the pages call an object of a class."""
_METHODS = {"find_leads", "for_workspace", "get_lead", "get_leads", "list_leads", "stream_leads"}
"""Those of the client, whose names say enough without it."""

_CODE_THAT_LINKS = re.compile(r"([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*)*)(?:\(.*\))?")


def _target(code: str) -> str | None:
    """Return the public name that this piece of code begins with, if all of it exists."""
    match = _CODE_THAT_LINKS.fullmatch(code)
    if match is None:
        return None
    first, rest = match.groups()
    if first in _METHODS and not rest:
        return f"instantly_async.InstantlyClient.{first}"
    is_instance = rest and first in _INSTANCES
    full = _NAMES.get(_INSTANCES[first] if is_instance else first)
    if full is None or (rest and not _has(full, rest)):
        return None
    return full + rest


def _has(full: str, members: str) -> bool:
    module, _, name = full.rpartition(".")
    value = getattr(importlib.import_module(module), name)
    *path, last = members.removeprefix(".").split(".")
    return not path and (hasattr(value, last) or last in getattr(value, "__annotations__", {}))


class LinkNames(SphinxTransform):
    """Makes links of public names in code style, in pages and docstrings."""

    default_priority = 700

    def apply(self, **_: Any) -> None:
        """Wrap each one in a reference, which Sphinx resolves later."""
        for code in list(self.document.findall(nodes.literal)):
            target = _target(code.astext())
            if target and not _is_inside_a_link(code):
                reference = addnodes.pending_xref(
                    "", refdomain="py", reftype="obj", reftarget=target, refwarn=True
                )
                reference.source, reference.line = self.document["source"], code.line
                code.replace_self(reference)
                reference += code


def _is_inside_a_link(node: nodes.Node) -> bool:
    parent = node.parent
    while parent is not None:
        if isinstance(parent, nodes.reference | addnodes.pending_xref | nodes.title):
            return True
        parent = parent.parent
    return False


def find_public_name(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, text: nodes.TextElement
) -> nodes.reference | None:
    """Resolve the name of a class by where it is defined, which is what annotations have.

    A member that has no entry of its own is in a table of its class.
    """
    if node.get("refdomain") != "py":
        return None
    for name, rest in _splits(node["reftarget"]):
        if name in _NAMES:
            for target in {_NAMES[name] + rest: None, _NAMES[name]: None}:  # in this order
                found: nodes.reference | None = env.domains["py"].resolve_xref(
                    env, node["refdoc"], app.builder, "obj", target, node, text
                )
                if found is not None:
                    return found
    return None


def _splits(target: str) -> Iterator[tuple[str, str]]:
    yield target, ""
    name, dot, member = target.rpartition(".")
    if dot:
        yield name, dot + member


_MADE_BY_OTHERS = {"Fault", "LeadLoader", "LeadStream", "MatchStream"}
_TOO_LONG = {"Behaviour", "FakeInstantly", "Lead", "Stats"}


def hide_signature(
    _: Sphinx, what: str, name: str, _value: object, _options: object, signature: str, returns: str
) -> tuple[str, str]:
    """Show no arguments of classes that users do not make, or that their fields describe."""
    hidden = what == "class" and name.rpartition(".")[2] in _MADE_BY_OTHERS | _TOO_LONG
    return ("", "") if hidden else (signature, returns)


def refuse_colon(  # before napoleon
    _: Sphinx, what: str, name: str, _value: object, _options: object, lines: list[str]
) -> None:
    """Warn of a docstring of an attribute that napoleon would take for ``type: text``."""
    first = re.sub(r"``.*?``", "", lines[0] if lines else "")
    if what in {"attribute", "data", "property"} and ":" in first:
        logging.getLogger(__name__).warning("The first line of %s has a colon.", name)


def require_public_names(_: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each public name that the reference does not have; ``-W`` makes that an error."""
    documented = {name for name, *_ in env.domains["py"].get_objects()}
    for missing in sorted(set(_NAMES.values()) - documented):
        logging.getLogger(__name__).warning("The reference does not have %s.", missing)


def setup(app: Sphinx) -> None:
    """Register what is defined here."""
    app.add_transform(LinkNames)
    app.connect("autodoc-process-docstring", refuse_colon, priority=400)
    app.connect("autodoc-process-signature", hide_signature)
    app.connect("missing-reference", find_public_name)
    app.connect("env-check-consistency", require_public_names)
