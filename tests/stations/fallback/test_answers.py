"""The answers of a sidecar and of an issuer, and the verdicts they lead to.

Sibling: `test_fallback_sources.py`, for answers that are not usable.
"""

import base64
import json
from types import MappingProxyType

import pytest
from starlette.responses import JSONResponse

from revocation.decision import Reason, Verdict
from revocation.entries import Kind, Target
from tests.stations.fallback.checks import (
    POLICY,
    RULES,
    TOKEN,
    WITH_SETS,
    as_of,
    ask,
    check_request,
    sidecar_answer,
)
from tests.stations.regions import now_ms
from tests.traffic import ISSUER

# A sidecar ----------------------------------------------------------------------------


def rejected_for(reason, /, **more):
    return sidecar_answer(Verdict(active=False, reason=reason, **as_of()), **more)


async def test_a_sidecar_gets_only_what_a_check_needs(server, sidecar):
    check = check_request(
        "alice", kid="k1", resources=("dataset:42",), email="a@b.example", azp="shop"
    )
    await ask(sidecar, check)
    ((path, headers, body),) = server.requests
    sent = json.loads(body)
    assert path == "/v1/check"
    assert headers["content-type"] == "application/json"
    assert headers["max-forwards"] == "0"
    assert sent.pop("claims") == {
        name: value for name, value in check.claims.items() if name != "email"
    }
    assert sent == {"kid": "k1", "route": "write", "resources": ["dataset:42"]}
    assert TOKEN.encode() not in body


async def test_a_sidecar_gets_only_what_claim_sets_need(server, sidecar):
    """Also of verified claims, which are immutable at any depth."""
    actor = MappingProxyType({"sub": "agent-1", "email": "a@b.example"})
    check = check_request(act=actor, groups=("a", "b"), device_id=("d-1", 5), azp="web")
    check = check._replace(claims=MappingProxyType(check.claims))
    await ask(sidecar, check, rules=WITH_SETS)
    ((_, _, body),) = server.requests
    told_of = json.loads(body)["claims"]
    assert told_of["act"] == {"sub": "agent-1"}
    assert (told_of["azp"], told_of["device_id"]) == ("web", ["d-1", 5])
    assert "groups" not in told_of


async def test_a_rejection_of_claims_names_those_of_the_token(server, sidecar):
    server.answer = rejected_for(Reason.CLAIMS_REVOKED, receipt="3-1742")
    check = check_request(act={"sub": "agent-1"}, azp="web")
    verdict = await ask(sidecar, check, rules=WITH_SETS)
    assert verdict.entry.target == Target(Kind.CLAIMS, ISSUER, "act.sub=agent-1")
    assert await ask(sidecar, check) is None  # it names no claim that we look up


async def test_claims_that_no_event_can_name_are_not_sent(server, sidecar):
    verdict = await ask(sidecar, check_request(act="agent-1"), rules=WITH_SETS)
    assert verdict.reason is Reason.UNVERIFIABLE
    assert server.requests == []


async def test_an_active_answer_of_a_sidecar_is_judged_by_our_policy(server, sidecar):
    for age_ms, stale in ((300, False), (1_500, True)):
        server.answer = sidecar_answer(
            Verdict(active=True, reason=Reason.ACTIVE, **as_of(age_ms))
        )
        verdict = await ask(sidecar)
        assert verdict.active
        assert verdict.stale is stale
        assert age_ms <= verdict.staleness_ms < 5_000
    server.answer = sidecar_answer(
        Verdict(active=True, reason=Reason.ACTIVE, **as_of(5_500))
    )
    assert await ask(sidecar) is None


async def test_a_watermark_in_the_future_is_not_fresh(server, sidecar):
    server.answer = sidecar_answer(
        Verdict(active=True, reason=Reason.ACTIVE, **as_of(-3_600_000))
    )
    assert await ask(sidecar) is None


@pytest.mark.parametrize("reason", [Reason.STALE, Reason.NOT_READY])
async def test_a_sidecar_that_is_itself_behind_gives_no_answer(reason, server, sidecar):
    server.answer = rejected_for(reason)
    assert await ask(sidecar) is None


@pytest.mark.parametrize(
    ("reason", "kind", "name"),
    [
        (Reason.TOKEN_REVOKED, Kind.TOKEN, "token-of-alice"),
        (Reason.USER_DISABLED, Kind.USER, "alice"),
        (Reason.VERSION_SUPERSEDED, Kind.USER, "alice"),
        (Reason.KEY_REVOKED, Kind.KEY, "k1"),
        (Reason.ISSUER_REVOKED, Kind.ISSUER, ISSUER),
        (Reason.GRANT_REVOKED, Kind.GRANT, "shop|alice"),
        (Reason.RESOURCE_DELETED, Kind.RESOURCE, "dataset:42"),
    ],
)
async def test_a_rejection_keeps_its_receipt_and_target(
    reason, kind, name, server, sidecar
):
    server.answer = rejected_for(reason, receipt="3-1742")
    check = check_request(kid="k1", client_id="shop", resources=["dataset:42"])
    verdict = await ask(sidecar, check)
    assert (verdict.active, verdict.reason, verdict.stale) == (False, reason, False)
    assert verdict.receipt == "3-1742"
    assert verdict.entry.target == Target(kind, ISSUER, name)


async def test_an_ambiguous_target_is_not_named(server, sidecar):
    server.answer = rejected_for(Reason.CLIENT_REVOKED, receipt="3-1742")
    verdict = await ask(sidecar, check_request(client_id="shop", azp="till"))
    assert verdict.reason is Reason.CLIENT_REVOKED
    assert verdict.entry is None


async def test_a_rejection_needs_no_receipt(server, sidecar):
    server.answer = rejected_for(Reason.EXPIRED, new_member=1, detail=..., stale=...)
    assert (await ask(sidecar)).reason is Reason.EXPIRED


@pytest.mark.parametrize(
    "changed",
    [
        {"active": True},
        {"active": 0},
        {"reason": "active"},
        {"reason": "because"},
        {"reason": ["token_revoked"]},
        {"reason": None},
        {"as_of": "1790000000000"},
        {"as_of": 1.5},
        {"as_of": -1},
        {"as_of": 10**18},
        {"as_of": ...},
        {"receipt": "3"},
        {"receipt": "3-1742 "},
        {"receipt": 3},
        {"receipt": "3-1742", "reason": "session_ended"},
    ],
    ids=str,
)
async def test_a_malformed_verdict_is_no_answer(changed, server, sidecar):
    server.answer = rejected_for(Reason.TOKEN_REVOKED, **changed)
    assert await ask(sidecar) is None


# The issuer ---------------------------------------------------------------------------


async def test_the_request_to_the_issuer_follows_rfc_7662(server, issuer):
    await ask(issuer)
    ((path, headers, body),) = server.requests
    assert path == "/introspect"
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["accept"] == "application/json"
    assert body == b"token=header.payload.signature&token_type_hint=access_token"
    kind, _, pair = headers["authorization"].partition(" ")
    assert kind == "Basic"
    assert base64.b64decode(pair) == b"our+id:s%3Acr%25t%2B%C3%A9"


async def test_an_active_token_is_as_of_the_request(server, issuer):
    check = check_request()
    about = {name: check.claims[name] for name in ("iss", "sub", "jti", "exp")}
    for more in ({}, about, {"scope": "a b", "exp": float(about["exp"])}):
        server.answer = JSONResponse({"active": True, **more})
        began = now_ms()
        verdict = await ask(issuer, check)
        assert verdict.reason is Reason.ACTIVE
        assert began <= verdict.as_of <= now_ms()
        assert verdict.staleness_ms <= now_ms() - began


@pytest.mark.parametrize(
    ("active", "takes_ms", "reason"),
    [
        (True, 5_000, Reason.ACTIVE),
        (True, 5_001, None),
        (False, 5_001, Reason.INTROSPECTION_INACTIVE),
    ],
)
async def test_an_answer_is_as_old_as_its_request(
    active, takes_ms, reason, server, issuer
):
    clock = [now_ms()]
    server.answer = JSONResponse({"active": active})
    server.meanwhile = lambda: clock.append(clock[0] + takes_ms)
    verdict = await issuer.ask(
        check_request(), policy=POLICY, rules=RULES, now=lambda: clock[-1]
    )
    if reason is None:
        assert verdict is None
    else:
        assert (verdict.reason, verdict.stale) == (reason, True)
        assert (verdict.as_of, verdict.staleness_ms) == (clock[0], takes_ms)


@pytest.mark.parametrize(
    "other",
    [
        {"iss": "https://other.example"},
        {"sub": "bob"},
        {"sub": None},
        {"jti": 5},
        {"exp": 1},
        {"exp": "1"},
        {"exp": True},
    ],
    ids=str,
)
async def test_an_answer_about_another_token_is_not_used(other, server, issuer):
    server.answer = JSONResponse({"active": True, **other})
    assert await ask(issuer) is None


async def test_an_inactive_token_is_rejected(server, issuer):
    server.answer = JSONResponse({"active": False})
    began = now_ms()
    verdict = await ask(issuer)
    assert (verdict.active, verdict.reason) == (False, Reason.INTROSPECTION_INACTIVE)
    assert began <= verdict.as_of <= now_ms()
    assert verdict.receipt is verdict.entry is verdict.detail is None


@pytest.mark.parametrize(
    "fields",
    [
        {"compact": None},
        {"resources": ["dataset:42"]},
        {"iss": "https://other.example"},
    ],
    ids=["no token", "resources", "of another issuer"],
)
async def test_requests_that_the_issuer_cannot_answer_are_not_sent(
    fields, server, issuer
):
    """Above all not a token of another issuer: its recipient could use it."""
    assert await ask(issuer, check_request(**fields)) is None
    assert not server.requests


async def test_neither_token_nor_secret_is_logged(server, issuer, caplog, capsys):
    caplog.set_level(0)
    server.answer = JSONResponse({"active": TOKEN})
    for _ in range(10):
        await ask(issuer)
    printed = "".join(capsys.readouterr()) + caplog.text
    assert "fallback keeps failing, paused" in printed
    for secret in (TOKEN, "cr%25t", "token-of-alice", ISSUER):
        assert secret not in printed
