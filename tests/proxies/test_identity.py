"""Only the sidecar sets the identity that the service sees."""

import pytest

from tests.unit.tokens import ISSUER

pytestmark = pytest.mark.connected

NAMES = ("x-auth-subject", "x-auth-issuer", "x-auth-client", "x-auth-scope")
SPELLINGS = {
    "as it is": str,
    "upper case": str.upper,
    "underscores": lambda name: name.replace("-", "_"),
    "one underscore": lambda name: name.replace("-", "_", 1),
    "the other one": lambda name: "x-" + name[2:].replace("-", "_"),
}


def identity_read_from(seen):
    """Return the identity that a service reads, also one that reads `_` as `-`."""
    return {name: [each for each in seen.all(name) if each] for name in NAMES}


def spoofed(spelling, times=1):
    write = SPELLINGS[spelling]
    return [(write(name), "root") for name in NAMES for _ in range(times)]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_client_cannot_set_its_identity(spelling, ask, service, region):
    """Its own fields are removed, even if the token has no such claim."""
    response = ask("/datasets/7", [*spoofed(spelling), *region.bearer(client_id=...)])
    seen = service.take()
    if response.status == 200:
        (only,) = seen
        assert identity_read_from(only) == {
            "x-auth-subject": ["alice"],
            "x-auth-issuer": [ISSUER],
            "x-auth-client": [],
            "x-auth-scope": [],
        }
    else:
        assert response.status in {400, 403}
        assert seen == []


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_public_path_has_no_identity(spelling, ask, service):
    response = ask("/health", spoofed(spelling, times=2))
    seen = service.take()
    assert response.status in {200, 400, 403}
    assert len(seen) == (response.status == 200)
    for each in seen:
        assert not any(identity_read_from(each).values())


def test_a_client_cannot_remove_the_identity(client, service, alice):
    """`Connection` names fields for the proxy to remove (RFC 9110 section 7.6.1)."""
    listed = ("Connection", "close, X-Auth-Subject, X-Auth-Issuer")
    assert client.get("/datasets/7", [*alice, listed]).status == 200
    (seen,) = service.take()
    assert seen.all("x-auth-subject") == ["alice"]


@pytest.mark.parametrize(
    "listed", ["Authorization", "X-Forwarded-Uri", "X-Original-URI"]
)
def test_a_client_cannot_remove_the_checked_fields(listed, client, service, region):
    """At worst the check request lacks a field, which never leads to acceptance."""
    headers = [("Connection", f"close, {listed}"), *region.bearer("logged-out")]
    assert client.get("/datasets/7", headers).status in {400, 401, 500, 503}
    assert service.take() == []


@pytest.mark.parametrize(
    "name",
    [
        *("X-Forwarded-Uri", "X-Original-URI", "X-Original-Url", "X-Rewrite-Url"),
        *("X-Envoy-Original-Path", "X-Forwarded-Prefix", "X-Forwarded-Path"),
    ],
)
def test_a_client_cannot_set_the_checked_path(name, ask, service):
    response = ask("/datasets/7", [(name, "/health"), (name.lower(), "/health")])
    assert response.status in {400, 401}
    assert service.take() == []


@pytest.mark.parametrize("name", ["X-Forwarded-Method", "X-Original-Method"])
def test_a_client_cannot_set_the_checked_method(name, client, service, region):
    """With a cookie, a POST needs evidence of its origin, and a GET does not."""
    cookie = ("Cookie", f"__Host-token={region.token()}")
    response = client.get("/datasets/7", [cookie, (name, "GET")], "POST")
    assert response.status == 403
    assert service.take() == []


@pytest.mark.parametrize(
    ("evidence", "status"),
    [
        ([("Sec-Fetch-Site", "same-origin")], 200),
        ([("Origin", "https://api.example")], 200),
        ([("Sec-Fetch-Site", "cross-site")], 403),
        ([("Origin", "https://evil.example")], 403),
        (
            [("Origin", "https://evil.example"), ("X-Forwarded-Host", "evil.example")],
            403,
        ),
        ([], 403),
    ],
    ids=str,
)
def test_a_cookie_acts_for_the_service_s_own_pages_only(
    evidence, status, ask, service, region
):
    """The fetch metadata of browsers reaches the sidecar."""
    cookie = ("Cookie", f"other=1; __Host-token={region.token()}")
    response = ask("/datasets/7", [cookie, *evidence], "DELETE")
    assert response.status == status
    assert len(service.take()) == (status == 200)


def test_a_cookie_alone_reads(ask, service, region):
    cookie = ("Cookie", f"__Host-token={region.token()}")
    assert ask("/datasets/7", [cookie]).status == 200
    assert service.take()[0].all("x-auth-subject") == ["alice"]


# Without the sidecar -----------------------------------------------------------------


def test_the_proxy_alone_removes_a_clients_identity(careless_client, started_service):
    for protocol in (careless_client.get, careless_client.h2):
        for spelling in SPELLINGS:
            started_service.take()
            response = protocol("/datasets/7", spoofed(spelling, times=2))
            assert response.status == 200
            (seen,) = started_service.take()
            assert not any(identity_read_from(seen).values()), spelling
