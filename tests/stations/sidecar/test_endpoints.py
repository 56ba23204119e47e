"""The sidecar's endpoints, all but introspection; without a socket."""

import pytest
from structlog.testing import capture_logs

from revocation import metrics
from revocation.decision import DEFAULT_POLICIES, Beyond, StalenessPolicy
from revocation.errors import SettingsError
from revocation.sidecar.endpoints import laxest_bound_ms
from revocation.sidecar.proxies import Proxy
from tests.installation import eventually
from tests.stations.sidecars import (
    Client,
    bearer,
    endpoints_of,
    is_problem,
    published,
    serving,
    signed,
    verifier_of,
)
from tests.stations.test_verifier import store_as_of, token

HOST = (b"host", b"api.example")


# Proxies ------------------------------------------------------------------------------


async def through(client, proxy, method, target, *headers):
    """Ask about a request as a proxy does."""
    path = target.encode()
    match proxy:
        case Proxy.NGINX:
            fields = (b"x-original-method", method.encode()), (b"x-original-uri", path)
            return await client.get("/v1/authz/nginx", HOST, *fields, *headers)
        case Proxy.TRAEFIK:
            fields = (
                (b"x-forwarded-method", method.encode()),
                (b"x-forwarded-uri", path),
                (b"x-forwarded-host", HOST[1]),
                (b"x-forwarded-proto", b"https"),
            )
            return await client.get("/v1/authz/traefik", *fields, *headers)
        case Proxy.ENVOY:
            whole = f"/v1/authz/envoy{target}"
            return await client.ask(method, whole, HOST, *headers)


@pytest.mark.parametrize("proxy", Proxy)
async def test_every_proxy_gets_the_same_answers(client, proxy):
    good = bearer(signed("bob", scope="data"))
    for method, target, headers, status in (
        ("GET", "/x?y=1", [good], 200),
        ("POST", "/datasets/7", [good], 200),
        ("GET", "/health", [], 200),
        ("GET", "/x", [], 401),
        ("GET", "/x", [bearer(signed("alice"))], 401),
        ("GET", "/x", [bearer(signed("bob", exp=7, iat=1))], 401),
        ("GET", "/x", [bearer("nonsense")], 401),
        ("GET", "/x", [bearer(signed("bob", aud="other"))], 401),
        ("GET", "/datasets/7", [bearer(signed("bob"))], 403),
        ("GET", "/datasets/42", [good], 401),
        ("GET", "/DATASETS/42/", [good], 401),
        ("GET", "/datasets/%34%32", [good], 401),
    ):
        answer = await through(client, proxy, method, target, *headers)
        assert (answer.status, answer.at_once) == (status, True), target
        assert answer.headers["cache-control"] == "no-store"
        assert ("www-authenticate" in answer.headers) == (status in {401, 403})


@pytest.mark.parametrize("proxy", Proxy)
@pytest.mark.parametrize(
    "target", ["//x", "/a/../x", "/a/%2e%2e/x", "/a%2fx", "/x;y", "/x%00", "/%2525"]
)
async def test_an_ambiguous_path_is_refused(client, proxy, target):
    answer = await through(client, proxy, "GET", target, bearer(signed("bob")))
    assert answer.status == (403 if proxy is Proxy.NGINX else 400)


@pytest.mark.parametrize("proxy", Proxy)
async def test_a_token_that_is_too_large_is_refused(client, proxy):
    answer = await through(client, proxy, "GET", "/x", bearer("a" * 9_000))
    assert answer.status == (403 if proxy is Proxy.NGINX else 431)


@pytest.mark.parametrize("proxy", Proxy)
async def test_identity_headers_override_the_clients(client, proxy):
    lie = (b"x-auth-subject", b"root"), (b"x-auth-client", b"root")
    token = bearer(signed("bob", client_id=..., scope=...))
    answer = await through(client, proxy, "GET", "/x", token, *lie)
    headers = answer.headers
    assert (answer.status, headers["x-auth-subject"]) == (200, "bob")
    if proxy is Proxy.ENVOY:
        removed = headers["x-envoy-auth-headers-to-remove"].split(",")
        assert {"x-auth-client", "x-auth-scope", "x_auth_subject"} <= set(removed)
    assert not {"x-auth-client", "x-auth-scope"} & headers.keys()


@pytest.mark.parametrize("proxy", Proxy)
async def test_a_region_that_is_behind_does_not_fail_the_token(jwks, proxy):
    """To nginx as well: its configuration turns the error into 503."""
    async with serving(await store_as_of(120_000), jwks) as client:
        answer = await through(client, proxy, "GET", "/x", bearer(signed("bob")))
    assert answer.status == 503
    assert "retry-after" in answer.headers
    assert "www-authenticate" not in answer.headers


async def test_the_status_for_nginx_is_a_setting(store, jwks):
    async with serving(await store_as_of(120_000), jwks) as client:
        plain = await through(client, Proxy.NGINX, "GET", "/x", bearer(signed("bob")))
    options = {"statuses": {Proxy.NGINX: {503: 403}}}
    async with serving(await store_as_of(120_000), jwks, **options) as client:
        nginx = await through(client, Proxy.NGINX, "GET", "/x", bearer(signed("bob")))
    assert (plain.status, nginx.status) == (503, 403)
    with pytest.raises(SettingsError, match="not a refusal"):
        endpoints_of(verifier_of(store, jwks), statuses={Proxy.NGINX: {401: 200}})


async def test_a_proxy_that_sends_no_original_request_admits_no_one(client):
    """The operator sees it, too."""
    lacking = metrics.PROXY_MISCONFIGURED.labels("header")._value
    for path in ("nginx", "traefik"):
        before = lacking.get()
        with capture_logs() as logs:
            answer = await client.get(f"/v1/authz/{path}", bearer(signed("bob")))
        is_problem(answer, 400, "proxy_misconfigured")
        assert lacking.get() == before + 1
        (line,) = logs
        assert f"deploy/{path}" in line["detail"]
    assert await client.status("/v1/authz/envoy", bearer(signed("bob"))) == 404
    assert await client.status("/v1/authz/envoy*", bearer(signed("bob"))) == 404
    assert await client.status("/v1/authz", bearer(signed("bob"))) == 404


def test_only_proxies_are_answered_from_the_head(store, jwks):
    suffices = endpoints_of(verifier_of(store, jwks)).head_suffices
    assert all(map(suffices, ["/v1/authz/nginx", "/v1/authz/traefik"]))
    assert suffices("/v1/authz/envoy/any/path")
    for path in ("/v1/check", "/introspect", "/healthz", "/v1/authz/nginx/x", "/"):
        assert not suffices(path)


async def test_a_missing_key_is_fetched(client, jwks):
    jwks.write_bytes(published("key-1", "key-2"))
    token = bearer(signed("bob", kid="key-2"))
    first = await client.get("/v1/authz/envoy/x", HOST, token)
    assert not first.at_once

    async def passes():
        return await client.status("/v1/authz/envoy/x", HOST, token) == 200

    await eventually(passes, pause=0.01)
    again = await client.get("/v1/authz/envoy/x", HOST, token)
    assert (again.status, again.at_once) == (200, True)


# Routes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/check", 405, "method_not_allowed"),
        ("PUT", "/v1/check", 405, "method_not_allowed"),
        ("POST", "/readyz", 405, "method_not_allowed"),
        ("POST", "/v1/authz/nginx", 405, "method_not_allowed"),
        ("GET", "/", 404, "not_found"),
        ("POST", "/v1/chekc", 404, "not_found"),
        ("POST", "/v1/check/", 404, "not_found"),
        ("POST", "/introspect", 404, "not_found"),
    ],
)
async def test_an_unknown_endpoint_is_explained(client, method, path, status, code):
    answer = await client.ask(method, path)
    is_problem(answer, status, code)
    assert ("allow" in answer.headers) == (status == 405)


# Health -------------------------------------------------------------------------------


async def test_a_complete_replica_is_ready(client, store):
    answer = await client.get("/readyz")
    assert (answer.status, answer.at_once) == (200, True)
    assert answer.json() == {
        "ready": True,
        "region": "eu",
        "as_of": (await store.region()).freshness.as_of,
        "loaded": 2,
        "total": 2,
    }


async def test_a_missing_replica_is_not_ready(jwks):
    verifier = verifier_of(await store_as_of(0), jwks)
    client = Client(endpoints_of(verifier).handle)
    answer = await client.get("/readyz")
    assert (answer.status, answer.json()["ready"]) == (503, False)
    assert await client.status("/healthz") == 200
    assert (await client.check(claims=token())).json()["reason"] == "not_ready"


async def test_a_verifier_without_progress_is_unhealthy(jwks):
    verifier = verifier_of(await store_as_of(0), jwks)
    client = Client(endpoints_of(verifier).handle)
    verifier.feed_watch.problem = "feed: no progress for 5 s"
    answer = await client.get("/healthz")
    assert (answer.status, answer.body) == (503, b"feed: no progress for 5 s\n")


@pytest.mark.parametrize(("age_ms", "status"), [(50_000, 200), (90_000, 503)])
async def test_ready_means_that_some_route_class_can_still_pass(jwks, age_ms, status):
    """Reads may be a minute old, writes five seconds."""
    async with serving(await store_as_of(age_ms), jwks) as client:
        assert await client.status("/readyz") == status
        assert await client.status("/healthz") == 200


def test_the_laxest_bound():
    policies = dict(DEFAULT_POLICIES)
    assert laxest_bound_ms(policies, asks_others=True) == 60_000
    policies["payment"] = StalenessPolicy(beyond=Beyond.INTROSPECT)
    assert laxest_bound_ms(policies, asks_others=False) == 60_000
    assert laxest_bound_ms(policies, asks_others=True) is None
    policies["news"] = StalenessPolicy(beyond=Beyond.ALLOW)
    assert laxest_bound_ms(policies, asks_others=False) is None


async def test_verdicts_and_answers_are_exported_as_metrics(client):
    await through(client, Proxy.ENVOY, "GET", "/health")
    await through(client, Proxy.ENVOY, "GET", "/x")
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    for wanted in (b'{status="200"}', b'{status="401"}'):
        assert b"revocation_authz_answers_total" + wanted in answer.body
