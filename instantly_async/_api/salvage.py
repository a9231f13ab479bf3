"""Salvage of leads with odd fields: lenient parsing, and conversion field by field, in steps.

Knows JSON and ``msgspec.Struct`` types, but neither ids nor errors.
"""

import json
import math
import re
from collections.abc import Generator, Mapping
from typing import Any

from .fitting import MISFIT, Field, decode, decode_value, fields_of, fit_text, fit_word
from .pieces import PIECE, PieceReader
from .scanning import find_members

_MAX_INT_DIGITS = 4000  # CPython refuses to parse longer integers (CVE-2020-10735)
_WORD = re.compile(r"-?\d|true|false")  # the beginning of a number or boolean
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_MAY_BE_HALF_A_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


class Cleaner:
    """Replaces values that JSON must not contain; ``has_changed``: there was one.

    Half a surrogate pair, which JavaScript writes for a cut emoji, becomes U+FFFD; a number
    that is not finite becomes ``None``. ``decoder`` does the latter.
    """

    def __init__(self) -> None:
        self.has_changed = False
        self.decoder = json.JSONDecoder(
            parse_int=self._parse_int,
            parse_float=self._parse_float,
            parse_constant=self._parse_float,  # NaN, Infinity, -Infinity
        )

    def is_odd(self, text: str) -> bool:
        return _MAY_BE_HALF_A_PAIR.search(text) is not None

    def clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return value if value.isascii() else self._clean_text(value)
        if isinstance(value, list):
            return [self.clean(item) for item in value]
        if isinstance(value, dict):
            return {self.clean(key): self.clean(item) for key, item in value.items()}
        return value

    def _clean_text(self, text: str) -> str:
        # The decoder has combined all pairs, so what is left are halves.
        text, halves = _HALF_PAIR.subn("\ufffd", text)
        self.has_changed |= halves > 0
        return text

    def _parse_int(self, digits: str) -> int | float | None:
        return int(digits) if len(digits) <= _MAX_INT_DIGITS else self._parse_float(digits)

    def _parse_float(self, digits: str) -> float | None:
        number = float(digits)
        if math.isfinite(number):
            return number
        self.has_changed = True
        return None


def salvage_lead(
    struct: Any, text: str, members: Mapping[str, slice]
) -> Generator[None, None, tuple[Any, list[str]]]:
    """Make a Struct from the members of an object, field by field, in steps.

    Returns the Struct, or ``MISFIT`` if a required field does not fit; and the path of each field
    that was converted or left out. ``members`` says where each value is in ``text``.
    """
    problems: list[str] = []
    return (yield from _salvage(struct, text, members, "", problems)), problems


def _salvage(
    struct: Any, text: str, members: Mapping[str, slice], path: str, problems: list[str]
) -> Generator[None, None, Any]:
    """Do so for an object; ``path`` is its path, with a dot at its end, and empty for the lead."""
    kept: dict[str, Any] = {}
    for field in fields_of(struct):
        fitted = MISFIT
        if field.key in members:
            value = text[members[field.key]]
            fitted = yield from _fit(value, field, path + field.key, problems)
        elif field.required:
            problems.append(path + field.key)
        if fitted is not MISFIT:
            kept[field.name] = fitted
        elif field.required:
            return MISFIT
    try:
        return struct(**kept)
    except (TypeError, ValueError):  # the caller's own __post_init__
        problems.append(path.rstrip(".") or "$")
        return MISFIT


def _fit(text: str, field: Field, path: str, problems: list[str]) -> Generator[None, None, Any]:
    """Convert one value, as it is written; append its path if it is not what the type says."""
    if not (field.takes_object and len(text) > PIECE) and not _MAY_BE_HALF_A_PAIR.search(text):
        fitted = decode(text, field)  # usually nothing is odd about it
        yield
        if fitted is not MISFIT:
            return fitted
    if field.nested is not None and text.startswith("{"):
        inner: list[str] = []
        members = yield from find_members(PieceReader(text))
        fitted = yield from _salvage(field.nested, text, members, f"{path}.", inner)
        problems += [path] if fitted is MISFIT else inner
        return fitted
    fitted = fit_word(text, field) if _WORD.match(text) else MISFIT
    if fitted is not MISFIT:
        problems.append(path)
        return fitted
    return (yield from _clean_and_fit(text, field, path, problems))


def _clean_and_fit(
    text: str, field: Field, path: str, problems: list[str]
) -> Generator[None, None, Any]:
    cleaner = Cleaner()
    value, _ = yield from PieceReader(text, cleaner.decoder, cleaner).value(0)
    if cleaner.has_changed:
        problems.append(path)
    if field.takes_object and isinstance(value, dict):
        return value
    fitted = decode_value(value, field)
    if fitted is MISFIT:
        problems.append(path)
        if isinstance(value, str):
            return fit_text(value, field)
    return fitted
