"""The secrets that join a request, API key and proxy password, and what else its headers carry.

A secret lives in a type of its own, so that no repr, log, traceback or pickle shows it. Knows
nothing about what is requested or answered.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple, Never, SupportsIndex
from urllib.parse import unquote, urlsplit

from instantly_async.errors import ConfigurationError
from instantly_async.settings import API_KEY_VARIABLE

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")


class Authorization(str):
    """A header's value that prints as ``***``: reprs of headers stay free of the key.

    A slice, too: Rich cuts strings before it prints them.
    """

    __slots__ = ()

    def __getitem__(self, key: SupportsIndex | slice) -> "Authorization":
        return Authorization(super().__getitem__(key))

    def __repr__(self) -> str:
        return "'***'"


class ApiKey:
    """The API key. Prints as ``***`` and does not pickle; ``origin`` says where it came from."""

    __slots__ = ("_header", "_value", "origin")

    def __init__(self, value: str, origin: str) -> None:
        self._value = Authorization(value)
        self._header = Authorization("Bearer " + value)
        self.origin = origin

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __reduce__(self) -> Never:
        raise TypeError("An API key does not pickle; build the client where it is used.")

    def header(self) -> Authorization:
        """Give the value of the ``Authorization`` header."""
        return self._header

    def redact(self, text: str) -> str:
        """Take the key out of a text that came from outside."""
        return text.replace(str(self._value), "***")


def read_api_key(argument: object, environ: Mapping[str, str]) -> ApiKey | ConfigurationError:
    """Take the key from the argument, else from the environment; an error is a value here.

    A raised one would carry frames that hold the key.
    """
    origin = "the api_key argument" if argument is not None else API_KEY_VARIABLE
    value = argument if argument is not None else environ.get(API_KEY_VARIABLE)
    if value is not None and not isinstance(value, str):
        return ConfigurationError("The API key must be a string.")
    problem = key_problem(value)
    if problem is not None or value is None:
        return ConfigurationError(problem)
    return ApiKey(value.strip(), origin)


def key_problem(value: str | None) -> str | None:
    """Say in one sentence why this cannot be a key, or ``None`` when it can. Never quotes it."""
    if value is None or not value.strip():
        return "There is no API key: pass api_key=… or set INSTANTLY_API_KEY."
    if not _VISIBLE_ASCII.fullmatch(value.strip()):
        return "The API key has characters that no key has; copy it from Instantly again."
    return None


class Proxy(NamedTuple):
    """An HTTP proxy: its ``url`` without user and password, and the ``headers`` that hold them."""

    url: str
    headers: Mapping[str, Authorization]


def read_proxy(proxy: str | None) -> Proxy | ConfigurationError | None:
    """Take a proxy's URL apart, because URLs are printed; an error is a value, as for the key.

    User and password go as *Basic* (RFC 7617).
    """
    if proxy is None:
        return None
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        return ConfigurationError("proxy must be a URL like http://proxy.example:8080.")
    userinfo, at, host = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    pair = b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    headers = {"Proxy-Authorization": Authorization(f"Basic {pair}")} if at else {}
    return Proxy(parts._replace(netloc=host).geturl(), headers)


def workspace_headers(workspace: str | None) -> Mapping[str, str]:
    """Give the headers that act on a sub-workspace (documented for admin keys).

    Raises:
        ConfigurationError: the id has characters that no header may have.
    """
    if workspace is None:
        return {}
    if not is_header_token(workspace):
        raise ConfigurationError("workspace must be an id: visible ASCII without white space.")
    return {"x-as-workspace": workspace}


def is_header_token(value: str) -> bool:
    """Whether a value may stand in a header: visible ASCII, no white space."""
    return _VISIBLE_ASCII.fullmatch(value) is not None
