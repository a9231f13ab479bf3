"""``Endpoint``: how a request to one route looks like, and how its answer is read.

A value: method, path, limits, and pure functions for the request and its answer. Nothing here sends
or repeats anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .steps import Steps

Q = TypeVar("Q")
R = TypeVar("R")

LEADS_PATH = "/api/v2/leads/"
LIST_PATH = "/api/v2/leads/list"
LEAD_ROUTE = LEADS_PATH + "{id}"

MAX_LIMIT = 100
"""Leads on a page, the highest ``limit`` (documented). *Reported:* with a higher one, the page is
empty, and there is no error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Generic[Q, R]):
    """How to send a query ``Q``, and how to read its answer ``R``.

    ``path`` and ``body`` make the request (body ``None``: no body), and ``route`` is the path with
    ``{id}`` in place of an id. ``read`` reads the body of a 200; it raises ``DecodeError`` if that
    is not what was requested. If reading takes long, it returns steps instead, which may raise the
    same. ``describe`` names the query in logs.
    ``read_s`` bounds the time without progress, ``total_s`` one attempt, ``max_elapsed_s`` all
    attempts. ``takes_many``: a query is many ids or emails.
    """

    method: str
    route: str
    path: Callable[[Q], str]
    body: Callable[[Q], bytes | None]
    read: Callable[[Q, bytes], R | Steps[R]]
    describe: Callable[[Q], str]
    max_bytes: int
    read_s: float
    total_s: float
    max_elapsed_s: float
    takes_many: bool = False
