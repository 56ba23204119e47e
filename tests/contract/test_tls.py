"""Stores over TLS: trusted servers, and accepted clients.

Debian's Redis speaks TLS; the Valkey of the wheel was built without.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from revocation.entries import Kind
from revocation.errors import SettingsError, StoreUnavailableError, StoreUnsuitableError
from revocation.local.process import free_ports
from revocation.store.layout import Layout
from revocation.store.redis_feed import RedisFeed
from revocation.tls import Tls
from tests.certificates import Authority, Certificate
from tests.contract.conftest import PEPPER, OpenStore
from tests.contract.samples import denied, found, put, target
from tests.optional import need
from tests.servers import start_redis

pytestmark = pytest.mark.connected

StartTls = Callable[..., str]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def start_tls(tmp_path: Path, authority: Authority) -> Iterator[StartTls]:
    """Start servers with a certificate; each start returns the URL."""
    need("redis-server")
    with ExitStack() as stack:

        def start(certificate: Certificate, *, clients: str = "no") -> str:
            (port,) = free_ports(1)
            server = start_redis(
                tmp_path / "server",
                tls_port=str(port),
                tls_cert_file=str(certificate.file),
                tls_key_file=str(certificate.key_file),
                tls_ca_cert_file=str(authority.file),
                tls_auth_clients=clients,
            )
            stack.enter_context(server)
            return f"rediss://127.0.0.1:{port}/0"

        yield start


async def test_a_private_ca_is_trusted_by_its_file(
    start_tls: StartTls, authority: Authority, open_store: OpenStore
) -> None:
    url = start_tls(authority.issue("server"))
    layout = Layout("r", (PEPPER,))
    tls = Tls(ca_file=authority.file)
    store = open_store(url, layout, tls=tls)
    await store.check_suitable()
    await put(store, denied())

    assert await found(store, target(Kind.TOKEN))
    feed = RedisFeed(url, layout, tls=tls)
    assert (await feed.head()).epoch == "epoch"
    await feed.stop()


async def test_with_a_ca_file_the_systems_cas_are_not_trusted(
    start_tls: StartTls,
    authority: Authority,
    open_store: OpenStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A holder of a certificate from one of those need not be our store."""
    url = start_tls(authority.issue("server"))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    await open_store(url).start()

    with pytest.raises(StoreUnavailableError, match="check the certificates"):
        await open_store(
            url, tls=Tls(ca_file=Authority(tmp_path, "other").file)
        ).start()


async def test_tls_options_may_be_in_the_url(
    start_tls: StartTls, authority: Authority, open_store: OpenStore
) -> None:
    url = start_tls(authority.issue("server"))

    await open_store(f"{url}?ssl_ca_certs={authority.file}").start()


async def test_a_client_presents_its_certificate(
    start_tls: StartTls, authority: Authority, open_store: OpenStore
) -> None:
    url = start_tls(authority.issue("server"), clients="yes")
    own = authority.issue("client")
    tls = Tls(ca_file=authority.file, cert_file=own.file, key_file=own.key_file)

    await open_store(url, tls=tls).start()

    with pytest.raises(StoreUnavailableError):
        await open_store(url, tls=Tls(ca_file=authority.file)).start()


async def test_a_client_certificate_of_another_ca_is_refused(
    start_tls: StartTls, authority: Authority, open_store: OpenStore, tmp_path: Path
) -> None:
    url = start_tls(authority.issue("server"), clients="yes")
    own = Authority(tmp_path, "other").issue("client")
    tls = Tls(ca_file=authority.file, cert_file=own.file, key_file=own.key_file)

    with pytest.raises(StoreUnavailableError):
        await open_store(url, tls=tls).start()


REFUSED = {
    "signed by somebody else": ({}, "other", "unable to get local issuer"),
    "expired": ({"left": timedelta(-1)}, "authority", "certificate has expired"),
    "of another host": ({"host": "elsewhere.example"}, "authority", "IP address mism"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_server_with_a_bad_certificate_is_refused(
    start_tls: StartTls,
    authority: Authority,
    open_store: OpenStore,
    tmp_path: Path,
    case: str,
) -> None:
    options, signer, complaint = REFUSED[case]
    signers = {"authority": authority, "other": Authority(tmp_path, "other")}
    url = start_tls(signers[signer].issue("server", **options))
    store = open_store(url, tls=Tls(ca_file=authority.file))

    with pytest.raises(StoreUnavailableError, match=complaint) as caught:
        await store.start()
    assert "check the certificates" in str(caught.value)
    with pytest.raises(StoreUnsuitableError, match=complaint):
        await store.check_suitable()


async def test_without_a_ca_file_the_systems_cas_are_trusted(
    start_tls: StartTls, authority: Authority, open_store: OpenStore
) -> None:
    with pytest.raises(StoreUnavailableError, match="check the certificates"):
        await open_store(start_tls(authority.issue("server"))).start()


def test_certificates_that_cannot_be_used_are_refused(
    authority: Authority, open_store: OpenStore, tmp_path: Path
) -> None:
    url, own = "rediss://host:1", authority.issue("client")
    other = authority.issue("other")
    for tls, complaint in (
        (Tls(ca_file=tmp_path / "missing.pem"), r"missing\.pem"),
        (Tls(ca_file=own.key_file), "PEM"),
        (Tls(cert_file=own.file), "both store_cert_file and store_key_file"),
        (Tls(cert_file=own.file, key_file=other.key_file), "KEY_VALUES_MISMATCH"),
    ):
        with pytest.raises(SettingsError, match=complaint):
            open_store(url, tls=tls)


@pytest.mark.parametrize("url", ["redis://host:1", "rediss://h?ssl_cert_reqs=none"])
def test_certificates_do_not_go_with(
    authority: Authority, open_store: OpenStore, url: str
) -> None:
    with pytest.raises(SettingsError, match="begin it with `rediss`"):
        open_store(url, tls=Tls(ca_file=authority.file))
