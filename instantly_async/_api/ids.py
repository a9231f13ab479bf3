"""Lead ids: which spellings are accepted, and the one that goes over the wire."""

import re
from uuid import UUID

_LOWER_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def wire_id(lead_id: object) -> str | None:
    """Give the id as it goes into a URL, in lower case; ``None`` when it is no UUID.

    Strict, because any other text could name another endpoint: ``../../v2/api-keys``.
    """
    if type(lead_id) is str and _LOWER_UUID.fullmatch(lead_id):
        return lead_id  # as it is, nearly always
    if isinstance(lead_id, UUID):
        return str(lead_id)
    if isinstance(lead_id, str):
        text = lead_id.strip()
        if _UUID.fullmatch(text):
            return text.lower()
    return None
