"""Answers that leave together: those to requests that arrived together.

Sent one by one, each answer would wake its client up, and the next request would find
the processor's caches cold. That was a third of the server's whole time under load; see
`benchmarks/sidecar.py`. So answers wait until the event loop has handed over everything
that had arrived, or until there are many of them.
"""

import asyncio
from typing import Final

_MAX_TOGETHER: Final = 32
"""How many answers leave together at most: the first of them waits for the last."""


class WriteBatcher:
    """What a server's connections send, in its order."""

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
        """Send now. Before a transport is closed, or its answers would be lost."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            # uvloop raises where a client is gone, and the others were told nothing.
            if not transport.is_closing():
                transport.write(data)
