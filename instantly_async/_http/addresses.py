"""The addresses of the server and of a proxy: which URLs are accepted, and what is left of them.

A URL is taken apart here, once, and written again in plain ASCII. So aiohttp, the resolver and TLS
never see a text that they could refuse, or read in another way. Errors are returned, and quote
nothing: a URL can contain a password, and frames of a traceback would hold it.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple, Self
from urllib.parse import unquote_to_bytes, urlsplit

from yarl import URL

from instantly_async.errors import ConfigurationError
from instantly_async.settings import BASE_URL_VARIABLE, DEFAULT_BASE_URL

from .address_mistakes import mistake_in_url
from .credentials import Authorization

_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<ip>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{0,5}))?"
)
_TWO_SCHEMES = re.compile(r"[A-Za-z]+://https?:?//", re.IGNORECASE)

_MAX_LOCATION = 1000
"""Characters of host and port; a host has at most 254 in ASCII, and IDNA is slow for long ones."""

_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
"""A name that a resolver takes (RFC 1035, 2.3.4), with the ``_`` that people use all the same."""


class Address(NamedTuple):
    """A URL's scheme, host (ASCII, IPv6 in brackets) and port; ``None``: that of the scheme.

    ``userinfo`` is what comes before an ``@``; ``None``: there is none. ``is_bare``: nothing comes
    after host and port, except a slash.
    """

    scheme: str
    host: str
    port: int | None
    userinfo: Authorization | None
    is_bare: bool

    @property
    def url(self) -> str:
        """The URL without user, password and path."""
        return f"{self.scheme}://{self.host}" + ("" if self.port is None else f":{self.port}")

    @property
    def is_local(self) -> bool:
        """Whether it is this machine: localhost, 127.0.0.0/8 or ::1."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


class Server(NamedTuple):
    """Host (without brackets) and port of the server, as they are told to observers."""

    address: str
    port: int

    @classmethod
    def of(cls, base_url: str) -> Self:
        """Return those of a URL that ``read_base_url`` has returned."""
        url = URL(base_url)
        return cls(url.host or "", url.port or 0)


def parse_address(url: object) -> Address | None:
    """Take a URL apart; return ``None`` if no connection can be opened to it."""
    if not isinstance(url, str) or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        userinfo, at, location = parts.netloc.rpartition("@")
        if len(location) > _MAX_LOCATION:
            return None
        found = _HOST_AND_PORT.fullmatch(location)
        host = found and _plain_host(found["ip"], found["name"])
    except ValueError:  # UnicodeError is one
        return None
    if not (found and host):
        return None
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 0 < port < 65536:
        return None
    rest = (parts.path.removeprefix("/"), parts.query, parts.fragment)
    is_bare = not any(rest) and not url.endswith(("?", "#"))
    return Address(parts.scheme, host, port, Authorization(userinfo) if at else None, is_bare)


def _plain_host(ip: str | None, name: str | None) -> str | None:
    """Return a host as it goes over the wire; ``None``: there is no such host.

    Raises:
        ValueError: as above.
    """
    if name is None:
        return f"[{IPv6Address(ip or '')}]"
    plain = URL.build(scheme="https", host=name).raw_host or ""  # by IDNA, if it is not ASCII
    if not _NAME.fullmatch(plain):
        return None
    # A name that ends in a number is an address; aiohttp takes no short ones, such as 127.1.
    return str(IPv4Address(plain)) if plain.rstrip(".").rpartition(".")[2].isdigit() else plain


def read_base_url(
    base_url: object, environ: Mapping[str, str], proxy: "Proxy | ConfigurationError | None"
) -> str | ConfigurationError:
    """Return the URL of the server, as it is used; ``None``: that of the environment.

    https only, or http on this machine and not through another one; no path (``…/api/v2`` would
    make every lead *not found*), user, query or fragment. An error is returned.
    """
    name = "base_url"
    if base_url is None:
        set_there = environ.get(BASE_URL_VARIABLE)
        base_url, name = (set_there, BASE_URL_VARIABLE) if set_there else (DEFAULT_BASE_URL, name)
    address = parse_address(base_url)
    if address is None:
        return ConfigurationError(
            f"{name} is not a URL: {mistake_in_url(base_url)}; use something like "
            "https://api.instantly.ai."
        )
    mistake = _mistake_in_base_url(str(base_url), address, proxy)
    return ConfigurationError(f"{name} must {mistake}.") if mistake else address.url


def _mistake_in_base_url(
    url: str, address: Address, proxy: "Proxy | ConfigurationError | None"
) -> str | None:
    if address.userinfo is not None:
        return "not contain a user or password; pass the key as api_key"
    if _TWO_SCHEMES.match(url):
        return "begin with one scheme; remove the second one"
    if not address.is_bare:
        return "end after host and port, without a path; /api/v2 is added to it"
    if address.scheme != "https" and not (address.scheme == "http" and address.is_local):
        return "be https (http only for localhost, 127.0.0.0/8 and ::1)"
    if address.scheme == "http" and isinstance(proxy, Proxy) and not proxy.is_local:
        return "be https with a proxy on another machine, which would get the key unencrypted"
    return None


class Proxy(NamedTuple):
    """An HTTP proxy: its ``url`` without user and password, and the ``headers`` that hold them.

    ``is_local``: it is on this machine.
    """

    url: str
    headers: Mapping[str, Authorization]
    is_local: bool


def read_proxy(proxy: object) -> Proxy | ConfigurationError | None:
    """Separate a proxy's URL, which is printed, from its user and password.

    These are sent with the scheme *Basic* (RFC 7617). An error is returned.
    """
    if proxy is None:
        return None
    address = parse_address(proxy)
    if address is None or address.scheme not in {"http", "https"} or not address.is_bare:
        return ConfigurationError(
            "proxy must be a URL like http://user:password@proxy.example:8080; write special "
            f"characters in user and password as %XX. Here, {_mistake_in_proxy(proxy, address)}."
        )
    headers = {} if address.userinfo is None else {"Proxy-Authorization": _basic(address.userinfo)}
    return Proxy(address.url, headers, address.is_local)


def _mistake_in_proxy(proxy: object, address: Address | None) -> str:
    if address is None:
        return mistake_in_url(proxy)
    if address.scheme.startswith("socks"):
        return "it is a SOCKS proxy, which is not supported"
    if address.scheme not in {"http", "https"}:
        return "the scheme is neither http nor https"
    return "something comes after host and port"


def _basic(userinfo: str) -> Authorization:
    user, _, password = userinfo.partition(":")
    pair = b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password))
    return Authorization(f"Basic {pair.decode()}")
