"""Torn lines: whether the end of a file can be what a killed run has left. Pure.

Only such an end may be removed without a question. All else may be somebody's data.
"""

import re
from collections.abc import Callable

from instantly_async._api import is_cut_off_object
from instantly_async.cli.records import number_of

_SECOND_KEY = b'","error":"'
_ANY_UUID = "00000000-0000-0000-0000-000000000000"

Begins = Callable[[bytes], bool]
"""Whether a text begins as a line of one of our files does; the text ends somewhere."""


def is_torn(line: bytes, begins: Begins, *, after_good: bool) -> bool:
    """Whether a line without an end can be an interrupted write.

    That is the beginning of an object, or nothing, and then the zeros that a power failure leaves
    in place of bytes. ``after_good``: a good line is before it, so the file is ours. Otherwise it
    has to begin as our lines do.
    """
    text = line.rstrip(b"\0")
    if after_good:
        return not text or (text.startswith(b"{") and is_cut_off_object(text))
    return begins(text) and is_cut_off_object(text)


def begins_as_lead(text: bytes) -> bool:
    """Whether a text begins as the line of a lead does: with at least a part of its id."""
    found = re.match(rb'\{"id":"([0-9A-Fa-f-]{1,36})(?:"|\Z)', text)
    if found is None:
        return False
    part = found[1].decode()
    is_whole = text[found.end(1) :] != b""
    return number_of(part if is_whole else part + _ANY_UUID[len(part) :]) is not None


def begins_as_error(text: bytes, key: str = "id") -> bool:
    """Whether a text begins as a line of the errors file does; under ``key`` may be any text.

    A few bytes are enough: the file has a name of ours, and is beside an output of ours.
    """
    beginning = b'{"%s":"' % key.encode()
    if text and beginning.startswith(text):
        return True
    found = re.match(re.escape(beginning) + rb'(?:[^"\\]|\\.)*+(?:\\\Z)?', text)
    if found is None:
        return False
    rest = text[found.end() :]
    size = min(len(rest), len(_SECOND_KEY))
    return rest[:size] == _SECOND_KEY[:size]
