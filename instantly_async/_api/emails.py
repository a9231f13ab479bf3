"""Email addresses: which texts are one, and when two are the same."""

import re

from .ids import BLANK

MAX_EMAIL_LENGTH = 320
"""64 octets before the ``@`` and 255 after it (RFC 5321, 4.5.3.1)."""

_ADDRESS = re.compile(r'[^\s@<>,;:"()\[\]]+@[^\s@<>,;:"()\[\]]+')
_NAMED = re.compile(r"([^<>]*)<([^<>]*)>")  # Ada <ada@example.com>
_SCHEME = "mailto:"


def wire_email(text: object) -> str | None:
    """Return the address in a text, spelled as there; ``None``: the text is not one address.

    ``Ada <ada@example.com>`` and ``mailto:`` are understood, and ``BLANK`` characters around the
    address do not count. No other address may be beside it. Whether the mailbox can exist is not
    checked: the API only compares texts.
    """
    if not isinstance(text, str) or len(text) > 2 * MAX_EMAIL_LENGTH:
        return None
    name, text = "", text.strip(BLANK)
    if named := _NAMED.fullmatch(text):
        name, text = named[1], named[2].strip(BLANK)
    if text[: len(_SCHEME)].lower() == _SCHEME:
        text = text[len(_SCHEME) :]
    if len(text) > MAX_EMAIL_LENGTH or not _ADDRESS.fullmatch(text) or not text.isprintable():
        return None
    return None if name and _has_other(name, text) else text


def _has_other(name: str, address: str) -> bool:
    """Whether a name holds another address, which would be lost; some tools repeat the same one."""
    found = (email_key(each.strip("'")) for each in _ADDRESS.findall(name))
    return any(each != email_key(address) for each in found)


def email_key(address: str) -> str:
    """Return what two spellings of one address have in common: their case does not count.

    Not by ``casefold``, for which *straße* is *strasse*.
    """
    return address.strip(BLANK).lower()
