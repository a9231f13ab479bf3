"""Limiters: what one must do, the one of a single process, and the parts to make others from.

``Limiter`` is the protocol, ``AdaptiveLimiter`` the one that each client makes for itself.
``instantly_async.redis`` has one that several processes share. One of your own may inherit
``BaseLimiter``; ``instantly_async.testing.LIMITER_LAWS`` checks it.
"""

from ._pace import AdaptiveLimiter, BaseLimiter, Limiter, Places

__all__ = ["AdaptiveLimiter", "BaseLimiter", "Limiter", "Places"]
