"""Sends answers together if their requests arrived together.

Sent one by one, each answer would wake its client, and the next request would find the
processor's caches cold. That was a third of the server's whole time under load; see
`benchmarks/sidecar.py`. So answers wait until the event loop has delivered everything
that has arrived, or until there are many of them.
"""

import asyncio
from typing import Final

_MAX_TOGETHER: Final = 32
"""The maximum of answers in a batch, as the first waits for the last."""


class WriteBatcher:
    """Collects what a server's connections send, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Prepare."""
        self._loop = loop
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def put(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send soon."""
        waiting = self._waiting
        if not waiting:
            self._loop.call_soon(self.flush)
        waiting.append((transport, data))
        if len(waiting) == _MAX_TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Send now; required before a transport is closed, or its answers are lost."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            # uvloop raises for a disconnected client; the others must still get theirs.
            if not transport.is_closing():
                transport.write(data)
