"""Bodies that are no answer of this API: pages of a proxy, of a login, of a maintenance.

They say nothing about a lead.
"""

import codecs

from instantly_async.errors import DecodeError

_ENOUGH = 1000  # bytes: markup and JSON show what they are at once


def foreign(body: bytes, requested: str) -> DecodeError:
    """Return the error for a body that is not what was ``requested``, nor anything like it."""
    return DecodeError(
        f"The answer is {_kind_of(body)}, not {requested}", raw=body, reason="foreign"
    )


def _kind_of(body: bytes) -> str:
    """Return what a body is, without quoting it."""
    start = body[:_ENOUGH].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if not start:
        return "blank" if len(body) > _ENOUGH else "empty"
    if start.startswith((b"<!doctype html", b"<html")) or b"<html" in start:
        return "an HTML page"
    if start.startswith(b"<"):
        return "markup"
    if start.startswith((b"{", b"[")):
        return "JSON of another kind"
    return "text of another kind"
