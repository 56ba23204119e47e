"""The verdict: each reason, and their order."""

import itertools
from dataclasses import replace

import pytest

from revocation import decision
from revocation.claims.claim_names import ClaimNames
from revocation.decision import Beyond, Freshness, Reason, StalenessPolicy
from revocation.entries import DENYLIST_KINDS, Kind, Status
from tests.unit.strategies import CLAIMS, NOW, RULES
from tests.unit.verdicts import (
    HERE,
    ISSUED_AT,
    READ,
    WRITE,
    issued,
    known,
    verdict,
)

ACTIVE, DISABLED, DELETED = Status.ACTIVE, Status.DISABLED, Status.DELETED
REACHES = ISSUED_AT - RULES.clock_allowance_ms
"""The earliest cut-off that reaches the token."""


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (known(Kind.KEY, status=DISABLED), Reason.KEY_REVOKED),
        (known(Kind.ISSUER, not_before=REACHES), Reason.ISSUER_REVOKED),
        (known(Kind.ISSUER, status=DISABLED), Reason.ISSUER_REVOKED),
        (known(Kind.TENANT, not_before=REACHES), Reason.TENANT_REVOKED),
        (known(Kind.TENANT, status=DISABLED), Reason.TENANT_REVOKED),
        (known(Kind.CLIENT, not_before=REACHES), Reason.CLIENT_REVOKED),
        (known(Kind.CLIENT, status=DISABLED), Reason.CLIENT_REVOKED),
        (known(Kind.USER, status=DELETED), Reason.USER_DELETED),
        (known(Kind.USER, status=DISABLED), Reason.USER_DISABLED),
        (known(Kind.USER, version=4), Reason.VERSION_SUPERSEDED),
        (known(Kind.USER, not_before=NOW), Reason.ISSUED_BEFORE_CUT_OFF),
        (known(Kind.GRANT, not_before=REACHES), Reason.GRANT_REVOKED),
        (known(Kind.CLAIMS, not_before=REACHES), Reason.CLAIMS_REVOKED),
        (known(Kind.CLAIMS, status=DISABLED), Reason.CLAIMS_REVOKED),
        (known(Kind.SESSION, expires_at=NOW + 1), Reason.SESSION_ENDED),
        (known(Kind.TOKEN, expires_at=NOW + 1), Reason.TOKEN_REVOKED),
        (known(Kind.RESOURCE, not_before=REACHES), Reason.RESOURCE_DELETED),
    ],
)
def test_what_rejects_a_token(entry, reason):
    given_verdict = verdict(entry)
    assert not given_verdict.active
    assert given_verdict.reason is reason
    assert given_verdict.receipt == "3-7"


@pytest.mark.parametrize("kind", Kind)
def test_an_entry_that_no_longer_applies_rejects_nothing(kind):
    """A cut-off that ends a ms before `iat`, a lapsed denial, the same version."""
    entry = known(kind, not_before=REACHES - 1, version=3, expires_at=NOW)
    assert verdict(entry).active


def test_nothing_found_and_fresh_is_active():
    given_verdict = verdict()
    assert given_verdict.active
    assert given_verdict.reason is Reason.ACTIVE
    assert given_verdict.as_of == NOW - 300
    assert given_verdict.staleness_ms == 300
    assert not given_verdict.stale
    assert given_verdict.receipt is given_verdict.detail is None


# Order --------------------------------------------------------------------------------

PRECEDENCE = [
    known(Kind.KEY, status=DISABLED),
    known(Kind.ISSUER, status=DISABLED),
    known(Kind.TENANT, status=DISABLED),
    known(Kind.CLIENT, status=DISABLED),
    known(Kind.USER, status=DELETED, version=4, not_before=NOW),
    known(Kind.GRANT, not_before=REACHES),
    known(Kind.CLAIMS, not_before=REACHES),
    known(Kind.SESSION, expires_at=NOW + 1),
    known(Kind.TOKEN, expires_at=NOW + 1),
    known(Kind.RESOURCE, not_before=REACHES),
]


@pytest.mark.parametrize(("first", "second"), [*itertools.pairwise(PRECEDENCE)])
@pytest.mark.parametrize("policy", [READ, WRITE])
def test_the_broader_reason_is_given(first, second, policy):
    stale = Freshness(ready=True, as_of=0)
    both = [
        verdict(*pair, policy=policy) for pair in [(first, second), (second, first)]
    ]
    assert {each.reason for each in both} == {verdict(first).reason}
    known_though_stale = verdict(second, first, freshness=stale, policy=policy)
    assert known_though_stale.reason is verdict(first).reason


def test_of_a_user_the_status_is_given_first_then_version_then_cut_off():
    reasons = [
        verdict(known(Kind.USER, status=status, version=version, not_before=NOW)).reason
        for status, version in [(DELETED, 9), (DISABLED, 9), (ACTIVE, 9), (ACTIVE, 0)]
    ]
    assert reasons == [
        Reason.USER_DELETED,
        Reason.USER_DISABLED,
        Reason.VERSION_SUPERSEDED,
        Reason.ISSUED_BEFORE_CUT_OFF,
    ]


def test_a_cache_that_is_not_ready_says_nothing_else():
    cold = Freshness(ready=False, as_of=NOW)
    for claims in CLAIMS, {}, None:
        given_verdict = verdict(*PRECEDENCE, claims=claims, freshness=cold)
        assert given_verdict.reason is Reason.NOT_READY
        assert not given_verdict.active


def test_unverifiable_takes_precedence_over_entries():
    given_verdict = verdict(*PRECEDENCE, claims={**CLAIMS, "jti": None})
    assert given_verdict.reason is Reason.UNVERIFIABLE
    assert given_verdict.detail == "the token has no `jti` claim"
    assert given_verdict.receipt is None


@pytest.mark.parametrize("asked", [{"kid": 5}, {"resources": ["42"]}])
def test_kid_and_resources_must_be_nameable_too(asked):
    assert verdict(**asked).reason is Reason.UNVERIFIABLE


@pytest.mark.parametrize("ahead", [5, 5.0])
def test_an_issuers_clock_may_be_ahead_by_the_clock_allowance(ahead):
    assert verdict(claims={**CLAIMS, "iat": NOW // 1000 + ahead}).active


@pytest.mark.parametrize(
    ("ahead", "said"), [(5.001, 6), (6, 6), (20, 20), (10**6, 10**6)]
)
def test_a_token_from_further_ahead_is_unverifiable(ahead, said):
    """A logout at this moment would not reach it. Nothing else of it is said."""
    claims = {**CLAIMS, "iat": NOW // 1000 + ahead, "exp": NOW // 1000 + ahead + 1}
    given_verdict = verdict(claims=claims)
    assert given_verdict.reason is Reason.UNVERIFIABLE
    assert given_verdict.detail == (
        f"the `iat` claim is {said} s in the future; at most 5 s are accepted "
        "(clock_allowance_seconds)"
    )


@pytest.mark.parametrize(("skew_ms", "active"), [(0, True), (10, True), (11, False)])
def test_a_token_is_from_ahead_by_the_earliest_time_that_it_may_be(skew_ms, active):
    """The brokers' clock, which dates cut-offs, may be behind the verifier's."""
    claims = {**CLAIMS, "iat": NOW // 1000 + 4.98}
    assert verdict(claims=claims, skew_ms=skew_ms).active is active


def test_an_expired_token_is_expired_before_anything_known():
    """Denylist entries end there, so nothing else could be said reliably."""
    late = (CLAIMS["exp"] * 1000) + RULES.leeway_ms
    fresh = Freshness(ready=True, as_of=late)
    assert verdict(*PRECEDENCE, now=late, freshness=fresh).reason is Reason.EXPIRED
    assert verdict(now=late - 1, freshness=fresh).active


def test_a_token_may_not_live_longer_than_its_denylist_entry():
    issued_at = CLAIMS["iat"]
    longest = {**CLAIMS, "exp": issued_at + 3_600}
    assert verdict(claims=longest).active
    longer = {**CLAIMS, "exp": issued_at + 3_600.001}
    assert verdict(claims=longer).reason is Reason.LIFETIME_EXCEEDED


# Logging in again ---------------------------------------------------------------------

LOGGED_OUT = known(Kind.USER, version=4, not_before=HERE.time)


@pytest.mark.parametrize(
    ("after", "version", "reason"),
    [
        (0, 4, Reason.ACTIVE),
        (-0.9, 4, Reason.ACTIVE),
        (-5, 4, Reason.ACTIVE),
        (-5, 9, Reason.ACTIVE),
        (-5.001, 4, Reason.ISSUED_BEFORE_CUT_OFF),
        (-600, 9, Reason.ISSUED_BEFORE_CUT_OFF),
        (-5.001, None, Reason.ISSUED_BEFORE_CUT_OFF),
        (-0.001, None, Reason.ISSUED_BEFORE_CUT_OFF),
        (-0.001, 3, Reason.VERSION_SUPERSEDED),
        (0, None, Reason.ISSUED_BEFORE_CUT_OFF),
        (5, None, Reason.ISSUED_BEFORE_CUT_OFF),
        (5, 4, Reason.ACTIVE),
        (5, 3, Reason.VERSION_SUPERSEDED),
        (5.001, None, Reason.ACTIVE),
        (30, None, Reason.ACTIVE),
        (30, 4, Reason.ACTIVE),
        (30, 3, Reason.VERSION_SUPERSEDED),
        (30, -1, Reason.VERSION_SUPERSEDED),
        (30, 10**400, Reason.ACTIVE),
    ],
)
def test_close_to_a_cut_off_the_version_is_believed_over_the_clock(
    after, version, reason
):
    assert verdict(LOGGED_OUT, claims=issued(after, ver=version)).reason is reason


def test_the_version_excuses_only_from_the_users_cut_off():
    claims = issued(-1, ver=9)
    for kind in set(Kind) - DENYLIST_KINDS - {Kind.USER, Kind.KEY}:
        assert not verdict(known(kind, not_before=HERE.time), claims=claims).active


def test_the_version_claim_is_as_configured():
    rules = replace(RULES, names=ClaimNames(version="gen"))
    claims = issued(-1, ver=9, gen=3)
    superseded = Reason.VERSION_SUPERSEDED
    assert verdict(LOGGED_OUT, claims=claims, rules=rules).reason is superseded


# Freshness ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "age", "reason", "stale"),
    [
        (WRITE, 5_000, Reason.ACTIVE, False),
        (WRITE, 5_001, Reason.STALE, True),
        (READ, 5_000, Reason.ACTIVE, False),
        (READ, 5_001, Reason.ACTIVE, True),
        (READ, 60_000, Reason.ACTIVE, True),
        (READ, 60_001, Reason.STALE, True),
        (StalenessPolicy(beyond=Beyond.ALLOW), 10**9, Reason.ACTIVE, True),
        (StalenessPolicy(max_staleness_ms=0), 0, Reason.ACTIVE, False),
        (StalenessPolicy(max_staleness_ms=0), 1, Reason.STALE, True),
    ],
)
def test_what_is_known_may_be_only_so_old(policy, age, reason, stale):
    freshness = Freshness(ready=True, as_of=NOW - age)
    given_verdict = verdict(policy=policy, freshness=freshness)
    assert given_verdict.reason is reason
    assert given_verdict.stale is stale
    assert given_verdict.staleness_ms == age


@pytest.mark.parametrize(
    ("ahead", "staleness", "reason"),
    [
        (1, 0, Reason.ACTIVE),
        (5_000, 0, Reason.ACTIVE),
        (5_001, 5_001, Reason.STALE),
        (10**9, 10**9, Reason.STALE),
    ],
)
def test_a_watermark_of_the_future_is_a_wrong_clock(ahead, staleness, reason):
    """With a clock that is behind, a dead pipeline would look fresh."""
    freshness = Freshness(ready=True, as_of=NOW + ahead)
    given_verdict = verdict(policy=WRITE, freshness=freshness)
    assert given_verdict.staleness_ms == staleness
    assert given_verdict.reason is reason


def test_a_rejection_stands_however_old():
    ancient = Freshness(ready=True, as_of=0)
    entry = known(Kind.TOKEN, expires_at=NOW + 1)
    assert verdict(entry, freshness=ancient).reason is Reason.TOKEN_REVOKED


def test_a_kind_without_a_reason_fails_at_import():
    decision._require_reasons(Kind)
    with pytest.raises(TypeError, match="entries of device"):
        decision._require_reasons([*Kind, "device"])
