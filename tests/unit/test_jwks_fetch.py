"""Where a key set's URL may lead, and which responses are accepted."""

import asyncio
import contextlib
import datetime as dt
import gzip
import ipaddress
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from revocation.errors import SettingsError
from revocation.jwt.fetch import is_public, read_file, read_url
from revocation.jwt.jwks import KeyRing
from tests.unit.jwks_server import JwksServer, answer
from tests.unit.tokens import jwk, key_set

SET = key_set(jwk("ES256"))


@pytest.fixture
async def server():
    async with JwksServer(SET) as running:
        yield running


async def read(url, *, private=True, max_bytes=10_000, timeout_seconds=5.0, **options):
    limits = {"max_bytes": max_bytes, "timeout_seconds": timeout_seconds}
    return await read_url(url, private=private, **limits, **options)


def resolve_to(monkeypatch, *addresses):
    """Have every name mean these addresses; returns the names asked for."""
    asked = []

    async def getaddrinfo(self, host, port, **_):
        asked.append(host)
        return [(2, 1, 6, "", (each, port)) for each in addresses]

    loop = type(asyncio.get_running_loop())
    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    return asked


async def test_a_key_set_is_read(server):
    assert await read(server.url) == SET


async def test_a_request_carries_the_name_and_nothing_of_ours(server):
    await read(f"{server.url}?tenant=1")
    (request,) = server.requests
    lines = request.decode().lower().split("\r\n")
    assert lines[0] == "get /jwks.json?tenant=1 http/1.1"
    assert f"host: localhost:{server.port}" in lines
    assert not [each for each in lines if each.startswith(("cookie", "authorization"))]


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See", "307 T", "308 P"]
)
async def test_a_redirect_is_not_followed(server, status):
    async with JwksServer(SET) as other:
        server.answer = answer(b"", status, location=other.url)
        found = await read(server.url)
        assert "status" in found
        assert not other.requests


@pytest.mark.parametrize(
    "status", ["204 No", "400 Bad", "401 U", "404 N", "500 I", "206 P"]
)
async def test_only_a_plain_answer_counts(server, status):
    server.answer = answer(SET, status)
    assert "status" in await read(server.url)


async def test_a_large_answer_is_cut_off(server):
    server.publish(b" " * 10_001)
    assert "10000 bytes" in await read(server.url)
    server.publish(b" " * 10_000)
    assert len(await read(server.url)) == 10_000


async def test_an_answer_without_length_is_cut_off(server):
    head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
    server.answer = head + b" " * 5_000_000
    assert "10000 bytes" in await read(server.url)


async def test_a_compressed_answer_is_refused(server):
    bomb = gzip.compress(b" " * 5_000_000)
    server.answer = answer(bomb, content_encoding="gzip")
    assert "compressed" in await read(server.url)


async def test_a_server_that_does_not_answer_is_left(server):
    server.hold()
    assert "longer" in await read(server.url, timeout_seconds=0.05)


async def test_a_server_that_drips_is_left(server):
    server.drip = True
    assert "longer" in await read(server.url, timeout_seconds=0.2)


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n"])
async def test_a_response_that_is_not_http_is_refused(server, said):
    server.answer = said
    assert "cannot be read" in await read(server.url)


async def test_a_server_that_is_not_there_is_no_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found = await read(f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert "cannot be read" in found


async def test_a_name_that_does_not_resolve_is_no_error(monkeypatch):
    async def getaddrinfo(*_, **__):
        raise socket.gaierror

    loop = type(asyncio.get_running_loop())
    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    assert "its host has no known address" in await read("https://idp.example/")


async def test_a_private_address_is_refused_unless_allowed(server):
    https = server.url.replace("http:", "https:")
    assert "not public" in await read(https, private=False)
    assert not server.requests


@pytest.mark.parametrize("literal", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0"])
async def test_a_private_address_is_refused_however_it_is_written(server, literal):
    url = f"https://{literal}:{server.port}/"
    assert "not public" in await read(url, private=False)
    assert not server.requests


async def test_one_private_address_among_public_ones_refuses_all(monkeypatch, server):
    resolve_to(monkeypatch, "93.184.216.34", "127.0.0.1")
    url = f"https://idp.example:{server.port}/"
    assert "not public" in await read(url, private=False)
    assert not server.requests


async def test_a_name_is_resolved_once_so_it_cannot_change_its_meaning(
    monkeypatch, server
):
    asked = resolve_to(monkeypatch, "127.0.0.1")
    assert await read(f"http://keys.internal:{server.port}/") == SET
    assert asked == ["keys.internal"]


async def test_plain_http_to_a_public_address_is_refused(monkeypatch, server):
    resolve_to(monkeypatch, "93.184.216.34")
    assert "anybody" in await read(f"http://idp.example:{server.port}/")


async def test_the_next_address_is_tried_when_one_does_not_answer(monkeypatch, server):
    resolve_to(monkeypatch, "127.0.0.2", "127.0.0.1")
    assert await read(f"http://keys.internal:{server.port}/") == SET


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch, server):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await read(server.url) == SET


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
        *("0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "198.18.0.1"),
        *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2001:0::1"),
    ],
)
def test_an_address_of_ones_own_network_is_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"]
)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(ipaddress.ip_address(address))


async def test_a_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "set"
    assert "cannot be read" in await read_file(path, max_bytes=10)
    path.write_bytes(b"1234567890")
    assert await read_file(path, max_bytes=10) == b"1234567890"
    assert "more than 9" in await read_file(path, max_bytes=9)
    assert "cannot be read" in await read_file(tmp_path, max_bytes=9)


def certificate(folder, name):
    """Make a certificate that signs itself; returns its file and the key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@contextlib.asynccontextmanager
async def with_tls(folder, monkeypatch):
    certificate_file, key_file = certificate(folder, "keys.internal")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate_file, key_file)
    resolve_to(monkeypatch, "127.0.0.1")
    async with JwksServer(SET, tls=context) as running:
        yield running


async def test_a_certificate_is_checked_against_the_name_not_the_address(
    tmp_path, monkeypatch
):
    async with with_tls(tmp_path, monkeypatch) as server:
        assert await read(f"https://keys.internal:{server.port}/") == SET
        found = await read(f"https://other.internal:{server.port}/")
        assert "cannot be read" in found
        assert len(server.requests) == 1


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path, monkeypatch):
    async with with_tls(tmp_path, monkeypatch) as server:
        monkeypatch.delenv("SSL_CERT_FILE")
        found = await read(f"https://keys.internal:{server.port}/")
        assert "cannot be read: no connection" in found
        assert "certificate verify failed" in found
        assert not server.requests


async def test_certificates_are_read_again_only_if_they_change(tmp_path, monkeypatch):
    """To read them takes longer than a request: hundreds of issuers are asked."""
    made, create = [], ssl.create_default_context
    async with with_tls(tmp_path, monkeypatch) as server:
        monkeypatch.setattr(
            ssl, "create_default_context", lambda: made.append(1) or create()
        )
        url = f"https://keys.internal:{server.port}/"
        found = await asyncio.gather(*(read(url) for _ in range(8)))
        assert found == [SET] * 8
        assert len(made) == 1
        certificate(tmp_path, "keys.internal")
        assert "cannot be read" in await read(url)
        assert len(made) == 2


def test_the_extra_is_named_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "revocation.jwt.fetch", raising=False)
    monkeypatch.delattr("revocation.jwt.fetch", raising=False)
    with pytest.raises(SettingsError, match=r"revocation\[jwt\]"):
        KeyRing({})


def test_the_modules_are_imported_without_the_extra():
    code = (
        "import sys; sys.modules.update(joserfc=None, httpx=None);"
        "import revocation.jwt.jwks, revocation.jwt.authenticator, revocation.jwt.trust"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2]
    )
