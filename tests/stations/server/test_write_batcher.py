"""Answers written in one batch do not depend on each other."""

import asyncio

from revocation.http.write_batcher import WriteBatcher
from tests.installation import eventually


async def test_a_closed_connection_does_not_affect_other_answers():
    """Uvloop raises on a write to a closed connection."""
    loop, kept = asyncio.get_running_loop(), []

    class Kept(asyncio.Protocol):
        def connection_made(self, transport):
            kept.append(transport)

    server = await loop.create_server(Kept, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    _, gone = await asyncio.open_connection(*address)
    await eventually(lambda: len(kept) == 1, pause=0.001)
    reader, left = await asyncio.open_connection(*address)
    await eventually(lambda: len(kept) == 2, pause=0.001)
    batcher = WriteBatcher(loop)
    # The loop has not reported the close yet when the answer is written.
    kept[0].abort()
    for each in kept:
        batcher.put(each, b"answer")
    loop.call_later(1, kept[1].abort)
    try:
        assert await reader.read(8) == b"answer"
    finally:
        for each in (gone, left):
            each.close()
        server.close()
