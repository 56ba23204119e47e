"""aiokafka with uvloop: a write on a closed transport ends the metadata task for good.

Usage: `python aiokafka_runtime_error.py HOST:PORT`, of any broker. Needs aiokafka and
uvloop only. The report is beside it, in `aiokafka-runtime-error.md`.
"""

import asyncio
import socket
import struct
import sys

import uvloop
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.protocol.metadata import MetadataRequest

RESET = struct.pack("ii", 1, 0)


async def write_after_reset(host: str, port: int) -> str:
    """Return what `send` raises on a connection that was reset a moment ago."""
    resets: list[asyncio.StreamWriter] = []

    async def forward(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, port)
        resets.append(writer)
        while data := await reader.read(65_536):
            far_writer.write(data)
            writer.write(await far_reader.read(65_536))

    proxy = await asyncio.start_server(forward, "127.0.0.1", 0)
    near = proxy.sockets[0].getsockname()[1]
    connection = await create_conn("127.0.0.1", near)
    raised = asyncio.get_running_loop().create_future()
    # Runs when the stream has its error, and aiokafka's reader is about to have it.
    connection._reader._waiter.add_done_callback(
        lambda _: raised.set_result(attempt(connection))
    )
    linger = resets[0].transport.get_extra_info("socket")
    linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    resets[0].transport.abort()
    try:
        return await raised
    finally:
        connection.close()
        proxy.close()


def attempt(connection: AIOKafkaConnection) -> str:
    """Send, as the metadata task does if the connection says that it is connected."""
    if not connection.connected():
        return "it is not connected"
    try:
        sent = connection.send(MetadataRequest([]))
    except Exception as error:  # noqa: BLE001 - which one is the question
        return repr(error)
    sent.close()
    return "nothing"


async def metadata_after_it(host: str, port: int) -> str:
    """Return what becomes of a client whose metadata task has met such an error."""
    client = AIOKafkaClient(bootstrap_servers=f"{host}:{port}")
    await client.bootstrap()

    async def fail(*_: object) -> None:
        raise RuntimeError("unable to perform operation; the handler is closed")

    find, client._metadata_update = client._metadata_update, fail
    client.force_metadata_update()
    await asyncio.wait({client._sync_task})
    client._metadata_update = find  # the broker is back
    try:
        async with asyncio.timeout(1):
            await client.force_metadata_update()
    except TimeoutError:
        return "no metadata any more"
    finally:
        client._sync_task = None
        await client.close()
    return "metadata"


async def main(host: str, port: int) -> None:
    """Print what happens."""
    loop = type(asyncio.get_running_loop()).__module__
    print(f"{loop}: a write after a reset raises", await write_after_reset(host, port))
    print(f"{loop}: after such an error there is", await metadata_after_it(host, port))


if __name__ == "__main__":
    server, _, number = sys.argv[1].rpartition(":")
    asyncio.run(main(server, int(number)))
    uvloop.run(main(server, int(number)))
