"""The state that all connections of a server share."""

import asyncio
from collections import Counter
from typing import Final, Protocol

from revocation.http.messages import Handler, HeadSuffices, ServerLimits
from revocation.http.write_batcher import WriteBatcher

_MAX_REFUSED: Final = 256
"""How many refused connections may be waiting for their answer."""


class Client(Protocol):
    """A connection, as the server sees it.

    The server calls `expire` once the event loop's clock reaches one of its deadlines.
    """

    deadline: float
    write_deadline: float

    def expire(self) -> None:
        """End the request or connection that took too long."""

    def close_if_idle(self) -> None:
        """Close unless a request is in progress."""

    def abort(self) -> None:
        """Close immediately."""


class ServerState:
    """The state that all connections of a server share.

    `head_suffices`: the paths whose requests are answered without their body.
    `refused`: how many requests and connections were refused, by status. `empty`: set
    while there are no connections.
    """

    def __init__(
        self,
        handler: Handler,
        limits: ServerLimits,
        head_suffices: HeadSuffices = lambda _: False,
    ) -> None:
        """Prepare; needs a running event loop."""
        self.handler = handler
        self.limits = limits
        self.head_suffices = head_suffices
        self.loop = asyncio.get_running_loop()
        self.connections: set[Client] = set()
        self.served = 0
        self.draining = False
        self.empty = asyncio.Event()
        self.empty.set()
        self.refused: Counter[int] = Counter()
        self.outbox = WriteBatcher(self.loop)

    def admit(self, client: Client) -> bool:
        """Register a client; return whether to serve it, or refuse one too many."""
        self.connections.add(client)
        self.empty.clear()
        if self.served < self.limits.connections:
            self.served += 1
            return True
        self.refused[503] += 1
        return False

    @property
    def crowded(self) -> bool:
        """Whether there are too many connections even to refuse them with an answer."""
        return len(self.connections) > self.served + _MAX_REFUSED

    def dismiss(self, client: Client, *, counted: bool) -> None:
        """Forget a disconnected client; `counted` if it was served."""
        self.served -= counted
        self.connections.discard(client)
        if not self.connections:
            self.empty.set()
