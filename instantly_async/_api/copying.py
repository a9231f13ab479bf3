"""``deep_copy``: leads that several callers get, one for each, so that none sees another's changes.

Copies what msgspec decodes into and what can be changed. Values of other types are immutable, or
the type's own ``__post_init__`` has made them; these are shared.

Not ``copy.deepcopy``: that calls ``__post_init__`` again, which may accept only what the API sends,
and it is recursive, so a deeply nested ``payload`` would be too much for Python's stack.
"""

import copy
import functools
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def deep_copy(value: T) -> T:
    """Return an equal value that shares nothing with it that can be changed."""
    own: T = _copy(value, {})
    return own


def _copy(value: Any, copies: dict[int, Any]) -> Any:
    """Copy level by level: each container first, then what it holds. ``copies`` by ``id``."""
    whole = [value]
    containers: list[Any] = [whole]
    while containers:
        container = containers.pop()
        for key, part in _parts(container):
            if _is_shared(part.__class__):
                continue
            if id(part) not in copies:
                copies[id(part)] = _copy_of_one(part, copies, containers)
            _put(container, key, copies[id(part)])
    return whole[0]


@functools.lru_cache(maxsize=256)
def _is_shared(kind: Any) -> bool:
    kinds = (msgspec.Struct, dict, list, tuple, set, bytearray)
    return not (issubclass(kind, kinds) or _fields(kind))


@functools.lru_cache(maxsize=256)
def _fields(kind: Any) -> tuple[str, ...]:
    """Return the names of the fields of a dataclass or an attrs class; none: it is neither."""
    return (
        *getattr(kind, "__dataclass_fields__", ()),
        *(each.name for each in getattr(kind, "__attrs_attrs__", ())),
    )


def _copy_of_one(part: Any, copies: dict[int, Any], containers: list[Any]) -> Any:
    """Return a copy that holds the same parts, and add it to ``containers``."""
    if isinstance(part, tuple):
        own = [_copy(each, copies) for each in part]
        return part._make(own) if hasattr(part, "_make") else tuple(own)  # a NamedTuple
    own = copy.copy(part)
    if not isinstance(part, set | bytearray):  # what these hold is immutable
        containers.append(own)
    if isinstance(part, msgspec.Struct) and hasattr(part, "__dict__"):  # not copied by msgspec
        own.__dict__.update(part.__dict__)
        containers.append(own.__dict__)
    return own


def _parts(container: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(container, dict):
        return container.items()
    if isinstance(container, list):
        return enumerate(container)
    if isinstance(container, msgspec.Struct):
        return zip(container.__struct_fields__, msgspec.structs.astuple(container), strict=True)
    return [(name, getattr(container, name)) for name in _fields(container.__class__)]


def _put(container: Any, key: Any, part: Any) -> None:
    if isinstance(container, dict | list):
        container[key] = part
    elif isinstance(container, msgspec.Struct):
        msgspec.structs.force_setattr(container, key, part)
    else:
        object.__setattr__(container, key, part)  # it may be frozen
