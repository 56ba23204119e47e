"""Connections of redis-py that find their server, and pack commands quickly."""

import asyncio
import ssl
from typing import Any, Final, cast

import hiredis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
    RedisError,
    ResponseError,
)

from revocation.store.client.server_discovery import Address, Discovery

_MOVES: Final = 3
"""How often in a row a cluster may send us on before we give up for now."""


class Session(AbstractConnection):
    """Whatever connection to a server."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """Pack in C what redis-py packs in Python, for a third of a call's time."""
        name, *rest = args
        # redis-py's own commands may have two words in one.
        words = name.split() if isinstance(name, str) else (name,)
        return [hiredis.pack_command((*words, *rest))]

    def transport(self) -> asyncio.Transport:
        """Return what carries the bytes; only while connected."""
        # There is no other way to it, and a `Line` needs it.
        writer = cast("asyncio.StreamWriter", self._writer)
        return cast("asyncio.Transport", writer.transport)


class PlainSession(Session, Connection):
    """One connection to a server, at its place if it has one."""

    def __init__(
        self,
        *,
        place: Discovery | None = None,
        probe: bytes | None = None,
        **options: Any,
    ) -> None:
        """Prepare.

        Args:
            place: where to connect to, rather than to `host` and `port`.
            probe: a key by which a cluster's node tells whether it is the right one.
            options: those of redis-py.
        """
        super().__init__(**options)
        self._place = place
        self._probe = probe

    async def connect_check_health(self, *flags: bool, **named: bool) -> None:
        """Connect to where the server is now, unless connected."""
        if self.is_connected:
            return
        for _ in range(_MOVES):
            if self._place is not None:
                self.host, self.port = await self._place.address()
            try:
                await super().connect_check_health(*flags, **named)
                await self._ask_for_probe()
            except RedisError as error:
                await self.disconnect()
                if self._place is None:
                    raise
                if not isinstance(error, ResponseError) or not self._place.moved(error):
                    self._place.lost(Address(self.host, int(self.port)))
                    raise
            else:
                return
        raise RedisConnectionError("the cluster sends us from node to node")

    async def _ask_for_probe(self) -> None:
        if self._probe is not None:
            await self.send_command("HGET", self._probe, "epoch", check_health=False)
            await self.read_response()


class TlsSession(PlainSession, SSLConnection):
    """The same over TLS, with a context that all of a store's connections share."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, **options: Any) -> None:
        """Prepare; without `tls`, by redis-py's own `ssl_` options."""
        super().__init__(**options)
        if tls is not None:
            self.ssl_context.context = tls


class UnixSession(Session, UnixDomainSocketConnection):
    """A connection over a Unix socket."""
