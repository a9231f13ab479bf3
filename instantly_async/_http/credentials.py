"""The secrets of a request (API key and proxy password), and the header that selects a workspace.

Each secret has a type of its own, so that no repr, log, traceback or pickle shows it. Must not
know what is requested or answered.
"""

import re
from collections.abc import Mapping
from typing import Any, Never, SupportsIndex, TypeVar

from instantly_async.errors import ConfigurationError
from instantly_async.settings import API_KEY_VARIABLE

from .key_mistakes import mistake_in

V = TypeVar("V")

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")


class Authorization(str):
    """A header's value that prints as ``***``, so that reprs of headers do not show the key.

    A slice of it does the same, because Rich cuts strings before it prints them.
    """

    __slots__ = ()

    def __getitem__(self, key: SupportsIndex | slice) -> "Authorization":
        return Authorization(super().__getitem__(key))

    def __repr__(self) -> str:
        return "'***'"


class SecretBytes(bytes):
    """Bytes on their way to the socket that hold a secret: print as ``***``, as do slices."""

    __slots__ = ()

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        part = super().__getitem__(key)
        return SecretBytes(part) if isinstance(part, bytes) else part

    def __repr__(self) -> str:
        return "b'***'"

    __str__ = __repr__

    def __reduce_ex__(self, protocol: SupportsIndex) -> Never:
        raise TypeError("A request with its key cannot be pickled.")


class ApiKey:
    """The API key. Prints as ``***``, cannot be pickled; ``origin`` says where it came from."""

    __slots__ = ("_header", "_value", "origin")

    def __init__(self, value: str, origin: str) -> None:
        self._value = Authorization(value)
        self._header = Authorization("Bearer " + value)
        self.origin = origin

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __reduce__(self) -> Never:
        raise TypeError("An API key cannot be pickled; create the client where it is used.")

    def header(self) -> Authorization:
        return self._header

    def redact(self, text: str) -> str:
        return text.replace(str(self._value), "***")


def read_api_key(argument: object, environ: Mapping[str, str]) -> ApiKey | ConfigurationError:
    """Read the key from the argument, else from the environment. An error is returned.

    It is not raised, because its traceback would have frames that hold the key.
    """
    # The command passes a key that knows its variable.
    given = getattr(argument, "origin", "the api_key argument")
    origin = given if argument is not None else API_KEY_VARIABLE
    value = argument if argument is not None else environ.get(API_KEY_VARIABLE)
    if value is not None and not isinstance(value, str):
        return ConfigurationError("The API key must be a string.")
    problem = key_problem(value)
    if problem is not None or value is None:
        return ConfigurationError(problem)
    return ApiKey(value.strip(), origin)


def valid(setting: V | ConfigurationError) -> V:
    """Return a setting that was read; raise the error that was returned instead of it."""
    if isinstance(setting, ConfigurationError):
        raise setting
    return setting


def key_problem(value: str | None) -> str | None:
    """Return a sentence, without the key, that says why it is not valid; ``None``: it is."""
    if value is None or not value.strip():
        return "There is no API key: pass api_key=… or set INSTANTLY_API_KEY."
    mistake = mistake_in(value.strip())
    return None if mistake is None else f"The API key {mistake}."


def workspace_headers(workspace: object) -> Mapping[str, str]:
    """Return the headers that select a sub-workspace (documented for admin keys).

    Raises:
        ConfigurationError: the id has characters that a header may not have.
    """
    if workspace is None:
        return {}
    if not (isinstance(workspace, str) and is_header_token(workspace)):
        raise ConfigurationError("workspace must be an id: visible ASCII without white space.")
    return {"x-as-workspace": workspace}


def is_header_token(value: str) -> bool:
    """Whether a value may be used in a header: visible ASCII, no white space."""
    return _VISIBLE_ASCII.fullmatch(value) is not None
