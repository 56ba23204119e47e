"""Connects to a Redis or Valkey server, and translates its errors.

Nothing here waits for a server to come back: the caller decides how long to retry.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ConnectionError as RedisConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError as RedisTimeoutError,
)

from revocation.errors import (
    SettingsError,
    StoreColdError,
    StoreError,
    StoreMovedBackError,
    StoreUnavailableError,
    StoreUnsuitableError,
)
from revocation.store.client.connection_classes import (
    ServerConnection,
    TcpConnection,
    TlsConnection,
    UnixConnection,
)
from revocation.store.client.pipeline import Pipeline
from revocation.store.client.server_discovery import (
    EXAMPLES,
    ClusterDiscovery,
    Discovery,
    Location,
    SentinelDiscovery,
    locate,
    without_secrets,
)
from revocation.tls import NO_TLS, Tls

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

_REMEDIES: Final[Mapping[type[Exception], str]] = {
    OutOfMemoryError: "nothing was written; raise its maxmemory",
    ReadOnlyError: "it is a replica; point the URL at the primary",
    NoPermissionError: "docs/store-layout.md lists what each user must be allowed",
    AuthenticationError: "check the user and password in the URL",
}


_FAILURES: Final = (RedisError, OSError, RuntimeError)
"""What a client may raise; the last is uvloop's, for a connection that breaks while it
is being made."""


class RedisConnection:
    """A pool of connections to one server, opened when first needed.

    A server behind Sentinels or in a cluster is found again whenever a connection is
    lost, or the server replies that it no longer has the role.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each way in which uses differ
        self,
        url: str,
        *,
        timeout_ms: int,
        max_connections: int,
        tls: Tls = NO_TLS,
        slot_key: bytes = b"",
        retries: bool = True,
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            url: `redis://`, `rediss://` or `unix://`; options in its query win. Or
                `redis+sentinel://host,host/primary/0` or `redis+cluster://host,host`,
                with `rediss+` over TLS.
            timeout_ms: the longest wait to connect, and for each reply.
            max_connections: calls beyond this number wait for their turn.
            tls: certificates, for `rediss`.
            slot_key: a key of the region, by which a cluster's nodes name its owner.
            retries: whether to retry a call at once if its connection was lost; not for
                clients that all lose theirs together, and retry by themselves.

        Raises:
            SettingsError: the URL's scheme is unknown, or a certificate cannot be used.
        """
        self.where = without_secrets(url)
        location = locate(url)
        timeout = timeout_ms / 1_000
        options: dict[str, Any] = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "timeout": timeout,
            "max_connections": max_connections,
            "protocol": 2,  # No reply needs the types of RESP 3.
            **_server_options(location.plain_url, tls),
        }
        self._discovery = _new_discovery(location, options, slot_key)
        self._max_connections = options["max_connections"]
        self._timeout = options.pop("timeout")
        self._pool = _new_pool(self._discovery, options, self.where, retries=retries)
        self._kept: ServerConnection | None = None
        self._pipeline: Pipeline | None = None
        self._is_opening = False
        self._reply_timeout = options["socket_timeout"]
        self._turns = asyncio.Semaphore(self._max_connections)
        self._client = Redis.from_pool(self._pool)
        self._execute: Callable[..., Awaitable[Any]] = self._client.execute_command

    async def stop(self) -> None:
        """Disconnect; may be called twice, and `call` connects again."""
        self._pipeline = None
        await self._client.aclose()
        if self._discovery is not None:
            await self._discovery.stop()

    async def call(self, *command: bytes | str | int) -> Any:
        """Return the server's reply.

        Raises:
            StoreUnavailableError: it cannot be reached, or cannot do this now.
            StoreError: `functions.lua` refused the call.
        """
        await self._wait_for_turn()
        try:
            return await self._find_and_execute(*command)
        except _FAILURES as error:
            raise self._explain(error) from error
        finally:
            self._turns.release()

    def send(self, packed: bytes) -> asyncio.Future[Any] | None:
        """Make a call at once, for a tenth of the CPU, over a reserved connection.

        Returns:
            The future reply; None if no connection is reserved. The future's result is
            None if the connection was lost or the server refused: then `call` explains
            why, and `open_pipeline` is due.

        Raises:
            StoreUnavailableError: set on the future; the reply took too long.
        """
        pipeline = self._pipeline
        if pipeline is None or not pipeline.is_open:
            return None
        return pipeline.send(packed)

    async def open_pipeline(self) -> None:
        """Reserve a connection for `send`, if one is available.

        For callers with constant traffic, after a `call`, which leaves one in the pool.
        """
        if self._is_opening or (self._pipeline is not None and self._pipeline.is_open):
            return
        self._is_opening = True
        try:
            if self._kept is None:
                self._kept = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            else:
                await self._kept.disconnect()
                await self._kept.connect_check_health()
            self._pipeline = Pipeline(
                self._kept.transport(),
                timeout=self._reply_timeout,
                explain_delay=self._explain_delay,
            )
        except _FAILURES:
            self._pipeline = None  # The next `call` explains why.
        finally:
            self._is_opening = False

    async def _find_and_execute(self, *command: bytes | str | int) -> Any:
        try:
            return await self._execute(*command)
        except ResponseError as error:
            if self._discovery is None or not self._discovery.moved(error):
                raise
        # Idle connections lead to the old address. Every call is idempotent.
        self._pipeline = None
        await self._pool.disconnect(inuse_connections=False)
        return await self._execute(*command)

    async def _wait_for_turn(self) -> None:
        """Queue up in order: redis-py's blocking pool serves the last caller first.

        And it takes a quarter of a small call's CPU (8.1: 63 us against 46).
        """
        if not self._turns.locked():
            await self._turns.acquire()
            return
        try:
            async with asyncio.timeout(self._timeout):
                await self._turns.acquire()
        except TimeoutError as error:
            raise StoreUnavailableError(
                f"all {self._max_connections} connections to the store at "
                f"{self.where} were busy for {self._timeout} s; ask less at once, or "
                "raise max_connections"
            ) from error

    def _explain_delay(self) -> StoreError:
        return self._explain(
            RedisTimeoutError(f"no reply within {self._reply_timeout} s")
        )

    def _explain(self, error: Exception) -> StoreError:
        code, _, detail = str(error).partition(" ")
        if code in _REFUSALS:
            return _REFUSALS[code](f"the store at {self.where}: {detail}")
        remedy = _REMEDIES.get(type(error), "retry later")
        if _is_about_certificates(error):
            remedy = "check the certificates, their host names and dates, on both sides"
        return StoreUnavailableError(
            f"the store at {self.where} is unavailable "
            f"({type(error).__name__}: {error}); {remedy}"
        )


def _server_options(url: str, tls: Tls) -> dict[str, Any]:
    """Return redis-py's options for a URL."""
    try:
        options: dict[str, Any] = {**parse_url(url)}
    except ValueError as error:
        raise SettingsError(
            f"the store URL {without_secrets(url)} cannot be used ({error}); {EXAMPLES}"
        ) from error
    over_tls = url.startswith("rediss:")
    if "path" in options:
        options["connection_class"] = UnixConnection
    else:
        options["connection_class"] = TlsConnection if over_tls else TcpConnection
        options |= {"socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}
    if tls:
        if not over_tls or any(name.startswith("ssl_") for name in options):
            raise SettingsError(
                f"the store URL {without_secrets(url)} does not go with certificate "
                "files; begin it with `rediss`, and drop the `ssl_` options in it"
            )
        options["tls"] = tls.context()
    return options


def _new_discovery(
    location: Location, options: dict[str, Any], slot_key: bytes
) -> Discovery | None:
    if location.kind == "sentinel":
        return SentinelDiscovery(location.addresses, location.primary, options)
    if location.kind == "cluster":
        options["probe"] = slot_key
        return ClusterDiscovery(location.addresses)
    return None


def _new_pool(
    discovery: Discovery | None, options: dict[str, Any], where: str, *, retries: bool
) -> ConnectionPool:
    """Return a pool that retries idle connections that were closed, and dead nodes.

    Every call is idempotent, so a retry is safe; a timeout is not retried, as it has
    used up the caller's time limit.
    """
    attempts = 1
    if discovery is not None:
        options["discovery"], attempts = discovery, discovery.attempts
    if not retries:
        attempts = 0
    options["max_connections"] += 1  # The reserved one.
    options["retry"] = Retry(NoBackoff(), attempts, (RedisConnectionError,))
    try:
        pool = ConnectionPool(**options)
        # Connects nothing, but rejects unknown options.
        pool.make_connection()  # type: ignore[no-untyped-call]
    except TypeError as error:
        raise SettingsError(
            f"the store URL {where} has options that do not exist ({error})"
        ) from error
    return pool


async def measure_skew_ms(connection: RedisConnection) -> int:
    """Return the server's clock minus ours at the middle of a round trip."""
    asked_at = time.time_ns()
    seconds, microseconds = await connection.call("TIME")
    middle = (asked_at + time.time_ns()) // 2
    skew: int = seconds * 1_000 + microseconds // 1_000 - middle // 1_000_000
    return skew


def lacks_functions(error: StoreUnavailableError) -> bool:
    """Return whether the server lacks our functions, or lost them."""
    return "Function not found" in str(error.__cause__)


def needs_mending(error: StoreUnavailableError) -> bool:
    """Return whether the error needs an operator; others pass by themselves."""
    cause = error.__cause__
    if isinstance(cause, NoPermissionError | AuthenticationError):
        return True
    return "unknown command" in str(cause) or _is_about_certificates(cause)


def _is_about_certificates(error: BaseException | None) -> bool:
    return "CERTIFICATE_" in str(error)
