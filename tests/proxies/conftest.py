"""One sidecar, one service and one of each proxy, for all tests here."""

import asyncio
import contextlib

import pytest

from examples.behind_proxies.proxies import KINDS, Proxy, program_of
from revocation.errors import PrerequisiteError
from revocation.local.process import free_ports
from tests.certificates import Authority
from tests.installation import eventually
from tests.proxies.careless import PASS, Careless
from tests.proxies.client import Client
from tests.proxies.region import Region
from tests.proxies.service import Service
from tests.proxies.sidecar import Sidecar
from tests.servers import Server


@pytest.fixture(scope="session")
def region(tmp_path_factory):
    folder = tmp_path_factory.mktemp("region")
    with Server(folder / "store") as store:
        region = Region(folder, store)
        asyncio.run(region.fill())
        yield region


@pytest.fixture(scope="session")
def sidecar(region, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sidecar")
    sidecar = Sidecar(region, folder, free_ports(1)[0])
    sidecar.start()
    try:
        asyncio.run(eventually(lambda: sidecar.ready))
        yield sidecar
    finally:
        sidecar.stop()


@pytest.fixture(scope="session")
def started_service():
    with Service() as service:
        yield service


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def values(authority, sidecar, started_service):
    """The values of `proxy.env`, without those that each proxy has of its own."""
    certificate = authority.issue("proxy")
    return {
        "PROXY_LISTEN_ADDRESS": "127.0.0.1",
        "PROXY_CERTIFICATE": str(certificate.file),
        "PROXY_CERTIFICATE_KEY": str(certificate.key_file),
        "PROXY_SERVICE_HOST": "127.0.0.1",
        "PROXY_SERVICE_PORT": str(started_service.port),
        "PROXY_SIDECAR_SOCKET": str(sidecar.socket),
        "PROXY_SIDECAR_GRPC_SOCKET": str(sidecar.grpc_socket),
        "PROXY_SIDECAR_HOST": "127.0.0.1",
        "PROXY_SIDECAR_PORT": str(sidecar.port),
    }


@pytest.fixture(scope="session")
def proxies(values, authority, tmp_path_factory):
    """Start each proxy on first use; all end with the session."""
    running = {}
    with contextlib.ExitStack() as stack:

        def get(name, **others):
            try:
                program_of(KINDS[name])
            except PrerequisiteError as error:
                pytest.skip(str(error))
            key = (name, *others.values())
            if key not in running:
                folder = tmp_path_factory.mktemp(name)
                port = {"PROXY_LISTEN_PORT": str(free_ports(1)[0])}
                proxy = Proxy(
                    name,
                    folder,
                    {**values, **others, **port},
                    authority=authority.file,
                    log=folder / "proxy.log",
                )
                running[key] = stack.enter_context(proxy)
            return running[key]

        yield get


@pytest.fixture(params=sorted(KINDS))
def proxy(request, proxies):
    return proxies(request.param)


@pytest.fixture
def client(proxy):
    return Client(proxy.port, str(proxy.authority))


@pytest.fixture(params=["http/1.1", "h2"])
def ask(request, client):
    """Send requests over each protocol: `ask(target, headers, method)`."""
    return client.get if request.param == "http/1.1" else client.h2


@pytest.fixture
def service(started_service, client):
    """The service, with an empty record."""
    started_service.take()
    return started_service


@pytest.fixture
def alice(region):
    """The header field of an active token."""
    return region.bearer()


@pytest.fixture(scope="session")
def careless(tmp_path_factory):
    """A double of the sidecar: it gives a set answer, or passes every request."""
    with Careless(tmp_path_factory.mktemp("careless")) as careless:
        yield careless


@pytest.fixture(params=sorted(KINDS))
def careless_client(request, careless, proxies):
    """A client of a proxy that uses the careless sidecar."""
    proxy = proxies(
        request.param,
        PROXY_SIDECAR_SOCKET=str(careless.socket),
        PROXY_SIDECAR_GRPC_SOCKET=str(careless.grpc_socket),
        PROXY_SIDECAR_PORT=str(careless.port),
    )
    yield Client(proxy.port, str(proxy.authority))
    careless.reply = PASS
