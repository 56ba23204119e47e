"""Nobody passes while nobody can tell; all is well as soon as somebody can."""

import asyncio

import pytest

from tests.installation import eventually

pytestmark = pytest.mark.connected

DOWN = {"traefik": 500}
"""What the client is told when no sidecar answers: 503 but of Traefik, which has no way
to say it."""


@pytest.fixture
def restored(sidecar):
    """The sidecar, to be put back in order after the test."""
    yield sidecar
    sidecar.stop()
    sidecar.start()
    asyncio.run(eventually(lambda: sidecar.ready))


@pytest.fixture
def go(ask, alice):
    """Ask for what Alice may see."""
    return lambda target="/datasets/7": ask(target, alice)


@pytest.fixture
def silent_store(region):
    """The region's store accepts and answers nothing."""
    region.store.pause()
    yield
    region.store.resume()


@pytest.mark.parametrize("target", ["/datasets/7", "/health"])
def test_without_a_sidecar_nobody_passes(target, proxy, go, service, restored):
    """Not even where no token is needed: that too is for the sidecar to say."""
    assert go(target).status == 200
    service.take()
    restored.kill()
    told = go(target)
    assert told.status == DOWN.get(proxy.name, 503)
    assert told.one("www-authenticate") is None
    if told.status == 503:
        assert told.one("retry-after") == "2"
        assert told.one("cache-control") == "no-store"
    assert service.take() == []


def test_a_websocket_does_not_open_without_a_sidecar(
    proxy, client, service, region, restored
):
    restored.kill()
    with client.websocket("/live", region.bearer(scope="admin live")) as (told, _):
        assert told.status == DOWN.get(proxy.name, 503)
    assert service.take() == []


def test_it_passes_again_once_the_sidecar_is_back(proxy, go, restored):
    """At once: no proxy holds it against the sidecar that it was away."""
    restored.kill()
    for _ in range(5):
        assert go().status == DOWN.get(proxy.name, 503)
    restored.start()
    asyncio.run(eventually(lambda: restored.ready))
    assert go().status == 200


def test_a_sidecar_that_is_late_lets_nobody_pass(
    proxy, client, service, alice, restored
):
    """Frozen, it accepts and answers nothing; the client is told within 2 s."""
    assert client.get("/datasets/7", alice).status == 200
    service.take()
    restored.pause()
    if proxy.name == "traefik":
        # It waits 30 s, which no setting changes (traefik/traefik issue 9857).
        with pytest.raises(TimeoutError):
            client.get("/datasets/7", alice, patience=1)
    else:
        told = client.get("/datasets/7", alice)
        assert told.status == 503
        assert told.one("retry-after") == "2"
    assert service.take() == []
    restored.resume()
    assert client.get("/datasets/7", alice).status == 200


def test_a_sidecar_that_has_no_copy_yet_lets_nobody_pass(
    go, service, restored, silent_store
):
    """Cold, it says so: not the token is at fault, so never 401."""
    restored.kill()
    restored.start()
    asyncio.run(eventually(lambda: restored.listens))
    told = go()
    assert told.status == 503
    assert told.one("retry-after") == "2"
    assert service.take() == []
