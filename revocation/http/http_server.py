"""The sidecar's HTTP/1.1 server: TCP and unix sockets, TLS, limits, an orderly end.

    server = Server(handler, [Tcp(port=8181), Unix(path=Path("/run/sidecar.sock"))])
    await server.start()
    ...
    await server.stop()

It knows nothing of tokens. A request stays in memory and passes few layers:
`listening.py` has the sockets, `http_connection.py` each connection, `framing.py` where
a request ends, `messages.py` the values. It serves short answers to short requests, so
there is neither streaming nor an upgrade.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog

from revocation.errors import SettingsError
from revocation.http.http_connection import HttpConnection
from revocation.http.listening import (
    BACKLOG,
    Listener,
    ServerTls,
    Tcp,
    Unix,
    inode,
    remove,
)
from revocation.http.messages import (
    PROBLEM,
    Handler,
    HeadSuffices,
    Request,
    Response,
    ServerLimits,
    problem,
)
from revocation.http.server_state import ServerState
from revocation.lifecycle import Lifecycle

__all__ = [
    "PROBLEM",
    "Handler",
    "Listener",
    "Request",
    "Response",
    "Server",
    "ServerLimits",
    "ServerTls",
    "Tcp",
    "Unix",
    "problem",
]

_log = structlog.get_logger()

_MAX_TICK_SECONDS: Final = 0.5
_TICKS_IN_A_TIME: Final = 4
"""Time limits are checked every quarter of the shortest, at least every 0.5 s."""


class _Open:
    """A listening socket, and the server that accepts on it."""

    def __init__(self, listener: Listener, made: socket.socket) -> None:
        self.listener = listener
        self.socket = made
        self.inode = inode(listener)
        self.server: asyncio.Server | None = None


class Server(Lifecycle):
    """Serves a handler. An async context manager."""

    def __init__(
        self,
        handler: Handler,
        listeners: Sequence[Listener],
        *,
        limits: ServerLimits | None = None,
        certificates_seconds: float = 10.0,
        head_suffices: HeadSuffices = lambda _: False,
    ) -> None:
        """Prepare; nothing listens yet.

        Args:
            handler: answers requests; called in the event loop, so it must not block.
            listeners: the addresses to listen on.
            limits: of each client.
            certificates_seconds: how often to check for changed certificates.
            head_suffices: the paths whose requests are answered without their body.
                After such an answer the connection is closed: what follows is the body.
        """
        self.limits = limits or ServerLimits()
        self._handler = handler
        self._head_suffices = head_suffices
        self._listeners = tuple(listeners)
        self._certificates_seconds = certificates_seconds
        self._shared: ServerState | None = None
        self._open: list[_Open] = []
        self._versions: dict[ServerTls, tuple[object, ...]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._reloading: asyncio.Task[None] | None = None

    # Life ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen. May be called once.

        Raises:
            SettingsError: names where it cannot listen, or which file is wrong.
        """
        self._shared = ServerState(self._handler, self.limits, self._head_suffices)
        try:
            # Before any socket is open, as every connection is served.
            self._versions = {tls: tls.version() for tls in self._all_tls}
            for tls in self._all_tls:
                tls.context()
            for listener in self._listeners:
                self._open += [_Open(listener, each) for each in listener.open()]
            for each in self._open:
                await self._serve(each)
        except BaseException:
            self._close_sockets()
            raise
        self._tick()
        if self._versions:
            self._later("certificates", self._certificates_seconds, self._look)
        _log.info("sidecar listening", on=self.addresses)

    async def stop(
        self, *, grace_seconds: float = 10.0, idle_seconds: float = 0.25
    ) -> None:
        """Answer pending requests, then close; may be called twice.

        From now on, no client can connect, and every answer has `connection: close`.

        Args:
            grace_seconds: after that, remaining connections are aborted.
            idle_seconds: how long to keep connections without a request, for requests
                in transit.
        """
        shared = self._shared
        if shared is None:
            return
        await self._end_reloading()
        self._close_sockets()
        shared.draining = True
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_seconds
        await self._until_empty(shared, min(idle_seconds, grace_seconds))
        for connection in list(shared.connections):
            connection.close_if_idle()
        await self._until_empty(shared, end - loop.time())
        left = list(shared.connections)
        if left:
            _log.warning("connections cut off", connections=len(left))
        for connection in left:
            connection.abort()
        await self._until_empty(shared, 1.0)
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # Inspection ----------------------------------------------------------------------

    @property
    def addresses(self) -> list[str]:
        """The addresses it listens on: `address:port`, or `unix:path`."""
        return [_address(each) for each in self._open]

    @property
    def connections(self) -> int:
        """How many connections are served now."""
        return 0 if self._shared is None else self._shared.served

    @property
    def refused(self) -> Mapping[int, int]:
        """How many requests and connections were refused here, by status."""
        return {} if self._shared is None else self._shared.refused

    # Certificates --------------------------------------------------------------------

    async def reload_certificates(self) -> None:
        """Serve new connections with the current files; existing ones continue.

        It also happens automatically, soon after a file changes.

        Raises:
            SettingsError: a file is invalid; nothing has changed.
        """
        versions = {tls: tls.version() for tls in self._all_tls}
        for tls in versions:
            tls.context()
        for each in self._open:
            if each.listener.tls is not None:
                old = each.server
                await self._serve(each)
                if old is not None:
                    old.close()
        self._versions = versions
        _log.info("certificates loaded again")

    def _look(self) -> None:
        if any(tls.version() != old for tls, old in self._versions.items()):
            self._reloading = asyncio.create_task(self._reload())
        self._later("certificates", self._certificates_seconds, self._look)

    async def _reload(self) -> None:
        try:
            await self.reload_certificates()
        except SettingsError as error:
            # Half of a pair may have been written: checked, and logged, again later.
            _log.warning("certificates not loaded", error=str(error))

    async def _end_reloading(self) -> None:
        timer = self._timers.pop("certificates", None)
        if timer is not None:
            timer.cancel()
        if self._reloading is not None:
            self._reloading.cancel()
            await asyncio.wait([self._reloading])

    @property
    def _all_tls(self) -> list[ServerTls]:
        every = [each.tls for each in self._listeners if each.tls is not None]
        return list(dict.fromkeys(every))

    # Steps ---------------------------------------------------------------------------

    async def _serve(self, each: _Open) -> None:
        """Accept on a copy of the socket; several servers can, so no client is lost."""
        shared = self._shared
        assert shared is not None  # noqa: S101 - was started
        tls = each.listener.tls
        create = (
            shared.loop.create_unix_server
            if isinstance(each.listener, Unix)
            else shared.loop.create_server
        )
        each.server = await create(
            lambda: HttpConnection(shared),
            sock=each.socket.dup(),
            backlog=BACKLOG,
            ssl=None if tls is None else tls.context(),
            ssl_handshake_timeout=None if tls is None else self.limits.header_seconds,
        )

    def _close_sockets(self) -> None:
        for each in self._open:
            remove(each.listener, each.inode)
            if each.server is not None:
                each.server.close()
            each.socket.close()
        self._open.clear()

    async def _until_empty(self, shared: ServerState, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(shared.empty.wait(), max(0.0, seconds))

    def _tick(self) -> None:
        """End connections that took too long, and reschedule."""
        shared = self._shared
        assert shared is not None  # noqa: S101 - was started
        now = shared.loop.time()
        for each in list(shared.connections):
            if each.deadline <= now or each.write_deadline <= now:
                each.expire()
        seconds = self.limits.shortest_seconds / _TICKS_IN_A_TIME
        self._later("tick", min(seconds, _MAX_TICK_SECONDS), self._tick)

    def _later(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, call)


def _address(each: _Open) -> str:
    if isinstance(each.listener, Unix):
        return str(each.listener)
    host, port, *_ = each.socket.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
