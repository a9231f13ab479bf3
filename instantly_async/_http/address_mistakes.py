"""Why a text is no address: the first mistake, as a part of a sentence. It quotes nothing of it."""

import re
from urllib.parse import urlsplit

_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(//)?")
_MAX_NAME, _MAX_LABEL = 253, 63  # RFC 1035, 2.3.4


def mistake_in_url(url: object) -> str:
    """Return what is wrong with a URL to which no connection can be opened."""
    if not isinstance(url, str):
        return "it is not a string"
    if not url.strip():
        return "it is empty"
    if url[0] in _QUOTES or url[-1] in _QUOTES:
        return "there are quotes around it"
    if not url.isprintable() or any(character.isspace() for character in url):
        return "it has white space or an invisible character"
    if url[0] in "$<%{":
        return "it is a placeholder that was not replaced"
    scheme = _SCHEME.match(url)
    if "//" not in url and (scheme is None or not scheme[1]) and not url.startswith("http"):
        return "no scheme, such as https://, is in front"
    if scheme is None or not scheme[1]:
        return "it does not begin with a scheme and two slashes, such as https://"
    try:
        location = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:  # brackets, or a character that becomes a slash
        return "its host is not valid"
    return _mistake_in_location(location)


def _mistake_in_location(location: str) -> str:
    if location.startswith("["):
        return "what is in brackets must be an IPv6 address, and only a port may follow"
    host, colon, port = location.partition(":")
    if not host:
        return "it has no host"
    if ":" in port:
        return "an IPv6 address must be in brackets"
    if colon and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536):
        return "its port must be a number from 1 to 65535"
    if "." in host.strip(".") and host.rstrip(".").rpartition(".")[2].isdigit():
        return "its host must be a name or a complete IP address"
    labels = host.removesuffix(".").split(".")
    if "" in labels:
        return "a part of its host between two dots is empty"
    if len(host) > _MAX_NAME or any(len(label) > _MAX_LABEL for label in labels):
        return f"its host has more than {_MAX_NAME} characters, or {_MAX_LABEL} between two dots"
    return "its host has characters that no name can have"
