"""How to reach a Redis or Valkey server, and what its errors mean to us.

Nothing here waits for a server to come back: the caller knows how long to be patient.
"""

import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ConnectionError as RedisConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)

from revocation.errors import (
    SettingsError,
    StoreColdError,
    StoreError,
    StoreMovedBackError,
    StoreUnavailableError,
    StoreUnsuitableError,
)

_KEEPALIVE: Final = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 2))
    if hasattr(socket, name)
}
"""Finds dead peers between calls, without the health check's extra round trip."""

_REFUSALS: Final[Mapping[str, type[StoreError]]] = {
    "COLD": StoreColdError,
    "MOVED_BACK": StoreMovedBackError,
    "PARTITIONS": StoreUnsuitableError,
}
"""What `functions.lua` answers instead of writing."""

_REMEDIES: Final[Mapping[type[RedisError], str]] = {
    OutOfMemoryError: "nothing was written; raise its maxmemory",
    ReadOnlyError: "it is a replica; point the URL at the primary",
    NoPermissionError: "docs/store-layout.md lists what each user must be allowed",
    AuthenticationError: "check the user and password in the URL",
}


class Connection:
    """A pool of connections to one server, opened when first needed."""

    def __init__(self, url: str, *, timeout_ms: int, max_connections: int) -> None:
        """Prepare; nothing connects yet.

        Args:
            url: `redis://`, `rediss://` or `unix://`; options in its query win.
            timeout_ms: the longest wait to connect, and for each reply.
            max_connections: calls beyond as many wait for their turn.

        Raises:
            SettingsError: the URL is of no kind that Redis clients know.
        """
        self.where = _without_secrets(url)
        pool = _new_pool(url, timeout_ms / 1_000, max_connections)
        self._client = Redis.from_pool(pool)
        self._execute: Callable[..., Awaitable[Any]] = self._client.execute_command

    async def stop(self) -> None:
        """Disconnect; may be called twice, and `call` connects again."""
        await self._client.aclose()

    async def call(self, *command: bytes | str | int) -> Any:
        """Return the server's reply.

        Raises:
            StoreUnavailableError: it cannot be reached, or cannot do this now.
            StoreError: what `functions.lua` refused.
        """
        try:
            return await self._execute(*command)
        except RedisError as error:
            code, _, detail = str(error).partition(" ")
            if code in _REFUSALS:
                refusal = f"the store at {self.where}: {detail}"
                raise _REFUSALS[code](refusal) from error
            remedy = _REMEDIES.get(type(error), "retry later")
            raise StoreUnavailableError(
                f"the store at {self.where} is unavailable "
                f"({type(error).__name__}: {error}); {remedy}"
            ) from error


def _new_pool(url: str, timeout: float, max_connections: int) -> BlockingConnectionPool:
    """One immediate retry, for a connection that was closed while it lay idle.

    Every call is idempotent, so a retry is safe; a timeout is not retried, for it has
    used the caller's patience up. RESP 2, as no reply needs the types of RESP 3.
    """
    over_unix = url.startswith("unix:")
    kept_alive = {"socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}
    try:
        return BlockingConnectionPool.from_url(
            url,
            protocol=2,
            max_connections=max_connections,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
            **({} if over_unix else kept_alive),
        )
    except ValueError as error:
        raise SettingsError(
            f"the store URL {_without_secrets(url)} cannot be used ({error}); "
            "for instance `redis://host:6379/0` or `unix:///run/valkey.sock`"
        ) from error


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="").geturl()


def lacks_functions(error: StoreUnavailableError) -> bool:
    """Tell whether the server does not know our functions, or lost them."""
    return "Function not found" in str(error.__cause__)


def needs_mending(error: StoreUnavailableError) -> bool:
    """Tell what somebody must mend from what passes."""
    cause = error.__cause__
    refused = isinstance(cause, NoPermissionError | AuthenticationError)
    return refused or "unknown command" in str(cause)
