"""No request passes without a verdict; all pass again as soon as there is one."""

import asyncio

import pytest

from tests.installation import eventually

pytestmark = pytest.mark.connected

DOWN = {"traefik": 500}
"""The client's status when no sidecar answers: 503, except for Traefik, which cannot
send it."""


@pytest.fixture
def restored(sidecar):
    """The sidecar, which is restored after the test."""
    yield sidecar
    sidecar.stop()
    sidecar.start()
    asyncio.run(eventually(lambda: sidecar.ready))


@pytest.fixture
def go(ask, alice):
    """Request what Alice may see."""
    return lambda target="/datasets/7": ask(target, alice)


@pytest.fixture
def silent_store(region):
    """Have the region's store accept and answer nothing."""
    region.store.pause()
    yield
    region.store.resume()


@pytest.mark.parametrize("target", ["/datasets/7", "/health"])
def test_without_a_sidecar_no_request_passes(target, proxy, go, service, restored):
    """Not even on a public path: that is the sidecar's decision, too."""
    assert go(target).status == 200
    service.take()
    restored.kill()
    response = go(target)
    assert response.status == DOWN.get(proxy.name, 503)
    assert response.one("www-authenticate") is None
    if response.status == 503:
        assert response.one("retry-after") == "2"
        assert response.one("cache-control") == "no-store"
    assert service.take() == []


def test_a_websocket_does_not_open_without_a_sidecar(
    proxy, client, service, region, restored
):
    restored.kill()
    with client.websocket("/live", region.bearer(scope="admin live")) as (response, _):
        assert response.status == DOWN.get(proxy.name, 503)
    assert service.take() == []


def test_it_passes_again_once_the_sidecar_is_back(proxy, go, restored):
    """At once: no proxy keeps the sidecar excluded."""
    restored.kill()
    for _ in range(5):
        assert go().status == DOWN.get(proxy.name, 503)
    restored.start()
    asyncio.run(eventually(lambda: restored.ready))
    assert go().status == 200


def test_a_slow_sidecar_admits_no_one(proxy, client, service, alice, restored):
    """Frozen, it accepts and never answers; the client gets an error within 2 s."""
    assert client.get("/datasets/7", alice).status == 200
    service.take()
    restored.pause()
    if proxy.name == "traefik":
        # It waits 30 s, which no setting changes (traefik/traefik issue 9857).
        with pytest.raises(TimeoutError):
            client.get("/datasets/7", alice, patience=1)
    else:
        response = client.get("/datasets/7", alice)
        assert response.status == 503
        assert response.one("retry-after") == "2"
    assert service.take() == []
    restored.resume()
    assert client.get("/datasets/7", alice).status == 200


def test_a_sidecar_without_a_replica_admits_no_one(go, service, restored, silent_store):
    """A cold sidecar is no fault of the token, so the status is never 401."""
    restored.kill()
    restored.start()
    asyncio.run(eventually(lambda: restored.listens))
    response = go()
    assert response.status == 503
    assert response.one("retry-after") == "2"
    assert service.take() == []
