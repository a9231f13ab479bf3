"""The line format: one lead per line; and ids that know their line.

Decides how a lead becomes a line and how the id is read back from it. Must not know where lines
come from or where they go.
"""

from .emails import email_number, has_more, with_more
from .line import (
    BOM,
    MAX_LINE_BYTES,
    LineEmail,
    LineId,
    Noun,
    Unit,
    id_of_object,
    is_cut,
    number_of,
    to_line,
    value_of_object,
)
from .payload_keys import SHOWN_CHARS, PayloadKeys
from .selection import Selection, cut_keys, fields_text, keys_of, payload_key, restored

__all__ = [
    "BOM",
    "MAX_LINE_BYTES",
    "SHOWN_CHARS",
    "LineEmail",
    "LineId",
    "Noun",
    "PayloadKeys",
    "Selection",
    "Unit",
    "cut_keys",
    "email_number",
    "fields_text",
    "has_more",
    "id_of_object",
    "is_cut",
    "keys_of",
    "number_of",
    "payload_key",
    "restored",
    "to_line",
    "value_of_object",
    "with_more",
]
