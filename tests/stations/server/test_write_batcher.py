"""Answers that leave together do not depend on each other."""

import asyncio

from revocation.http.write_batcher import WriteBatcher
from tests.installation import eventually


async def test_one_that_is_gone_takes_no_other_s_answer_along():
    """Uvloop raises where somebody writes to what is closed."""
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
    # Its end is on its way to be told when it is answered.
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
