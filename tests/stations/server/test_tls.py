"""TLS of the sidecar's server, and certificates that change while it runs."""

import asyncio
import ssl

import pytest

from revocation.errors import SettingsError
from revocation.http.http_server import Server, ServerTls, Tcp, Unix
from tests.certificates import Authority
from tests.installation import eventually
from tests.stations.server.client import POST, connected, echo


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def trusting(authority):
    return ssl.create_default_context(cafile=authority.file)


def serial(client):
    return client.writer.get_extra_info("peercert")["serialNumber"]


def renew(authority, certificate):
    """Replace a certificate in place."""
    other = authority.issue("other")
    other.key_file.replace(certificate.key_file)
    other.file.replace(certificate.file)


@pytest.mark.uvloop
async def test_certificates_are_reloaded_without_dropping_clients(authority):
    """A plain asyncio server may lose connections that it has just accepted."""
    made = authority.issue("server")
    tls = ServerTls(cert_file=made.file, key_file=made.key_file)
    watching = Server(echo, [Tcp(tls=tls)], certificates_seconds=0.01)
    async with watching as server, connected(server, tls=trusting(authority)) as old:
        await old.ask()
        renew(authority, made)

        async def renewed():
            async with connected(server, tls=trusting(authority)) as new:
                await new.ask()
                return serial(new) != serial(old)

        await eventually(renewed, pause=0.01)
        assert (await old.ask(POST))[1] == b"hello"
        chosen = old.writer.get_extra_info("ssl_object").version()
        assert chosen in ("TLSv1.2", "TLSv1.3")


async def test_a_certificate_that_does_not_fit_its_key_changes_nothing(authority):
    made, other = authority.issue("server"), authority.issue("other")
    tls = ServerTls(cert_file=made.file, key_file=made.key_file)
    async with Server(echo, [Tcp(tls=tls)]) as server:
        other.file.replace(made.file)
        with pytest.raises(SettingsError, match=r"server\.key"):
            await server.reload_certificates()
        async with connected(server, tls=trusting(authority)) as client:
            assert (await client.ask(POST))[1] == b"hello"


async def test_certificates_that_cannot_be_used_prevent_the_start(authority, tmp_path):
    missing = ServerTls(cert_file=tmp_path / "none", key_file=tmp_path / "none")
    server = Server(echo, [Unix(path=tmp_path / "socket"), Tcp(tls=missing)])
    with pytest.raises(SettingsError, match="none"):
        await server.start()
    assert not (tmp_path / "socket").exists()


async def test_a_client_certificate_can_be_required(authority):
    made, ours = authority.issue("server"), authority.issue("client")
    tls = ServerTls(
        cert_file=made.file, key_file=made.key_file, client_ca_file=authority.file
    )
    async with Server(echo, [Tcp(tls=tls)]) as server:
        known = trusting(authority)
        known.load_cert_chain(ours.file, ours.key_file)
        async with connected(server, tls=known) as client:
            assert (await client.ask(POST))[1] == b"hello"
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            async with connected(server, tls=trusting(authority)) as client:
                await client.ask()
