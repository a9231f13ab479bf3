"""What values look like where people print them: short, on one line, and safe.

``safe_repr`` is a ``__repr__`` that also works while its object is being built. Tools that print
the locals of a traceback call it on any object, also on one whose ``__init__`` has just failed. If
that raised, they would lose the whole traceback.
"""

import re
from collections.abc import Callable
from functools import wraps
from reprlib import Repr
from typing import TypeVar
from uuid import UUID

import msgspec

S = TypeVar("S")

_CUT = Repr()
_CUT.maxstring = _CUT.maxother = 60  # characters (*choice*): a UUID with 20 more
_CUT.maxlong = 40

_CUT_REASON = Repr()
_CUT_REASON.maxstring = 200  # the API's own reason may be in it (*choice*)

_LIKE_AN_ID = r"\s*(?:urn:uuid:)?\{?[0-9a-f-]{32,36}\}?\s*"


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the values whose ``__repr__`` is one short line, also for rich."""

    def __rich_repr__(self) -> None:  # type: ignore[override]  # see below
        """Return ``None``: rich then prints the ``repr``, and not all fields as for a Struct."""


def cut_repr(value: object) -> str:
    """Return the repr of a value, at most about 60 characters; odd characters are escaped."""
    return _CUT.repr(value)


def cut_text(text: str) -> str:
    """Return a text as ``cut_repr`` does, without its quotes."""
    return cut_repr(text)[1:-1]


def email_domain(email: object) -> str:
    """Return an email with its domain only: ``…@example.com``; nothing of what has none."""
    _, at, domain = str(email).rpartition("@")
    return f"…@{domain}" if at and re.fullmatch(r"[\w.-]+", domain) else "…"


def shown_id(lead_id: object) -> str:
    """Return what a caller passed as an id, if it looks like one; by mistake it may be an email."""
    text = str(lead_id) if isinstance(lead_id, str | UUID) else ""
    looks_like_one = re.fullmatch(_LIKE_AN_ID, text, re.IGNORECASE | re.ASCII)
    return text if looks_like_one else "…"


def shown_error(error: BaseException) -> str:
    """Return an error with its text, which is cut, but not with its attributes."""
    text = str(error.args[0]) if error.args else ""
    return f"{type(error).__name__}({_CUT_REASON.repr(text)})"


def angular(name: str, parts: dict[str, str]) -> str:
    """Return ``<name key=part …>`` without the parts that are empty."""
    return f"<{' '.join([name, *(f'{key}={part}' for key, part in parts.items() if part)])}>"


def safe_repr(describe: Callable[[S], str]) -> Callable[[S], str]:
    """Decorate a ``__repr__``: an object without some of its attributes prints as unfinished."""

    @wraps(describe)
    def describe_safely(self: S) -> str:
        try:
            return describe(self)
        except AttributeError:
            return f"<{type(self).__name__} unfinished>"

    return describe_safely
