"""The unix socket of gRPC: who may connect, from its first moment to its last."""

import os
import socket
import stat
from contextlib import closing

import grpc.aio
import pytest
from envoy.service.auth.v3.external_auth_pb2_grpc import AuthorizationStub

from revocation.errors import SettingsError
from tests.stations.test_ext_authz import deciding, kind, question
from tests.stations.verifications import StubVerifier


@pytest.fixture
def _permissive():
    """Set the most permissive umask."""
    before = os.umask(0)
    yield
    os.umask(before)


def sockets(folder):
    """Return all sockets below a folder, and whether others could connect to each."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_socket():
            above = path.parents[: len(path.relative_to(folder).parts) - 1]
            enters = all(each.stat().st_mode & stat.S_IXOTH for each in above)
            found[path.name] = enters and bool(path.stat().st_mode & stat.S_IWOTH)
    return found


@pytest.mark.usefixtures("_permissive")
async def test_no_one_connects_before_the_mode_is_set(tmp_path, monkeypatch):
    """Since gRPC listens as soon as it binds, the mode comes a moment later."""
    seen, make = [], grpc.aio.server

    def watched(**options):
        server = make(**options)
        bind = server.add_insecure_port

        def bind_and_look(address):
            port = bind(address)
            seen.append(sockets(tmp_path))
            return port

        server.add_insecure_port = bind_and_look
        return server

    # Without the protection a fast client gets in.
    watched().add_insecure_port(f"unix:{tmp_path}/open.sock")
    assert seen.pop() == {"open.sock": True}

    monkeypatch.setattr(grpc.aio, "server", watched)
    service = deciding(StubVerifier())
    await service.start(f"unix:{tmp_path}/grpc.sock", mode=0o600)
    (found,) = seen
    assert len(found) == 2
    assert not any(able for name, able in found.items() if name != "open.sock")
    assert (tmp_path / "grpc.sock").stat().st_mode & 0o777 == 0o600
    await service.stop(grace_seconds=0)


@pytest.mark.parametrize("name", ["grpc.sock", "with space", "50%41", "ü"])
async def test_the_socket_has_its_name_and_is_removed_at_the_end(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    service = deciding(StubVerifier())
    await service.start(f"unix:{folder / name}")
    assert [each.name for each in folder.iterdir()] == [name]
    (tmp_path / "plain").symlink_to(folder / name)
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/plain") as channel:
        asked = question({"authorization": "Bearer a.b.c"})
        assert kind(await AuthorizationStub(channel).Check(asked)) == "ok_response"
    await service.stop(grace_seconds=0)
    assert [*folder.iterdir()] == []


async def test_a_file_that_is_no_socket_is_not_replaced(tmp_path):
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "folder").mkdir()
    for name in ("notes", "folder"):
        with pytest.raises(SettingsError, match="not a socket"):
            await deciding(StubVerifier()).start(f"unix:{tmp_path / name}")
    assert (tmp_path / "notes").read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "notes"]


async def test_a_socket_that_another_process_put_there_stays(tmp_path):
    service = deciding(StubVerifier())
    await service.start(f"unix:{tmp_path}/grpc.sock")
    (tmp_path / "grpc.sock").unlink()
    with closing(socket.socket(socket.AF_UNIX)) as other:
        other.bind(str(tmp_path / "grpc.sock"))
        await service.stop(grace_seconds=0)
        assert (tmp_path / "grpc.sock").is_socket()


async def test_a_path_that_is_too_long_is_reported(tmp_path):
    """Also if only its temporary name would be."""
    most = 107 - len(str(tmp_path)) - 2
    for name in ("x" * 200, f"{'y' * 90}/grpc.sock", f"{'z' * (most - 2)}/s"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        with pytest.raises(SettingsError, match="path"):
            await deciding(StubVerifier()).start(f"unix:{path}")
        assert [*path.parent.iterdir()] == [] or path.parent == tmp_path
