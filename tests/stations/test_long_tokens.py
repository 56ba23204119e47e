"""A token of a user with 200 groups passes wherever its issuer's limit lets it."""

from types import SimpleNamespace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from revocation.decision import DEFAULT_POLICIES, Reason
from revocation.errors import SettingsError
from revocation.http.http_server import Server, Tcp
from revocation.settings import SidecarSettings
from revocation.sidecar.authorizer import Authorizer
from revocation.sidecar.ext_authz import ExtAuthz
from revocation.sidecar.rule_set import RuleSet
from revocation.sidecar.sidecar import limits
from revocation.web.access_guard import AccessPolicy
from revocation.web.asgi import RevocationMiddleware
from revocation.web.bearer import Refusals
from revocation.web.credentials import CredentialRules
from tests.stations.sidecars import endpoints_of, published, signed, verifier_of
from tests.stations.test_ext_authz import kind, question
from tests.stations.test_fastapi import service
from tests.stations.test_verifier import store_as_of
from tests.unit.tokens import AUDIENCE, ISSUER

GROUPS = [f"cn=team-{number:04},ou=engineering,dc=example" for number in range(200)]
RAISED, USUAL = 16_384, 8_192
COOKIE = CredentialRules(cookie="__Host-token")


def long_token(**claims):
    made = signed(groups=GROUPS, **claims)
    assert USUAL < len(made) < RAISED
    return made


@pytest.fixture
def verifier(tmp_path):
    """Make complete verifiers."""
    (tmp_path / "jwks.json").write_bytes(published())

    async def make(most):
        store = await store_as_of()
        return verifier_of(store, tmp_path / "jwks.json", max_token_bytes=most)

    return make


def settings(tmp_path, most=USUAL, **more):
    issuer = {
        "jwks_file": tmp_path / "jwks.json",
        "algorithms": ["ES256"],
        "audiences": [AUDIENCE],
        "max_token_bytes": most,
    }
    return SidecarSettings(
        **{
            "region": "eu",
            "store_url": "redis://127.0.0.1:1",
            "pepper_file": tmp_path / "pepper",
            "issuers": {ISSUER: issuer},
            **more,
        }
    )


def inside(app):
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="https://api.example")


def as_header(token):
    return {"authorization": f"Bearer {token}"}


def as_cookie(token):
    """Return the token as a cookie, beside another large cookie."""
    return {"cookie": f"analytics={'x' * 4_000}; __Host-token={token}"}


WAYS = pytest.mark.parametrize("way", [as_header, as_cookie])


@WAYS
@pytest.mark.parametrize(("most", "status"), [(RAISED, 200), (USUAL, 431)])
async def test_through_the_middleware(verifier, way, most, status):
    async def hello(_):
        return PlainTextResponse("hello")

    async with await verifier(most) as made:
        app = Starlette(routes=[Route("/", hello)])
        guarded = RevocationMiddleware(app, made, credentials=COOKIE)
        async with inside(guarded) as client:
            answer = await client.get("/", headers=way(long_token()))
    assert answer.status_code == status


@WAYS
@pytest.mark.parametrize(("most", "status"), [(RAISED, 200), (USUAL, 431)])
async def test_through_fastapi(verifier, way, most, status):
    made = await verifier(most)
    headers = {**way(long_token()), "sec-fetch-site": "same-origin"}
    async with made, inside(service(made, credentials=COOKIE)) as client:
        answer = await client.post("/datasets", headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize("most", [RAISED, USUAL])
async def test_through_the_sidecar(verifier, tmp_path, most):
    """All endpoints that take tokens: those of proxies, checks and introspection."""
    passes, token = most == RAISED, long_token(scope="look")
    async with await verifier(most) as made:
        handle = endpoints_of(made, scope="look").handle
        bounds = limits(settings(tmp_path, most))
        async with Server(handle, [Tcp()], limits=bounds) as server:
            client = httpx.AsyncClient(base_url=f"http://{server.addresses[0]}")
            async with client:
                for path in ("/v1/authz/envoy/x", "/v1/authz/nginx"):
                    asked = {"x-original-method": "GET", "x-original-uri": "/x"}
                    headers = {**asked, **as_header(token)}
                    answer = await client.get(path, headers=headers)
                    refusal = 403 if path.endswith("nginx") else 431
                    assert answer.status_code == (200 if passes else refusal)
                answer = await client.post("/v1/check", json={"token": token})
                reason = Reason.ACTIVE if passes else Reason.MALFORMED
                assert answer.json()["reason"] == reason
                answer = await client.post(
                    "/introspect", data={"token": token}, headers=as_header(token)
                )
                assert answer.status_code == (200 if passes else 401)
                assert not passes or answer.json()["active"]


@WAYS
@pytest.mark.parametrize("most", [RAISED, USUAL])
async def test_through_grpc(verifier, way, most):
    async with await verifier(most) as made:
        rules = SimpleNamespace(current=RuleSet(policies=DEFAULT_POLICIES))
        steps = AccessPolicy(credentials=COOKIE, refusals=Refusals())
        asked = ExtAuthz(Authorizer(made, rules, steps=steps))
        answer = await asked.check(question(way(long_token())))
    passed = kind(answer) == "ok_response"
    assert passed is (most == RAISED)
    assert passed or answer.denied_response.status.code == 431


async def test_the_limit_is_the_longest_of_all_issuers(verifier):
    made = await verifier(RAISED)
    assert made.max_token_bytes == RAISED


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("sidecar_max_header_bytes", 40_000 + 8_192),
        ("sidecar_max_body_bytes", 40_000 + 1_024),
    ],
)
def test_a_sidecar_whose_limit_fits_no_token_does_not_start(tmp_path, name, least):
    """The message names both settings."""
    enough = {"sidecar_max_header_bytes": 65_536, "sidecar_max_body_bytes": 65_536}
    assert settings(tmp_path, 40_000, **{**enough, name: least})
    with pytest.raises(SettingsError) as raised:
        settings(tmp_path, 40_000, **{**enough, name: least - 1})
    said = str(raised.value)
    assert name in said
    assert "max_token_bytes" in said
    assert str(least) in said


def test_without_issuers_the_limit_is_not_checked(tmp_path):
    small = {"sidecar_max_header_bytes": 1_024, "sidecar_max_body_bytes": 1_024}
    assert settings(tmp_path, issuers={}, **small)
