"""Where the sidecar's server listens, and how it stops."""

import asyncio
import socket
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from revocation.errors import SettingsError
from revocation.http.http_server import Response, Server, Tcp, Unix
from tests.installation import eventually
from tests.stations.server.client import GET, POST, connected, echo

CLOSING = b"connection: close"


def tcp(handler=echo):
    return Server(handler, [Tcp()])


# Listening ----------------------------------------------------------------------------


async def test_several_sockets_are_served_at_once(tmp_path):
    path = tmp_path / "socket"
    listeners = [Tcp(), Unix(path=path), Tcp(host="localhost")]
    async with Server(echo, listeners) as server:
        assert server.addresses[0].startswith("127.0.0.1:")
        assert server.addresses[1] == f"unix:{path}"
        for number in range(3):
            async with connected(server, of=number) as client:
                peer = (await client.ask())[1].decode()
                port = client.writer.get_extra_info("sockname")
                assert peer == ("unix" if number == 1 else f"{port[0]}:{port[1]}")
                assert (await client.ask(POST))[1] == b"hello"
                assert server.connections == 1
            await eventually(lambda: server.connections == 0, pause=0.001)


async def test_a_port_in_use_is_reported():
    async with tcp() as server:
        port = int(server.addresses[0].rpartition(":")[2])
        other = Server(echo, [Tcp(), Tcp(port=port)])
        with pytest.raises(SettingsError, match=rf"cannot listen on .*:{port}"):
            await other.start()
        assert other.addresses == []
        await other.stop()


async def test_a_unix_socket_has_the_configured_mode(tmp_path):
    path = tmp_path / "socket"
    async with Server(echo, [Unix(path=path, mode=0o600)]):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [path]
    assert not path.exists()


async def test_a_socket_of_a_killed_process_is_replaced(tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with Server(echo, [Unix(path=path)]) as server, connected(server) as client:
        assert (await client.ask())[1] == b"unix"


async def test_a_socket_that_another_serves_is_not_replaced(tmp_path):
    path = tmp_path / "socket"
    async with Server(echo, [Unix(path=path)]) as server:
        with pytest.raises(SettingsError, match="another process serves"):
            await Server(echo, [Unix(path=path)]).start()
        async with connected(server) as client:
            await client.ask()


async def test_a_socket_that_replaced_ours_is_not_removed(tmp_path):
    path = tmp_path / "socket"
    async with Server(echo, [Unix(path=path)]):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


@pytest.mark.parametrize(
    ("name", "message"),
    [("file", "not a socket"), ("missing/socket", "folder"), ("a" * 120, "shorter")],
)
async def test_a_path_that_cannot_be_a_socket_is_reported(
    tmp_path, monkeypatch, name, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=message):
        await Server(echo, [Unix(path=Path(name))]).start()


# The end ------------------------------------------------------------------------------


async def test_requests_under_way_are_answered_before_the_end():
    answer = asyncio.get_running_loop().create_future()
    asked = asyncio.Event()

    def handler(request):
        if not request.body:
            return echo(request)
        asked.set()
        return answer

    server = tcp(handler)
    await server.start()
    async with connected(server) as waiting, connected(server) as idle:
        await idle.ask()
        waiting.send(POST)
        await asked.wait()
        stopping = asyncio.create_task(server.stop(idle_seconds=0.02))
        await idle.closed()
        assert not stopping.done()
        answer.set_result(Response(200, (), b"late"))
        head, body = await waiting.read()
        assert CLOSING in head
        assert body == b"late"
        await waiting.closed()
        await stopping
    await server.stop()


async def test_requests_in_transit_at_the_end_are_answered():
    server = tcp()
    await server.start()
    async with connected(server) as client:
        await client.ask()
        address = server.addresses[0]
        stopping = asyncio.create_task(server.stop(idle_seconds=5))
        await asyncio.sleep(0)
        head, _ = await client.ask()
        assert CLOSING in head
        await client.closed()
        await stopping
    host, _, port = address.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))


async def test_no_client_can_delay_the_end():
    def handler(_):
        return asyncio.get_running_loop().create_future()

    server = tcp(handler)
    await server.start()
    async with connected(server) as client:
        client.send(GET)
        await eventually(lambda: server.connections == 1, pause=0.001)
        with capture_logs() as logs:
            await server.stop(grace_seconds=0.05)
        assert server.connections == 0
        assert logs == [
            {"event": "connections cut off", "connections": 1, "log_level": "warning"}
        ]


async def test_stopping_closes_everything():
    """Sockets and timers; warnings are errors."""

    async def once():
        async with tcp() as server, connected(server) as client:
            await client.ask()

    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    # The event loop opens what it needs for itself.
    await once()
    before = descriptors()
    for _ in range(3):
        await once()
    await eventually(lambda: descriptors() <= before, pause=0.01)
