"""Emails in place of ids: as a number, and as a mark on the lines of one email."""

from hashlib import blake2b

from instantly_async._api import email_key, wire_email

_DIGEST_BYTES = 16
_LINE_END = b" \n"  # a line of which only some fields are kept
_MORE = b"\t"


def email_number(text: object) -> int | None:
    """Return the same number for two spellings of one email; ``None``: it is not an email."""
    address = wire_email(text)
    if address is None:
        return None
    key = email_key(address).encode(errors="replace")
    return int.from_bytes(blake2b(key, digest_size=_DIGEST_BYTES).digest())


def with_more(line: bytes) -> bytes:
    """Return a line with the mark that more leads of the same email follow: a tab at its end."""
    end = _LINE_END if line.endswith(_LINE_END) else b"\n"
    return line.removesuffix(end) + _MORE + end


def has_more(line: bytes) -> bool:
    """Whether more leads of the same email follow; without a line end, the mark may be lost."""
    return not line.endswith(b"\n") or line.rstrip(b" \r\n").endswith(_MORE)
