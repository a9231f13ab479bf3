"""Lead ids: which spellings are accepted, and the one that is sent."""

import re
from uuid import UUID

_LOWER_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def wire_id(lead_id: object) -> str | None:
    """Return the id as it goes into a URL, in lower case; ``None``: it is not a UUID.

    Strict, because other text could address another endpoint, such as ``../../v2/api-keys``.
    """
    if type(lead_id) is str and _LOWER_UUID.fullmatch(lead_id):
        return lead_id  # the usual case: nothing to convert
    if isinstance(lead_id, UUID):
        return str(lead_id)
    if isinstance(lead_id, str):
        text = lead_id.strip()
        if _UUID.fullmatch(text):
            return text.lower()
    return None
