"""Laws of every verdict; `test_decision.py` has the rules one by one."""

from hypothesis import assume, example, given, strategies as st

from revocation.claims.claim_names import ALWAYS
from revocation.decision import Freshness, Reason, read_token
from revocation.entries import Entry, Kind, Status, Target, merge
from tests.unit.strategies import (
    CLAIMS,
    ISSUER,
    LIMITS,
    NOW,
    RULES,
    entries,
    json_values,
    odd_claims,
    sound_claims,
)
from tests.unit.verdicts import FRESH, IDS, known, verdict

about = {
    kind: entries(Target(kind, ISSUER, name), at=st.integers(0, 12))
    for kind, name in IDS.items()
}
any_found = st.sets(st.sampled_from(Kind)).flatmap(
    lambda kinds: st.tuples(*[about[kind] for kind in kinds])
)
any_freshness = st.builds(
    Freshness, st.booleans(), st.integers(NOW - 100_000, NOW + 100_000)
)


@given(
    odd_claims(),
    any_found,
    any_freshness,
    st.none() | json_values,
    st.lists(json_values, max_size=2),
)
@example({**CLAIMS, "exp": 10**400, "iat": 1.5}, (), FRESH, None, [])
@example({**CLAIMS, "exp": float("nan"), "iat": float("nan")}, (), FRESH, None, [])
def test_no_claims_raise_or_are_active_unchecked(
    claims, found, freshness, kid, resources
):
    given_verdict = verdict(
        *found, claims=claims, freshness=freshness, kid=kid, resources=resources
    )
    assert given_verdict.active is (given_verdict.reason is Reason.ACTIVE)
    if given_verdict.active:
        assert freshness.ready
        for name in (*ALWAYS, *RULES.names.required):
            assert claims[name] not in (None, "")
        token = read_token(claims, RULES, kid=kid, resources=resources)
        wanted = set(token.targets())
        assert len(wanted) >= 3 + len(set(resources))


@given(sound_claims(), any_found, any_freshness)
def test_the_order_in_which_entries_are_found_means_nothing(claims, found, freshness):
    one = verdict(*found, claims=claims, freshness=freshness)
    assert verdict(*reversed(found), claims=claims, freshness=freshness) == one


@given(
    sound_claims(),
    st.sampled_from(Kind).flatmap(lambda k: st.tuples(about[k], about[k])),
)
def test_what_is_rejected_stays_rejected_whatever_is_merged_in(claims, pair):
    """A status alone may be lifted, by a later one. Nothing else, never.

    The version's excuse close to a cut-off is no exception: merging only moves the
    cut-off away from `iat`, and the version up.
    """
    entry, other = pair
    merged = merge(entry, other)
    before = verdict(entry, claims=claims)
    assume(not before.active)
    if verdict(merged, claims=claims).active:
        assert entry.status is Status.DISABLED
        assert merged.status is Status.ACTIVE
        assert other.status_time > entry.status_time
        unblocked = Entry(
            entry.target,
            entry.source,
            entry.version,
            entry.not_before,
            entry.expires_at,
        )
        assert verdict(unblocked, claims=claims).active, "only the status rejected it"


@given(sound_claims(), st.integers(0, 4_000))
def test_a_denied_token_stays_rejected_until_it_expires(claims, seconds):
    """The ledger's denial lasts longer than the last verifier accepts the token."""
    now = NOW + seconds * 1000
    expires_at = claims["exp"] * 1000 + LIMITS.leeway_ms
    entry = known(Kind.TOKEN, expires_at=expires_at)
    fresh = Freshness(ready=True, as_of=now)
    assert not verdict(entry, claims=claims, now=now, freshness=fresh).active
    if now >= expires_at:
        gone = verdict(claims=claims, now=now, freshness=fresh)
        assert gone.reason is Reason.EXPIRED
