"""Lead ids: which spellings are accepted, and the one that is sent.

The spellings are those of RFC 9562 and of Python's ``uuid``. They are matched by one pattern,
because ``uuid.UUID()`` drops hyphens and braces anywhere.
"""

import re
from uuid import UUID

_WIRE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HYPHENS = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PLAIN = rf"{_HYPHENS}|[0-9a-f]{{32}}"
_UUID = re.compile(rf"({_PLAIN})|\{{({_PLAIN})\}}|urn:uuid:({_PLAIN})", re.IGNORECASE | re.ASCII)

_WHITE_SPACE = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_INVISIBLE = (  # a soft hyphen, characters of no width, direction marks, the byte order mark
    "\xad\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063"
    "\u2064\u2066\u2067\u2068\u2069\ufeff"
)
BLANK = _WHITE_SPACE + _INVISIBLE
"""What may be around an id: web pages, spreadsheets and joined files bring such characters."""


def wire_id(lead_id: object) -> str | None:
    """Return the id as it goes into a URL, in lower case; ``None``: it is not a UUID.

    Accepted are ``uuid.UUID`` and text with hyphens or none, in either case, in ``{…}``, or behind
    ``urn:uuid:``; ``BLANK`` characters around it do not count. Everything else is refused, because
    other text could address another endpoint, such as ``../../v2/api-keys``.
    """
    if isinstance(lead_id, str):
        if usual := _WIRE.fullmatch(lead_id):
            return usual[0]  # of a subclass, the plain string
        if spelled := _UUID.fullmatch(lead_id.strip(BLANK)):
            return _with_hyphens((spelled[1] or spelled[2] or spelled[3]).lower())
    elif isinstance(lead_id, UUID):
        return _with_hyphens(f"{lead_id.int:032x}")  # a subclass may have another str()
    return None


def _with_hyphens(digits: str) -> str:
    if len(digits) > 32:
        return digits
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
