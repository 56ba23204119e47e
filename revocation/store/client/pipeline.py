"""A connection whose calls do not wait for each other's replies.

redis-py connects: it handles addresses, TLS, users and databases. But a call through
its pool, a lock and two coroutines costs more than the server's work, so callers with
constant traffic bypass it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis


class Pipeline(asyncio.Protocol):
    """Many calls at a time over one connection: replies come in the calls' order.

    A late or malformed reply ends the connection, so that no reply is ever attributed
    to another call.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        timeout: float,
        explain_delay: Callable[[], Exception],
    ) -> None:
        """Take over a connection that has no other user.

        Args:
            transport: the connection.
            timeout: the longest wait for each reply, in seconds.
            explain_delay: makes the error of a call that waited longer.
        """
        self._transport = transport
        self._timeout = timeout
        self._explain_delay = explain_delay
        self._calls: deque[tuple[asyncio.Future[Any], asyncio.TimerHandle]] = deque()
        # Notifies its owner when the connection is closed.
        self._before = transport.get_protocol()
        self._reader = hiredis.Reader()
        transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Whether a call may be made."""
        return not self._transport.is_closing()

    def send(self, packed: bytes) -> asyncio.Future[Any]:
        """Make a call at once; the pipeline must be open.

        Returns:
            The future reply; its result is None if the connection was lost or the
            server refused: the same call through redis-py explains why. If it is late,
            an exception.
        """
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        timer = loop.call_later(self._timeout, self._expire)
        self._calls.append((reply, timer))
        self._transport.write(packed)
        return reply

    def data_received(self, data: bytes) -> None:
        """Hand out the replies that are complete."""
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                call, timer = self._calls.popleft()
                timer.cancel()
                refused = isinstance(reply, hiredis.ReplyError)
                if not call.done():
                    call.set_result(None if refused else reply)
                if refused and str(reply).startswith("MOVED "):
                    # In a cluster: another node owns the keys now.
                    self._transport.abort()
        except (hiredis.HiredisError, IndexError):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Complete all pending calls."""
        for call, timer in self._calls:
            timer.cancel()
            if not call.done():
                call.set_result(None)
        self._calls.clear()
        self._before.connection_lost(exc)

    def _expire(self) -> None:
        for call, _ in self._calls:
            if not call.done():
                call.set_exception(self._explain_delay())
        self._transport.abort()
