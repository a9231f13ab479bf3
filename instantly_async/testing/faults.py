"""Faults for scripts: values that change the answer to a request.

Each is made by a class method of ``Fault`` and can be used any number of times. How
the bytes are written is decided in ``delivery.py``.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal, Self

import msgspec

from .answers import JSON, Answer, Delivery, error_body, too_many_requests

Framing = Literal["length", "chunked", "none"]

_CUTS = {
    "length": Delivery.CUT,
    "chunked": Delivery.CUT_CHUNKED,
    "none": Delivery.CUT_UNFRAMED,
}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. Make it with a class method; the fields are for ``==`` and ``repr``.

    ``answer``: sent instead of the real one. ``fields``: put into the lead. The other fields
    replace those of the answer.
    """

    name: str
    answer: Answer | None = None
    delivery: Delivery = Delivery.WHOLE
    delay_s: float = 0.0
    pause_s: float = 0.0
    fields: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def status(
        cls, code: int, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Self:
        """Answer with this status. ``body=None``: the API's JSON error body.

        A ``Content-Type`` among ``headers`` replaces that of JSON.
        """
        extra = {name.title(): value for name, value in (headers or {}).items()}
        answer = Answer(
            status=code,
            body=error_body(code, "Scripted fault") if body is None else body,
            content_type=extra.pop("Content-Type", JSON),
            headers=tuple(extra.items()),
        )
        return cls(name=f"status {code}", answer=answer)

    @classmethod
    def throttle(cls, retry_after: float | str | None = None) -> Self:
        """Answer 429; ``retry_after`` is sent unchanged; ``None``: no such header."""
        return cls(name="throttle", answer=too_many_requests(retry_after))

    @classmethod
    def redirect(cls, location: str, code: int = 302) -> Self:
        """Answer with a redirect to ``location``."""
        answer = Answer(status=code, headers=(("Location", location),))
        return cls(name="redirect", answer=answer)

    @classmethod
    def body(cls, data: bytes, content_type: str = JSON) -> Self:
        """Answer 200 with these bytes."""
        return cls(name="body", answer=Answer(body=data, content_type=content_type))

    @classmethod
    def raw(cls, data: bytes) -> Self:
        """Write exactly these bytes to the socket, then FIN: for answers that break HTTP."""
        return cls(name="raw", answer=Answer(body=data), delivery=Delivery.RAW)

    @classmethod
    def close(cls) -> Self:
        """Close the connection (FIN) before any header."""
        return cls(name="close", delivery=Delivery.NOTHING)

    @classmethod
    def reset(cls) -> Self:
        """Reset the connection (RST) before any header."""
        return cls(name="reset", delivery=Delivery.RESET)

    @classmethod
    def truncate(cls, framing: Framing = "length", *, reset: bool = False) -> Self:
        """Send the header and half of the body, then FIN; with ``reset`` RST.

        ``framing`` is what shows that more should come: a Content-Length, chunks, or nothing.
        ``reset`` works only with ``"length"``.
        """
        delivery = Delivery.CUT_RESET if reset else _CUTS[framing]
        return cls(name="truncate", delivery=delivery)

    @classmethod
    def stall(cls, seconds: float, *, in_body: bool = False) -> Self:
        """Send nothing for ``seconds`` before the header; ``in_body``: in the body's middle."""
        if in_body:
            return cls(name="stall", delivery=Delivery.HANG, pause_s=seconds)
        return cls(name="stall", delay_s=seconds)

    @classmethod
    def patch(cls, **fields: Any) -> Self:
        """Overwrite fields of the lead; in a page, of its first lead."""
        return cls(name="patch", fields=tuple(fields.items()))

    @classmethod
    def wrong_id(cls) -> Self:
        """Answer with another lead's id; in a page, in place of its first lead's."""
        return cls(name="wrong id", fields=(("id", "019a0000-0000-7000-8000-00000000dead"),))

    def apply(self, answer: Answer) -> Answer:
        """Return the answer with this fault. Fields are put into leads only, not into errors."""
        answer = self.answer or answer
        return msgspec.structs.replace(
            answer,
            body=_overwrite(answer, dict(self.fields)),
            delivery=self.delivery,
            delay_s=self.delay_s,
            pause_s=self.pause_s,
        )


TRANSIENT_FAULTS = (
    Fault.status(500),
    Fault.status(502, b"<html>Bad gateway</html>", {"Content-Type": "text/html"}),
    Fault.status(503),
    Fault.reset(),
    Fault.close(),
    Fault.truncate(),
)
"""The faults that ``fault_rate`` draws from by default."""


def _overwrite(answer: Answer, fields: dict[str, Any]) -> bytes:
    if not fields or answer.status != HTTPStatus.OK:
        return answer.body
    decoded = msgspec.json.decode(answer.body)
    for lead in decoded.get("items", [decoded])[:1]:
        lead.update(fields)
    return msgspec.json.encode(decoded)
