"""Answers to the client and requests at the service, per proxy and protocol.

`deploy/README.md` has the same table. Siblings: `test_paths.py`, `test_identity.py`,
`test_websockets.py` and `test_outages.py`.
"""

from typing import NamedTuple

import pytest

from tests.unit.tokens import ISSUER

pytestmark = pytest.mark.connected

PATH = "/datasets/7?page=2"


class Case(NamedTuple):
    """A request and its answer: status and error code."""

    target: str
    headers: object
    status: int
    error: str | None = None


REFUSED = {
    "missing": Case(PATH, lambda region: [], 401),
    "another scheme": Case(PATH, lambda region: [("Authorization", "Basic YTpi")], 401),
    "revoked": Case(
        PATH, lambda region: region.bearer("logged-out"), 401, "invalid_token"
    ),
    "expired": Case(
        PATH,
        lambda region: region.bearer(iat=region.now - 900, exp=region.now - 300),
        401,
        "invalid_token",
    ),
    "wrong audience": Case(
        PATH,
        lambda region: region.bearer(aud="https://other.example/"),
        401,
        "invalid_token",
    ),
    "wrong signature": Case(
        PATH,
        lambda region: [
            (name, value[:-8] + "AAAAAAAA") for name, value in region.bearer()
        ],
        401,
        "invalid_token",
    ),
    "no token at all": Case(
        PATH,
        lambda region: [("Authorization", "Bearer nonsense")],
        401,
        "invalid_token",
    ),
    "deleted resource": Case(
        "/datasets/42", lambda region: region.bearer(), 401, "invalid_token"
    ),
    "missing scope": Case(
        "/admin",
        lambda region: region.bearer(scope="read write"),
        403,
        "insufficient_scope",
    ),
    "malformed": Case(
        PATH,
        lambda region: [("Authorization", "Bearer not one word")],
        400,
        "invalid_request",
    ),
    "oversized": Case(
        PATH, lambda region: [("Authorization", "Bearer " + "a" * 9_000)], 431
    ),
    "stale": Case("/fresh", lambda region: region.bearer(), 503),
}

# The sidecar sends nginx 403 for a status that nginx would turn into 500.
ALTERED = {("nginx", 400): 403, ("nginx", 431): 403}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_request_is_explained_and_reaches_no_service(
    name, proxy, ask, service, region
):
    case = REFUSED[name]
    headers = case.headers(region)
    response = ask(case.target, headers)
    assert response.status == ALTERED.get((proxy.name, case.status), case.status)
    challenge = response.one("www-authenticate")
    if case.error is not None:
        assert challenge is not None
        assert challenge.startswith('Bearer realm="api"')
        assert f'error="{case.error}"' in challenge
    elif case.status == 401:
        assert challenge == 'Bearer realm="api"'
    else:
        assert challenge is None
    assert response.one("cache-control") == "no-store"
    assert response.one("retry-after") == ("2" if case.status == 503 else None)
    for _, value in headers:
        assert value.encode() not in response.body
    assert service.take() == []


def test_a_missing_scope_is_named(ask, region):
    response = ask("/admin", region.bearer(scope="read"))
    assert 'scope="admin"' in response.one("www-authenticate")


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_an_allowed_request_reaches_the_service_with_identity(
    method, ask, service, region
):
    response = ask(PATH, region.bearer(scope="read write"), method)
    assert response.status == 200
    assert response.body == (b"" if method == "HEAD" else b"served")
    (seen,) = service.take()
    assert (seen.method, seen.target) == (method, PATH)
    assert seen.all("x-auth-subject") == ["alice"]
    assert seen.all("x-auth-issuer") == [ISSUER]
    assert seen.all("x-auth-client") == ["shop"]
    assert seen.all("x-auth-scope") == ["read write"]
    assert seen.all("host") == ["api.example"]


def test_a_body_reaches_the_service_and_not_the_sidecar(client, service, alice):
    """The check request has its own `Content-Length`."""
    response = client.get(PATH, [*alice, ("Content-Length", "5")], "PUT", body=b"hello")
    assert response.status == 200
    (seen,) = service.take()
    assert (seen.method, seen.body) == ("PUT", b"hello")


def test_a_public_path_needs_no_token(ask, service):
    assert ask("/health").status == 200
    assert len(service.take()) == 1


def test_the_service_s_own_errors_are_passed_on(client, service):
    """A 500 of the service is not a 500 of the check."""
    response = client.get("/broken")
    assert (response.status, response.body) == (500, b"ours")


def test_an_oversized_header_is_refused_by_the_proxy(ask, service):
    response = ask(PATH, [("Authorization", "Bearer " + "a" * 100_000)])
    assert response.status in {0, 400, 431}
    assert service.take() == []


def test_two_tokens_do_not_pass(ask, service, alice):
    """Which one counts must not depend on the reader."""
    response = ask(PATH, [*alice, *alice])
    assert response.status in {400, 403}
    assert service.take() == []


@pytest.mark.parametrize(
    "field",
    [
        ("Authorization", "Bearer \xff\xfe"),
        ("Authorization", "Bearer a\x7f"),
        ("Authorization", "Bearer"),
        ("X-Odd", "\xff\xfe"),
        ("Cookie", "__Host-token=\xff"),
    ],
)
def test_odd_bytes_do_not_pass(field, client, service):
    """They do not disturb the sidecar either: the next request is answered."""
    response = client.get(PATH, [field])
    assert response.status in {400, 401, 403}
    assert service.take() == []
    assert client.get("/health", [("X-Odd", "\xe4")]).status in {200, 400}


async def test_a_revocation_counts_at_the_next_request(proxy, client, service, region):
    """No proxy caches a decision."""
    name = f"leaves-{proxy.name}"
    token = region.bearer(name)
    for _ in range(3):
        assert client.get(PATH, token).status == 200
    await region.log_out(name)
    while client.get(PATH, token).status == 200:
        pass
    service.take()
    for _ in range(3):
        assert client.get(PATH, token).status == 401
    assert service.take() == []
    assert client.get(PATH, region.bearer("somebody-else")).status == 200


def test_no_log_of_the_proxy_has_a_token_or_a_query(proxy, client, alice, region):
    for token in (alice, region.bearer("logged-out")):
        client.get("/datasets/7?secret=in-the-query", token)
    log = proxy.log.read_text()
    assert "eyJ" not in log
    assert "in-the-query" not in log
