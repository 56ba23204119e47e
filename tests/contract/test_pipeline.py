"""Calls over one connection: which reply is whose, and when the connection closes."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from revocation.errors import StoreUnavailableError
from revocation.store.client.pipeline import Pipeline

LATE = StoreUnavailableError("late")


class Far:
    """The other end of a pipeline: the test writes its answers."""

    def __init__(self) -> None:
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter
        self.pipeline: Pipeline

    async def closed(self) -> None:
        """Wait until the pipeline is closed, and check that it reports it."""
        await self.reader.read()
        assert not self.pipeline.is_open


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    far, accepted = Far(), asyncio.Event()

    async def accept(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far.reader, far.writer = reader, writer
        accepted.set()

    server = await asyncio.start_server(accept, "127.0.0.1")
    _, near = await asyncio.open_connection(*server.sockets[0].getsockname())
    transport = cast("asyncio.Transport", near.transport)
    far.pipeline = Pipeline(transport, timeout=0.1, explain_delay=lambda: LATE)
    await accepted.wait()
    yield far
    near.close()
    far.writer.close()
    server.close()
    await asyncio.gather(
        *(near.wait_closed(), far.writer.wait_closed()), return_exceptions=True
    )
    await server.wait_closed()


async def test_replies_come_in_the_order_of_the_calls(far: Far) -> None:
    calls = [
        far.pipeline.send(b"one"),
        far.pipeline.send(b"two"),
        far.pipeline.send(b"three"),
    ]
    assert await far.reader.readexactly(11) == b"onetwothree"
    for part in (b":1\r\n*2\r\n:", b"2\r\n$1", b"\r\nx\r\n", b"*0\r\n"):
        far.pipeline.data_received(part)

    assert await asyncio.gather(*calls) == [1, [2, b"x"], []]
    assert far.pipeline.is_open


async def test_the_reply_of_a_cancelled_call_is_dropped(far: Far) -> None:
    one, two = far.pipeline.send(b"one"), far.pipeline.send(b"two")
    one.cancel()
    far.writer.write(b":1\r\n:2\r\n")

    assert await two == 2


async def test_an_error_reply_fails_one_call(far: Far) -> None:
    calls = [far.pipeline.send(b"one"), far.pipeline.send(b"two")]
    far.writer.write(b"-NOPERM\r\n:2\r\n")

    assert await asyncio.gather(*calls) == [None, 2]
    assert far.pipeline.is_open


async def test_a_pipeline_to_a_node_that_is_not_the_owner_ends(far: Far) -> None:
    call = far.pipeline.send(b"one")
    far.writer.write(b"-MOVED 1 127.0.0.1:1\r\n")

    assert await call is None
    await far.closed()


@pytest.mark.parametrize("noise", [b"nonsense\r\n", b":1\r\n:2\r\n:3\r\n"])
async def test_a_malformed_reply_ends_it(far: Far, noise: bytes) -> None:
    calls = [far.pipeline.send(b"one"), far.pipeline.send(b"two")]
    far.writer.write(noise)

    assert await asyncio.gather(*calls) in ([None, None], [1, 2])
    await far.closed()


async def test_a_connection_lost_within_a_reply_fails_all_calls(far: Far) -> None:
    calls = [far.pipeline.send(b"one"), far.pipeline.send(b"two")]
    far.writer.write(b"*2\r\n:1\r\n")
    far.writer.close()

    assert await asyncio.gather(*calls) == [None, None]
    assert not far.pipeline.is_open


async def test_a_late_reply_ends_it_for_all(far: Far) -> None:
    calls = [far.pipeline.send(b"one"), far.pipeline.send(b"two")]
    far.writer.write(b"*2\r\n:1\r\n")

    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert errors == [LATE, LATE]
    assert not far.pipeline.is_open


async def test_a_timely_reply_cancels_its_timeout(far: Far) -> None:
    far.writer.write(b":1\r\n")
    assert await far.pipeline.send(b"one") == 1
    await asyncio.sleep(0.15)

    assert far.pipeline.is_open
