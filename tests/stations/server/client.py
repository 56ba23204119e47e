"""A client that speaks HTTP/1.1 by hand."""

import asyncio
import contextlib

from revocation.http.http_server import Response

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"


def echo(request):
    """Answer with the body, or with the peer's name."""
    return Response(200, (), request.body or request.peer.encode())


class Client:
    """One connection."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    def send(self, data):
        self.writer.write(data)

    async def read(self):
        """Read one answer: its head and its body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return head, await self.reader.readexactly(length)

    async def ask(self, data=GET):
        self.send(data)
        return await self.read()

    async def closed(self):
        """Wait until the server closed; nothing more may have been sent."""
        assert await self.reader.read() == b""
        self.writer.close()


@contextlib.asynccontextmanager
async def connected(server, *, tls=None, of=0):
    address = server.addresses[of]
    if address.startswith("unix:"):
        streams = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        streams = await asyncio.open_connection(host, int(port), ssl=tls)
    client = Client(*streams)
    try:
        yield client
    finally:
        client.writer.close()
        with contextlib.suppress(OSError):
            await client.writer.wait_closed()
