"""What a client may take of the sidecar's server: time, memory, connections."""

import asyncio
import contextlib
import socket

import pytest

from revocation.http.http_server import Response, Server, ServerLimits, Tcp
from tests.installation import eventually
from tests.stations.server.client import GET, POST, connected, echo

CLOSING = b"connection: close"


def tcp(handler=echo, **limits):
    return Server(handler, [Tcp()], limits=ServerLimits(**limits))


async def test_a_connection_without_requests_is_closed():
    async with tcp(idle_seconds=0.04) as server, connected(server) as client:
        await client.ask()
        await client.closed()


@pytest.mark.parametrize("request_", [b"G", GET[:-1], POST[:-1]])
async def test_a_request_that_never_arrives_times_out(request_):
    limits = {"header_seconds": 0.04, "body_seconds": 0.04}
    async with tcp(**limits) as server, connected(server) as client:
        head, _ = await client.ask(request_)
        assert b" 408 " in head
        assert CLOSING in head
        await client.closed()
        assert server.refused == {408: 1}


async def test_where_the_head_suffices_the_body_is_not_awaited():
    """A late body is read and dropped, so that the answer arrives; then it closes."""
    server = Server(echo, [Tcp()], head_suffices=lambda path: path == "/auth")
    async with server, connected(server) as client:
        announced = GET.replace(b"host", b"content-length: 50\r\nhost")
        head, _ = await client.ask(announced.replace(b"/ ", b"/auth "))
        assert b" 200 " in head
        assert CLOSING in head
        client.send(GET)
        await client.closed()
        assert not server.refused


async def test_a_slow_request_gets_no_more_time():
    """Slowloris."""
    async with tcp(header_seconds=0.1) as server, connected(server) as client:

        async def trickle():
            client.send(b"GET / HTTP/1.1\r\n")
            while True:
                client.send(b"x: y\r\n")
                await asyncio.sleep(0.01)

        trickling = asyncio.create_task(trickle())
        head, _ = await client.read()
        trickling.cancel()
        assert b" 408 " in head


async def test_a_handler_that_takes_too_long_is_cancelled():
    cancelled = asyncio.Event()

    async def handler(_):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            # Its answer now comes too late.
            return Response(200, (), b"")

    late = tcp(handler, handler_seconds=0.04)
    async with late as server, connected(server) as client:
        head, _ = await client.ask()
        assert b" 503 " in head
        await cancelled.wait()
        await client.closed()


def slow_reader(server):
    """A socket that has requested much and reads little."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    host, _, port = server.addresses[0].rpartition(":")
    made.connect((host, int(port)))
    made.settimeout(0)
    return made


def large(_):
    return Response(200, (), b"a" * 1_000_000)


async def test_a_client_that_reads_nothing_is_disconnected():
    served = 0

    def handler(request):
        nonlocal served
        served += 1
        return large(request)

    async with tcp(handler, write_seconds=0.1) as server:
        with slow_reader(server) as client:
            client.send(GET * 1_000)
            await eventually(lambda: server.connections == 1, pause=0.001)
            await eventually(lambda: server.connections == 0, pause=0.01)
            assert 0 < served < 100


async def test_a_client_that_reads_slowly_gets_everything():
    async with tcp(large) as server:
        with slow_reader(server) as client:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, GET * 9 + GET[:-2] + CLOSING + b"\r\n\r\n")
            read = 0
            while data := await loop.sock_recv(client, 65_536):
                read += data.count(b"a")
            assert read >= 10_000_000


async def test_a_refused_client_gets_its_answer_rather_than_a_reset():
    """RFC 9112 section 9.6: the client may still be sending."""
    async with tcp(body_bytes=1_000) as server, connected(server) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n")
        client.send(b"a" * 9_000_000)
        head, _ = await client.read()
        assert b" 413 " in head
        await client.closed()


async def test_too_many_connections_are_refused():
    async with tcp(connections=2) as server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(server)) for _ in range(3)]
        heads = [(await client.ask())[0] for client in clients[:2]]
        assert all(b" 200 " in head for head in heads)
        head, _ = await clients[2].read()
        assert b" 503 " in head
        await clients[2].closed()
        clients[0].writer.close()
        await eventually(lambda: server.connections == 1, pause=0.001)
        async with connected(server) as client:
            assert b" 200 " in (await client.ask())[0]
