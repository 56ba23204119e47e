"""Key sets behind several addresses, some of them dead, and behind a proxy."""

import asyncio
import contextlib
import socket
import ssl

import pytest

from revocation.jwt import fetch
from revocation.jwt.jwks import KeyRing
from tests.certificates import Authority
from tests.unit.jwks_server import JwksServer, answer
from tests.unit.test_jwks_fetch import read, resolve_to
from tests.unit.tokens import ISSUER, issuer, jwk, key_set

SET = key_set(jwk("ES256"))


@contextlib.asynccontextmanager
async def listening(host, serve, port=0, **options):
    """A server at an address; yields its port."""
    tasks = set()

    async def keep(reader, writer):
        task = asyncio.current_task()
        tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await serve(reader, writer)
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(keep, host, port, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


@contextlib.contextmanager
def dead(host, port):
    """A listener that accepts nobody any more: who connects waits."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex((host, port))
        yield


async def silent(reader, writer):
    await asyncio.get_running_loop().create_future()


async def failing(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(answer(b"", "503 Service Unavailable"))
    await writer.drain()


async def test_a_dead_address_does_not_block_a_good_one(monkeypatch):
    async with JwksServer(SET) as good:
        hosts = [f"127.0.0.{number}" for number in range(2, 9)]
        with contextlib.ExitStack() as stack:
            for host in hosts:
                stack.enter_context(dead(host, good.port))
            resolve_to(monkeypatch, *hosts, "127.0.0.1")
            url = f"http://keys.internal:{good.port}/"
            assert await read(url, timeout_seconds=10) == SET


@pytest.mark.parametrize("serve", [silent, failing])
async def test_an_address_that_says_nothing_of_use_hides_no_good_one(
    monkeypatch, serve
):
    async with JwksServer(SET) as good, listening("127.0.0.2", serve, good.port):
        resolve_to(monkeypatch, "127.0.0.2", "127.0.0.1")
        assert await read(f"http://keys.internal:{good.port}/") == SET


async def test_any_number_of_addresses_is_tried_in_time(monkeypatch):
    """By half of the time, as far as pauses say."""
    asked, pauses, wait = [], [], asyncio.wait

    async def ask(_, request, __):
        asked.append(request.url.host)
        await asyncio.get_running_loop().create_future()

    async def hurry(tasks, **options):
        pauses.append(options["timeout"] or 0)
        return await wait(tasks, **{**options, "timeout": 0.001})

    monkeypatch.setattr(fetch, "_ask", ask)
    monkeypatch.setattr(asyncio, "wait", hurry)
    many = [f"127.0.1.{number}" for number in range(100)]
    resolve_to(monkeypatch, *many)
    assert "longer" in await read("http://keys.internal/", timeout_seconds=1)
    assert asked == many
    assert sum(pauses[:100]) <= 0.5


async def test_when_all_fail_it_says_why(monkeypatch):
    async with listening("127.0.0.2", failing) as port:
        resolve_to(monkeypatch, "127.0.0.3", "127.0.0.2")
        said = await read(f"http://keys.internal:{port}/")
    assert "503" in said


async def test_who_answers_first_is_enough(monkeypatch):
    async with JwksServer(SET) as good:
        resolve_to(monkeypatch, "127.0.0.1", "127.0.0.2")
        assert await read(f"http://keys.internal:{good.port}/") == SET
        assert len(good.requests) == 1


@pytest.mark.parametrize("said", ["identity", "Identity", "IDENTITY", " identity "])
async def test_content_codings_know_no_case(said):
    async with JwksServer() as server:
        server.answer = answer(SET, content_encoding=said)
        assert await read(server.url) == SET


@pytest.mark.parametrize("said", ["gzip", "Identity, gzip", "x-identity", "br"])
async def test_another_coding_is_refused(said):
    async with JwksServer() as server:
        server.answer = answer(SET, content_encoding=said)
        assert "compressed" in await read(server.url)


# Through a proxy ----------------------------------------------------------------------


class Proxy:
    """Tunnels as asked (RFC 9110 section 9.3.6), each name to a port of this machine.

    `asked` holds the heads of requests; `status` is answered to them.
    """

    def __init__(self, port, **options):
        self._port = port
        self._options = options
        self.asked = []
        self.status = b"200 OK"

    async def __aenter__(self):
        self._stack = contextlib.AsyncExitStack()
        self.port = await self._stack.enter_async_context(
            listening("127.0.0.1", self._serve, **self._options)
        )
        return self

    async def __aexit__(self, *_):
        await self._stack.aclose()

    async def _serve(self, reader, writer):
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 " + self.status + b"\r\n\r\n")
        if not self.status.startswith(b"200"):
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._copy(reader, back))
            both.create_task(self._copy(there, writer))

    async def _copy(self, reader, writer):
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65_536):
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()


@pytest.fixture
def authority(tmp_path, monkeypatch):
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


def serving(authority, host):
    certificate = authority.issue(host.replace(".", "-"), host=host)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.file, certificate.key_file)
    return context


@contextlib.asynccontextmanager
async def behind(authority, *, secure=False):
    """A key set of `idp.example`, which only the proxy can reach; yields its URL."""
    tls = serving(authority, "idp.example")
    async with JwksServer(SET, tls=tls) as server:
        options = {"ssl": serving(authority, "127.0.0.1")} if secure else {}
        async with Proxy(server.port, **options) as proxy:
            scheme = "https" if secure else "http"
            yield server, proxy, f"{scheme}://127.0.0.1:{proxy.port}"


URL = "https://idp.example/jwks.json"


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_a_key_set_is_read_through_a_proxy(authority, monkeypatch, secure):
    async with behind(authority, secure=secure) as (server, proxy, through):
        asked = resolve_to(monkeypatch)
        trusted = issuer(jwks_url=URL, jwks_proxy=through)
        async with KeyRing({ISSUER: trusted}) as keys:
            assert keys.known() == ((ISSUER, "key-1"),)
        (tunnel,) = proxy.asked
        assert tunnel.startswith(b"CONNECT idp.example:443 HTTP/1.1\r\n")
        (request,) = server.requests
        assert b"host: idp.example\r\n" in request.lower()
        assert not asked, "its name is the proxy's to resolve"


async def test_behind_a_proxy_the_certificate_is_the_issuers(authority):
    async with behind(authority) as (server, proxy, through):
        url = URL.replace("idp", "other")
        found = await read(url, private=False, proxy=through)
        assert "cannot be read" in found
        assert len(proxy.asked) == 1
        assert not server.requests


@pytest.mark.parametrize("status", [b"403 Forbidden", b"407 No", b"502 Bad Gateway"])
async def test_a_proxy_that_refuses_is_no_error(authority, status):
    async with behind(authority) as (_, proxy, through):
        proxy.status = status
        assert "cannot be read" in await read(URL, private=False, proxy=through)


async def test_a_proxy_that_says_nothing_is_left(authority):
    async with listening("127.0.0.1", silent) as port:
        through = f"http://127.0.0.1:{port}"
        found = await read(URL, private=False, proxy=through, timeout_seconds=0.1)
        assert "longer" in found
