"""One limit for several processes and machines, in Redis (6.2 or newer) or Valkey.

Needs the extra ``redis``, which is redis-py.

Decides where a shared limit is kept. Must not know how leads are fetched, nor an API key.
"""

try:
    import redis.asyncio  # noqa: F401 - of the extra, not this package
except ModuleNotFoundError as error:
    raise ImportError(
        "instantly_async.redis needs the extra \"redis\": pip install 'instantly-async[redis]'"
    ) from error

from .limiter import SharedLimiter

__all__ = ["SharedLimiter"]
