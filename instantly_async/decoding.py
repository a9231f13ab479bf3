"""``LeadDecoder``: leads from JSON that you hold, such as lines of the command's output.

The client decodes its answers in the same way.
"""

from typing import Generic, TypeVar

from ._api import LeadDecoder as _Decoder
from ._api import Steps, wire_id
from .errors import DecodeError, InvalidLeadIdError
from .outcomes import LeadId

__all__ = ["LeadDecoder"]

L = TypeVar("L")


class LeadDecoder(Generic[L]):
    """Decodes the JSON of single leads into ``lead_type``, a ``msgspec.Struct`` such as ``Lead``.

    Raises:
        ConfigurationError: as ``InstantlyClient`` does for this type.
    """

    def __init__(self, lead_type: type[L]) -> None:
        self._decoder = _Decoder(lead_type)

    def decode(self, body: bytes, lead_id: LeadId | None = None) -> tuple[L, tuple[str, ...]]:
        """Return the lead, and the paths of its fields that were converted or left out.

        ``lead_id``: the lead must have this id; ``None``: any.

        Raises:
            DecodeError: the body is not a lead, or not this one.
            InvalidLeadIdError: ``lead_id`` is not a UUID.
        """
        if lead_id is None:
            _, item = self._decoder.decode_item(body)
            if item is None:
                raise DecodeError("This is not the JSON of a lead", raw=body)
            return item.lead, item.problems
        wire = wire_id(lead_id)
        if wire is None:
            raise InvalidLeadIdError("The id is not a UUID")
        decoded = self._decoder.decode(body, wire)
        return decoded.at_once() if isinstance(decoded, Steps) else decoded
