"""The refresh guard and further claims, for `revocable_claims`."""

from dataclasses import replace

from revocation.decision import Reason
from revocation.entries import Kind, Target
from revocation.guard.refresh_guard import RefreshReason
from tests.unit.refreshes import CUT_OFF, ISSUER, MINUTE, NOW, RULES, Case, known


async def test_revocable_claims_are_checked():
    """Or whoever holds a stolen device would refresh its way past the cut-off."""
    rules = replace(
        RULES,
        names=replace(RULES.names, required=("device_id", "act.sub")),
        revocable_claims=(("device_id",), ("act.sub", "device_id")),
    )
    entry = known(Kind.CLAIMS, **CUT_OFF)
    case = Case(entry, rules=rules)
    for claims in ({"device_id": "d-1"}, {"device_id": "d-1", "act": {"sub": "a"}}):
        decision = await case.refresh(claims=claims)
        assert decision.reason is RefreshReason.REVOKED
        assert decision.verdict.reason is Reason.CLAIMS_REVOKED
    assert await case.refresh(claims={"device_id": "d-2"})
    odd = await case.refresh(claims={"device_id": {}})
    assert odd.reason is RefreshReason.UNVERIFIABLE


async def test_a_claim_that_can_be_revoked_may_stand_beside_one_of_the_request():
    """In one object: what the request says is put beside it, and into no one else's."""
    rules = replace(
        RULES,
        names=replace(RULES.names, sessions=("ctx.sid",), required=("ctx.amr", "jti")),
        revocable_claims=(("ctx.device",), ("device_id",)),
    )
    target = Target(Kind.CLAIMS, ISSUER, "ctx.device=d-1")
    case = Case(replace(known(Kind.CLAIMS, **CUT_OFF), target=target), rules=rules)
    claims = {"ctx": {"device": "d-1", "sid": "another"}}
    decision = await case.refresh(claims=claims)
    assert decision.verdict.reason is Reason.CLAIMS_REVOKED
    assert claims == {"ctx": {"device": "d-1", "sid": "another"}}
    ended = Case(known(Kind.SESSION, expires_at=NOW + MINUTE), rules=rules)
    decision = await ended.refresh(claims=claims)
    assert decision.verdict.reason is Reason.SESSION_ENDED


async def test_further_claims_change_nothing_that_the_request_says():
    claims = {"sub": "bob", "iss": "https://other.example", "iat": 0, "exp": 1}
    entry = known(Kind.USER, **CUT_OFF)
    decision = await Case(entry).refresh(claims=claims)
    assert decision.verdict.entry.target == entry.target
