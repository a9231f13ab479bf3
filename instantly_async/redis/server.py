"""``RedisServer``: the address of a server, its password in no repr, and connections to it."""

from collections.abc import Callable
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from instantly_async._reprs import safe_repr
from instantly_async.errors import ConfigurationError

_EXAMPLE = "use something like redis://localhost:6379/0"


class RedisServer:
    """Where the server is, without user and password, and how to make a client of it."""

    def __init__(self, address: str, connect: Callable[[], Redis]) -> None:
        self.address = address
        self.connect = connect

    @safe_repr
    def __repr__(self) -> str:
        return self.address


def read_server(url: object) -> RedisServer | ConfigurationError:
    """Check the URL of a server: ``redis://``, ``rediss://`` (TLS) or ``unix://``.

    An error is returned, so that no traceback shows the frame that has the password.
    """
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        port = parts.port
    except ValueError:
        return ConfigurationError(f"The URL of the shared limit is not a URL; {_EXAMPLE}.")
    host = parts.hostname or "localhost"
    if parts.scheme not in {"redis", "rediss", "unix"}:
        return ConfigurationError(
            "The URL of the shared limit must begin with redis://, rediss:// or unix://; "
            f"{_EXAMPLE}."
        )

    def connect() -> Redis:
        # No repetitions: another process would get the moment that an unknown answer had reserved,
        # and an outage must be known. No timeout: the limiter has one for the whole call.
        # One connection, so that none is left that has to connect again. RESP 2, because with 3
        # redis-py 8.1 does not notice a connection that the server has closed.
        pool = BlockingConnectionPool.from_url(
            str(url),
            max_connections=1,
            timeout=None,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
        )
        return Redis.from_pool(pool)

    try:
        # Checks the options behind the question mark.
        connect().connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - whatever an option makes redis-py raise
        return ConfigurationError(
            "The URL of the shared limit has a database or an option that redis-py does not know; "
            f"{_EXAMPLE}."
        )
    where = parts.path if parts.scheme == "unix" else f"{host}:{port or 6379}"
    return RedisServer(f"{parts.scheme}://{where}", connect)
