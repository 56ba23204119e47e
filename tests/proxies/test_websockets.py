"""A WebSocket is checked when it opens; and nothing else becomes one."""

import pytest

pytestmark = pytest.mark.connected

UPGRADE = ("Upgrade", "websocket")
CONNECTION = ("Connection", "Upgrade")
KEY = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
VERSION = ("Sec-WebSocket-Version", "13")


@pytest.fixture
def reader(region):
    """A token for plain requests to `/live`, but not for a WebSocket there."""
    return region.bearer(scope="admin")


@pytest.fixture
def listener(region):
    """A token for both."""
    return region.bearer(scope="admin live")


def test_a_websocket_opens_and_carries(client, service, listener):
    with client.websocket("/live", listener) as (response, peer):
        assert response.status == 101
        peer.sendall(b"hello")
        assert peer.recv(5) == b"hello"
    (seen,) = service.take()
    assert seen.all("x-auth-subject") == ["alice"]
    assert seen.all("upgrade") == ["websocket"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (lambda region: [], 401),
        (lambda region: region.bearer("logged-out", scope="admin live"), 401),
        (lambda region: region.bearer(scope="admin"), 403),
    ],
    ids=["missing", "revoked", "missing scope"],
)
def test_a_websocket_that_may_not_open(headers, status, client, service, region):
    with client.websocket("/live", headers(region)) as (response, _):
        assert response.status == status
    assert service.take() == []


def test_a_websocket_about_a_deleted_resource_does_not_open(client, service, alice):
    with client.websocket("/datasets/42", alice) as (response, _):
        assert response.status == 401
    assert service.take() == []


@pytest.mark.parametrize(
    ("evidence", "status"),
    [
        ([], 403),
        ([("Origin", "https://evil.example")], 403),
        ([("Origin", "https://api.example")], 101),
    ],
    ids=["none", "foreign", "own"],
)
def test_no_foreign_page_opens_one_by_a_cookie(
    evidence, status, client, service, region
):
    """RFC 6455 section 10.2: no same-origin policy prevents it."""
    cookie = ("Cookie", f"__Host-token={region.token()}")
    with client.websocket("/datasets/7", [cookie, *evidence]) as (response, _):
        assert response.status == status
    assert len(service.take()) == (status == 101)


DISGUISES = {
    "no key": [UPGRADE, CONNECTION],
    "a version only": [UPGRADE, CONNECTION, VERSION],
    "no connection": [UPGRADE, KEY],
    "connection: close": [UPGRADE, KEY, ("Connection", "close")],
    "two protocols": [("Upgrade", "h2c, websocket"), CONNECTION],
    "two fields": [("Upgrade", "h2c"), UPGRADE, CONNECTION],
    "upper case": [("Upgrade", "WEBSOCKET"), ("Connection", "UPGRADE")],
    "spaces": [("Upgrade", " websocket "), CONNECTION],
    "key taken out": [UPGRADE, KEY, ("Connection", "Upgrade, Sec-WebSocket-Key")],
    "key taken out in another field": [
        *(UPGRADE, CONNECTION, KEY),
        ("Connection", "sec-websocket-key, sec-websocket-version"),
    ],
    "key twice": [UPGRADE, CONNECTION, KEY, KEY],
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_plain_request_opens_no_websocket(disguise, client, service, reader):
    """It is refused, or reaches the service as a plain request."""
    response = client.get("/live", [*reader, *DISGUISES[disguise]])
    assert response.status != 101
    for seen in service.take():
        assert seen.all("upgrade") == []


def test_looking_like_a_websocket_does_not_bypass_the_plain_rule(
    client, service, region
):
    """Both rules apply to what looks like a WebSocket."""
    listener = region.bearer(scope="live")
    for more in ([KEY, VERSION], [UPGRADE, CONNECTION, KEY, VERSION]):
        response = client.get("/live", [*listener, *more])
        assert response.status == 403
    assert service.take() == []


def test_http_2_opens_no_websocket(client, service, listener):
    """RFC 8441: its handshake has neither `Upgrade` nor a key."""
    response = client.h2("/live", [(":protocol", "websocket"), *listener], "CONNECT")
    assert response.status != 200
    assert service.take() == []


def test_no_other_protocol_is_opened(client, service, alice):
    """`h2c` would be a tunnel: requests in it would bypass the check."""
    upgrade = [("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings")]
    settings = ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")
    response = client.get("/datasets/7", [*alice, *upgrade, settings])
    assert response.status != 101
    for seen in service.take():
        assert seen.all("upgrade") == []
