"""The line format: one lead per line; and ids that know their line.

Decides how a lead becomes a line and how the id is read back from it. Must not know where lines
come from or where they go.
"""

from .line import BOM, MAX_LINE_BYTES, LineId, id_of_object, to_line
from .selection import Selection, keys_of

__all__ = ["BOM", "MAX_LINE_BYTES", "LineId", "Selection", "id_of_object", "keys_of", "to_line"]
