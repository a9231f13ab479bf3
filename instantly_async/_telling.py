"""Calls observers, and drops those that fail, so that they cannot harm what they observe."""

import inspect
import logging
import sys
from collections.abc import Callable, Iterable
from functools import partial
from types import BuiltinMethodType, MethodType
from typing import Any, Protocol

from .errors import ConfigurationError

_log = logging.getLogger(__name__)


class Guarded:
    """An observer, until it fails. A client shares it with its siblings."""

    __slots__ = ("is_dropped", "name", "observer", "wants_settled")

    def __init__(self, observer: Callable[[Any], object]) -> None:
        self.observer: Callable[[Any], object] = observer
        self.name = _name_of(observer)
        self.wants_settled = getattr(observer, "wants_settled", True)
        self.is_dropped = False

    def drop(self, error: BaseException) -> None:
        self.is_dropped = True
        _log.error(
            "An observer has failed, and gets no more records: %s",
            self.name,
            exc_info=error,
            extra={"observer": self.name},
        )


def tell(guarded: Iterable[Guarded], event: object) -> None:
    """Give a record to those that are not dropped."""
    for each in guarded:
        if each.is_dropped:
            continue
        failure: BaseException
        try:
            result = each.observer(event)
            if result is None or not inspect.isawaitable(result):
                continue
            getattr(result, "close", lambda: None)()  # or it warns that nobody has awaited it
            failure = TypeError("it returned an awaitable, which nobody awaits")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - also a CancelledError, nobody's here
            failure = error
        _cut_context(failure, sys.exc_info()[1])
        each.drop(failure)


def _cut_context(error: BaseException, outer: BaseException | None) -> None:
    """Forget what was being handled when an observer was called: its frames hold ids."""
    todo, seen = [error], set[int]()
    while todo:
        each = todo.pop()
        seen.add(id(each))
        if each.__context__ is outer:
            each.__context__ = None
        inner = [*getattr(each, "exceptions", ()), each.__context__, each.__cause__]
        todo += [one for one in inner if one is not None and id(one) not in seen]


class Group(Protocol):
    """Has observers."""

    @property
    def guarded(self) -> Iterable[Guarded]: ...


def tell_all(groups: Iterable[Group], event: object) -> None:
    """Give a record once to everyone in these groups, also if somebody is in several."""
    everyone = (each for group in groups for each in group.guarded if not each.is_dropped)
    tell({_identity(each.observer): each for each in everyone}.values(), event)


def _identity(observer: object) -> object:
    if isinstance(observer, MethodType | BuiltinMethodType):  # each access makes a new object
        return id(observer.__self__), observer.__name__
    return id(observer)


def _name_of(observer: object) -> str:
    """Return where its code is. Its own text may hold anything, such as arguments of a partial."""
    while isinstance(observer, partial):
        observer = observer.func
    named = observer if hasattr(observer, "__qualname__") else type(observer)
    return f"{named.__module__}.{getattr(named, '__qualname__', '')}"


def check_observer(observer: object) -> None:
    """Raise ``ConfigurationError`` for what cannot be called, or would not run when called."""
    if not callable(observer):
        raise ConfigurationError(
            f"observer must be a function of one record; {type(observer).__name__} is not callable."
        )
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    for each in (inspect.unwrap(observer), type(observer).__call__):
        if any(is_kind(each) for is_kind in kinds):
            raise ConfigurationError(
                "observer must be a plain function, neither async def nor a generator; start a "
                "task in it, or use a queue."
            )
