"""`POST /v1/check`: one and many, claims and tokens; without a socket."""

import json

import pytest

from revocation.decision import (
    DEFAULT_POLICIES,
    Beyond,
    Reason,
    StalenessPolicy,
    Verdict,
)
from revocation.sidecar.checks import MAX_CHECKS
from revocation.verifier.fallback.web_fallbacks import NO_FORWARDING
from tests.stations.sidecars import (
    Client,
    bearer,
    endpoints_of,
    is_problem,
    serving,
    signed,
)
from tests.stations.test_verifier import store_as_of, token, with_replica

HOST = (b"host", b"api.example")


# Check --------------------------------------------------------------------------------


async def test_a_verdict_states_its_grounds(client, store):
    answer = await client.check(claims=token("bob"))
    body = answer.json()
    assert (answer.status, answer.at_once) == (200, True)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert body.pop("staleness_ms") < 1_000
    assert body == {
        "active": True,
        "reason": "active",
        "as_of": (await store.region()).freshness.as_of,
        "stale": False,
        "receipt": None,
        "detail": None,
        "region": "eu",
    }


async def test_a_token_is_verified_and_its_claims_returned(client):
    answer = await client.check(token=signed("bob", roles=[{"in": "sales"}]))
    body = answer.json()
    assert (answer.at_once, body["active"], body["region"]) == (True, True, "eu")
    assert body["claims"]["sub"] == "bob"
    assert body["claims"]["roles"] == [{"in": "sales"}]


@pytest.mark.parametrize(
    ("mint", "resources", "reason"),
    [
        (lambda: signed("alice"), [], "issued_before_cut_off"),
        (lambda: signed("bob")[:-4] + "AAAA", [], "signature_invalid"),
        (lambda: "nonsense", [], "malformed"),
        (lambda: "", [], "malformed"),
        (lambda: signed("bob"), ["dataset:42"], "resource_deleted"),
        (lambda: signed("bob", aud="other"), [], "audience_refused"),
        (lambda: signed("bob", exp=7, iat=1), [], "expired"),
    ],
)
async def test_a_token_that_does_not_count_is_a_verdict_without_claims(
    client, mint, resources, reason
):
    """Minted by the test itself: at the end of a long run others have expired."""
    answer = await client.check(token=mint(), resources=resources)
    assert answer.status == 200
    assert (answer.json()["active"], answer.json()["reason"]) == (False, reason)
    assert answer.json()["claims"] is None


async def test_several_checks_are_answered_in_order(client):
    asked = [
        {"claims": token("bob"), "kid": "k1", "route": "write"},
        {"claims": token("alice")},
        {"token": signed("bob")},
        {"claims": {}},
        {"claims": token("bob"), "resources": ["dataset:42"]},
    ]
    answer = await client.check(checks=asked)
    assert answer.at_once
    verdicts = answer.json()["verdicts"]
    assert [each["reason"] for each in verdicts] == [
        "active",
        "issued_before_cut_off",
        "active",
        "unverifiable",
        "resource_deleted",
    ]
    assert all(each["region"] == "eu" for each in verdicts)


async def test_the_maximum_number_of_checks(client):
    asked = [{"claims": token("bob")}] * MAX_CHECKS
    answer = await client.check(checks=asked)
    assert len(answer.json()["verdicts"]) == MAX_CHECKS
    assert (await client.check(checks=[*asked, asked[0]])).status == 400


CLAIMS = {"claims": {}}


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"not json", b"[]", b'"claims"', b"7", b"null", b"{}", b"\xff"),
        b'{"claims": null}',
        b'{"claims": []}',
        b'{"claims": "eyJ"}',
        b'{"claims": {}, "kid": 7}',
        b'{"claims": {}, "route": null}',
        b'{"claims": {}, "resources": "dataset:42"}',
        b'{"claims": {}, "resources": [7]}',
        b'{"claims": {}, "surprise": 1}',
        b'{"claims": {}, "token": "eyJ"}',
        b'{"claims": null, "token": "eyJ"}',
        b'{"token": null}',
        b'{"token": 7}',
        b'{"token": "eyJ", "kid": "k1"}',
        b'{"claims": {"sub": "\xff"}}',
        b'{"claims": {"sub": "\\ud800"}}',
        b'{"claims": ' + b'{"a":' * 5_000,
        b'{"checks": []}',
        b'{"checks": {}}',
        b'{"checks": [7]}',
        b'{"checks": [{}]}',
        b'{"checks": [{"claims": {}}], "claims": {}}',
        json.dumps({"claims": {}, "resources": ["a:b"] * 65}).encode(),
    ],
    ids=lambda body: body[:40].decode("latin1"),
)
async def test_a_wrong_body_is_explained(client, body):
    answer = await client.ask("POST", "/v1/check", body=body)
    is_problem(answer, 400, "invalid_request")


async def test_the_wrong_member_is_named_and_not_quoted(client):
    """Its content may be personal."""
    answer = await client.check(checks=[CLAIMS, {**CLAIMS, "kid": {"user": "zaphod"}}])
    detail = is_problem(answer, 400, "invalid_request")
    assert "checks.1.kid" in detail
    assert "zaphod" not in detail
    unknown = is_problem(await client.check(**CLAIMS, zaphod=1), 400, "invalid_request")
    assert "zaphod" not in unknown


async def test_an_unknown_route_class_is_explained(client):
    for body in (
        {**CLAIMS, "route": "wirte"},
        {"checks": [{"token": "", "route": ""}]},
    ):
        detail = is_problem(await client.check(**body), 400, "unknown_route_class")
        assert "read, write" in detail


async def test_without_issuers_claims_can_be_checked_and_tokens_cannot(store):
    async with with_replica(store) as verifier:
        client = Client(endpoints_of(verifier, verifies=False).handle)
        assert (await client.check(claims=token("bob"))).json()["active"]
        is_problem(await client.check(token="eyJ"), 400, "no_issuers")
        for proxy in ("nginx", "traefik", "envoy/x"):
            answer = await client.get(f"/v1/authz/{proxy}", bearer(signed()))
            is_problem(answer, 503, "no_issuers")


# Fallbacks ---------------------------------------------------------------------------

ASKING = {
    **DEFAULT_POLICIES,
    "payment": StalenessPolicy(max_staleness_ms=1_000, beyond=Beyond.INTROSPECT),
}


class Fallback:
    """Another region with a configured answer."""

    def __init__(self, *, active):
        self.active = active
        self.asked = 0

    async def start(self):
        """Begin."""

    async def stop(self):
        """End."""

    async def ask(self, question, *, policy, rules, now, skew_ms=0):
        self.asked += 1
        reason = Reason.ACTIVE if self.active else Reason.TOKEN_REVOKED
        return Verdict(self.active, reason, now(), 0)


@pytest.mark.parametrize("active", [True, False])
async def test_only_checks_that_need_a_fallback_wait(jwks, active):
    store, fallback = await store_as_of(30_000), Fallback(active=active)
    options = {"policies": ASKING, "fallback": fallback}
    async with serving(store, jwks, **options) as client:
        fresh = await client.check(token=signed(), route="read")
        assert (fresh.at_once, fallback.asked) == (True, 0)
        for asked in ({"token": signed()}, {"claims": token()}):
            answer = await client.check(**asked, route="payment")
            assert answer.json()["active"] is active
            assert not answer.at_once
        both = [{"token": signed()}, {"claims": token(), "route": "payment"}]
        answer = await client.check(checks=both)
        assert [each["active"] for each in answer.json()["verdicts"]] == [True, active]
        assert fallback.asked == 3


async def test_a_sidecar_asked_as_a_fallback_asks_no_other(jwks):
    store, fallback = await store_as_of(30_000), Fallback(active=True)
    name, value = (each.encode() for each in NO_FORWARDING)
    options = {"policies": ASKING, "fallback": fallback}
    async with serving(store, jwks, **options) as client:
        answer = await client.check((name, value), claims=token(), route="payment")
    assert (answer.json()["reason"], fallback.asked) == ("stale", 0)
