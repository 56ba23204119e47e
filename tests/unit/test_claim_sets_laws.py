"""Laws from an event about claims to the verdict, for any claims."""

from dataclasses import replace

from hypothesis import given, strategies as st

from revocation import events
from revocation.claims.claim_sets import claim_reader
from revocation.claims.claims import name_claims, read_token
from revocation.decision import Freshness, Reason, decide
from revocation.entries import Position
from revocation.ledger import apply
from tests.unit.histories import event
from tests.unit.strategies import LIMITS, NOW, RULES, revocable, sound_claims
from tests.unit.test_replica import holding
from tests.unit.verdicts import READ

MINUTE = 60_000


def entry_of(what, at):
    (target,) = events.targets(what)
    return apply(None, what, target, Position(3, 7, at), LIMITS).entry


def judged(claims, sets, entry, now):
    """The verdict of a verifier with a replica that holds nothing but an entry."""
    rules = replace(RULES, revocable_claims=sets)
    token = read_token(claims, replace(rules, revocable_claims=()))
    token = name_claims(token, claims, claim_reader(sets))
    assert token == read_token(claims, rules)
    found, _ = holding(entry).find(token, now)
    fresh = Freshness(ready=True, as_of=now)
    return decide(token, found, fresh, policy=READ, rules=rules, now=now)


def nested(claims):
    """The claims as a token has them."""
    claims = dict(claims)
    if "act.sub" in claims:
        claims["act"] = {"sub": claims.pop("act.sub")}
    return claims


@given(sound_claims(), revocable, st.none() | st.booleans(), st.integers(0, 3_000))
def test_a_token_with_all_claims_that_were_revoked_never_passes(
    claims, revoked, disable, seconds
):
    """Until it expires, however much later it is used."""
    what = event(events.ClaimsRevoked, claims=revoked, disable=disable)
    token = {**claims, **nested(revoked)}
    now = NOW + seconds * 1_000
    verdict = judged(token, (tuple(revoked),), entry_of(what, NOW), now)
    expired = token["exp"] * 1_000 + RULES.leeway_ms <= now
    assert verdict.reason is (Reason.EXPIRED if expired else Reason.CLAIMS_REVOKED)


@given(sound_claims(), revocable, st.data())
def test_a_token_that_lacks_one_of_them_or_has_another_value_passes(
    claims, revoked, data
):
    what = event(events.ClaimsRevoked, claims=revoked, disable=True)
    name = data.draw(st.sampled_from([*revoked]))
    other = data.draw(st.sampled_from([..., None, "", [], "another-value"]))
    token = {each: value for each, value in revoked.items() if each != name}
    if other is not ...:
        token[name] = other
    verdict = judged(
        {**claims, **nested(token)}, (tuple(revoked),), entry_of(what, NOW), NOW
    )
    assert verdict.active


@given(sound_claims(), revocable)
def test_a_token_that_was_issued_since_passes_unless_they_are_disabled(claims, revoked):
    issued_at = NOW // 1_000 + 60
    token = {**claims, **nested(revoked), "iat": issued_at, "exp": issued_at + 600}
    for disable, reason in (
        (None, Reason.ACTIVE),
        (False, Reason.ACTIVE),
        (True, Reason.CLAIMS_REVOKED),
    ):
        what = event(events.ClaimsRevoked, claims=revoked, disable=disable)
        entry = entry_of(what, NOW)
        verdict = judged(token, (tuple(revoked),), entry, NOW + MINUTE)
        assert verdict.reason is reason


@given(sound_claims(), revocable, st.lists(st.text(min_size=1, max_size=5), max_size=8))
def test_a_value_counts_among_others_of_a_list(claims, revoked, more):
    what = event(events.ClaimsRevoked, claims=revoked)
    lists = {name: [*more, value] for name, value in revoked.items()}
    entry = entry_of(what, NOW)
    verdict = judged({**claims, **nested(lists)}, (tuple(revoked),), entry, NOW)
    assert verdict.reason is Reason.CLAIMS_REVOKED
