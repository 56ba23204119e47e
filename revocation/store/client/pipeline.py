"""A connection over which calls are made without waiting for one another.

redis-py connects: it knows addresses, TLS, users and databases. Its way of a call
through a pool, a lock and two coroutines costs more than the server's work, so whoever
asks all the time goes on without it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis


class Pipeline(asyncio.Protocol):
    """Many calls at a time over one connection: replies come in the calls' order.

    A reply that is late or makes no sense ends the connection, so that no reply is
    ever taken for that of another call.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        timeout: float,
        explain_delay: Callable[[], Exception],
    ) -> None:
        """Take a connection over that nobody else waits at.

        Args:
            transport: the connection.
            timeout: the longest wait for each reply, in seconds.
            explain_delay: makes the error of who waited for so long.
        """
        self._transport = transport
        self._timeout = timeout
        self._explain_delay = explain_delay
        self._calls: deque[tuple[asyncio.Future[Any], asyncio.TimerHandle]] = deque()
        # Its owner is told by it when the connection is closed.
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
            The reply to come. None when the connection was lost or the server refused:
            redis-py, asked the same, says why. What is late is an exception.
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
        """Tell all who wait."""
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
