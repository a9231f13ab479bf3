"""API keys in the environment: which there are, and which of them a profile selects.

Decides no more than that; whether a key is valid is decided by the client.
"""

import os
import re
from collections.abc import Mapping
from typing import Self

from instantly_async.settings import API_KEY_VARIABLE

from .exits import CommandError

_PREFIX = f"{API_KEY_VARIABLE}_"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*", re.ASCII | re.IGNORECASE)


class NamedKey(str):
    """A key that prints as ``***``; ``origin`` is its variable, which messages name."""

    __slots__ = ("origin",)

    origin: str

    def __new__(cls, value: str, origin: str) -> Self:
        """Make a key from the value of a variable."""
        self = super().__new__(cls, value)
        self.origin = origin
        return self

    def __repr__(self) -> str:
        return "***"


def known_keys(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of ``INSTANTLY_API_KEY`` and of all profiles: no message may have them."""
    return tuple(
        value.strip()
        for name, value in environ.items()
        if name.startswith(API_KEY_VARIABLE) and value.strip()
    )


def holds_key(text: str) -> bool:
    """Whether a key of the environment is in the text."""
    return any(key in text for key in known_keys(os.environ))


def is_key(text: str) -> bool:
    """Whether the text is a key of the environment."""
    return text.strip() in known_keys(os.environ)


def without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a child process, which needs no key."""
    return {name: value for name, value in environ.items() if not name.startswith(API_KEY_VARIABLE)}


def key_of(profile: str | None) -> NamedKey:
    """Return the key of a profile; ``None``: that of ``INSTANTLY_API_KEY``.

    The sentences do not show the name that was given, because it may be a key.

    Raises:
        CommandError: it is not set.
    """
    variable = API_KEY_VARIABLE if profile is None else _variable_of(profile)
    key = NamedKey(os.environ.get(variable, ""), variable)
    if key.strip():
        return key
    if profile is None:
        raise CommandError(
            f"Set {API_KEY_VARIABLE} to the workspace's API key; the key is never read from an "
            "argument."
        )
    raise CommandError(f"There is no key for this --profile; {_profiles()}.")


def _variable_of(profile: str) -> str:
    if not _NAME.fullmatch(profile):
        raise CommandError(
            "The name of a --profile has only letters, digits, hyphens, dots and underscores; "
            f"{_profiles()}."
        )
    return _PREFIX + re.sub(r"[.-]", "_", profile).upper()


def _profiles() -> str:
    """Return which profiles are set, as a clause. A variable without a value does not count."""
    names = sorted(
        name.removeprefix(_PREFIX).lower()
        for name, value in os.environ.items()
        if name.startswith(_PREFIX) and value.strip()
    )
    example = f"the key of the profile acme is in {_PREFIX}ACME"
    return f"those that are set: {', '.join(names)}" if names else f"none is set; {example}"
