"""No token that was accepted outlives a cut-off by its date, whoever's clock is off.

`test_decision.py` has the rule, `tests/guarantees/test_never_unrevoked.py` shows it on
real servers.
"""

from dataclasses import replace
from math import ceil, floor
from typing import NamedTuple

import pytest
from hypothesis import assume, example, given, strategies as st

from revocation import events, ledger
from revocation.decision import (
    Beyond,
    Freshness,
    Reason,
    StalenessPolicy,
    decide,
    read_token,
)
from revocation.entries import Entry, Kind, Position
from revocation.settings import LimitSettings
from tests.unit.strategies import CLAIMS, ISSUER, NAMES, NOW

SETTINGS = LimitSettings()
RULES = replace(SETTINGS.rules, names=NAMES)
LIMITS = SETTINGS.limits
POLICY = StalenessPolicy(beyond=Beyond.ALLOW)
CUTTING = [
    events.UserLoggedOut.new(source="/idp", issuer=ISSUER, user="alice"),
    events.GrantRevoked.new(source="/idp", issuer=ISSUER, user="alice", client="shop"),
    events.ClientRevoked.new(source="/idp", issuer=ISSUER, client="shop"),
    events.TenantRevoked.new(source="/idp", issuer=ISSUER, tenant="acme"),
    events.IssuerRevoked.new(source="/idp", issuer=ISSUER),
    events.DataDeleted.new(source="/idp", issuer=ISSUER, resource="dataset:42"),
]
quarters = st.integers(-8_000, 8_000).map(lambda quarter: quarter / 4)
"""How far a verifier's clock is from the brokers', in ms; 2 s at most."""
phases = st.sampled_from([0, 0.25, 0.5, 0.75])
"""Where in a millisecond something happens."""


def dated(ahead_ms, version=None):
    """What is read of a token dated so far after `NOW`."""
    issued_at = (NOW + ahead_ms) / 1_000
    times = {"iat": issued_at, "exp": issued_at + 3_600}
    claims = {**CLAIMS, **times, "ver": version}
    return read_token(claims, RULES, resources=["dataset:42"])


def check(token, at_ms, found=(), *, off_ms=0, rules=RULES):
    """Check at a time of the brokers' clock, by a clock that is off by so much."""
    skew_ms = ceil(abs(off_ms))
    return decide(
        token,
        {entry.target: entry for entry in found},
        Freshness(ready=True, as_of=NOW),
        policy=POLICY,
        rules=rules,
        now=floor(at_ms + off_ms) + skew_ms,
        skew_ms=skew_ms,
    )


def concluded(event, at_ms, version=0):
    """The entry of an event that a broker appended then."""
    (target,) = events.targets(event)
    before = None
    if target.kind is Kind.USER:
        before = Entry(target, Position(3, 7, NOW - 60_000), version=version)
    at = Position(3, 8, floor(at_ms))
    return ledger.apply(before, event, target, at, LIMITS).entry


# Laws ---------------------------------------------------------------------------------


class Course(NamedTuple):
    """A token is accepted, later cut off, later checked by somebody. Times are in ms.

    `ahead`: its date, after `NOW`. `phase`: after `NOW`, when it is accepted. `off` and
    `others_off`: how wrong the clocks of the two verifiers are.
    """

    event: events.Event
    ahead: float
    version: int | None = None
    phase: float = 0
    off: float = 0
    later: int = 0
    passed: int = 5_000
    others_off: float = 0


courses = st.builds(
    Course,
    st.sampled_from(CUTTING),
    st.integers(-4 * 30_000, 4 * 8_000).map(lambda quarter: quarter / 4),
    st.none() | st.integers(0, 5),
    phases,
    quarters,
    st.just(0) | st.integers(0, 3_000_000),
    st.integers(0, 4_000_000),
    quarters,
)


@given(courses)
@example(Course(CUTTING[0], 5_000, phase=0.75))
@example(Course(CUTTING[2], 5_000, version=5, phase=0.25))
@example(Course(CUTTING[0], 5_000, phase=0.75, off=2_000))
@example(Course(CUTTING[0], 5_000, passed=3_664_999))
def test_what_was_accepted_is_rejected_ever_after(course):
    """By any verifier, until it expires, also once regions have forgotten the entry."""
    token = dated(course.ahead, course.version)
    accepted_at = NOW + course.phase
    assume(check(token, accepted_at, off_ms=course.off).active)
    cut_at = accepted_at + course.later
    entry = concluded(course.event, cut_at, course.version or 0)
    checked_at = cut_at + course.passed
    until = entry.relevant_until(LIMITS)
    found = [entry] if until is None or checked_at < until else []
    verdict = check(token, checked_at, found, off_ms=course.others_off)
    assert not verdict.active
    if not found:
        assert verdict.reason is Reason.EXPIRED


@given(st.integers(1, 5_000), st.integers(0, 5_000))
def test_reaching_less_far_than_is_accepted_would_let_some_pass(ahead_ms, reach_ms):
    """The protection off: the law above is not true of any other number."""
    assume(reach_ms < ahead_ms)
    token = dated(ahead_ms)
    assert check(token, NOW).active
    entry = concluded(CUTTING[0], NOW)
    less = replace(RULES, clock_allowance_ms=reach_ms)
    assert check(token, NOW + ahead_ms, [entry], rules=less).active
    assert not check(token, NOW + ahead_ms, [entry]).active


# From 1 to 90 s -----------------------------------------------------------------------

LOGGED_OUT_MS = 1_500
AHEAD = [1, 4, 5, 6, 20, 50, 60, 61, 70, 90]


@pytest.mark.parametrize("ahead", AHEAD)
def test_a_token_without_a_version_is_accepted_before_a_logout_or_as_if_after(ahead):
    """Minted at `NOW`, the user logs out 1.5 s later, and it is tried ever again.

    From further ahead it is refused until its time comes; nobody can tell it then from
    one that was minted later, so it passes. That is said in the guarantees.
    """
    token = dated(ahead * 1_000)
    entry = concluded(CUTTING[0], NOW + LOGGED_OUT_MS)
    before = check(token, NOW + 1_000)
    after = [
        check(token, NOW + ms, [entry]) for ms in range(LOGGED_OUT_MS, 200_000, 500)
    ]
    if before.active:
        assert ahead <= 6
        assert {each.reason for each in after} == {Reason.ISSUED_BEFORE_CUT_OFF}
    else:
        assert ahead > 6
        refused = [each for each in after if not each.active]
        assert {each.reason for each in refused} == {Reason.UNVERIFIABLE}
        assert len(refused) * 500 >= (ahead - 5) * 1_000 - LOGGED_OUT_MS
        assert after[-1].active


@pytest.mark.parametrize("ahead", AHEAD)
def test_a_token_with_a_version_never_outlives_a_logout(ahead):
    token = dated(ahead * 1_000, version=3)
    entry = concluded(CUTTING[0], NOW + LOGGED_OUT_MS, version=3)
    reasons = {
        check(token, NOW + ms, [entry]).reason
        for ms in range(LOGGED_OUT_MS, 200_000, 500)
    }
    assert reasons <= {Reason.UNVERIFIABLE, Reason.VERSION_SUPERSEDED}


@pytest.mark.parametrize("ahead", AHEAD)
@pytest.mark.parametrize("revoked", ["jti", "sid"])
def test_the_denylist_reaches_a_token_from_ahead(ahead, revoked):
    """By `leeway_seconds` and the clock allowance at least."""
    known = {"source": "/idp", "issuer": ISSUER}
    event = (
        events.TokenRevoked.new(**known, jti="token-1")
        if revoked == "jti"
        else events.SessionEnded.new(**known, sid="session-1")
    )
    entry = concluded(event, NOW + LOGGED_OUT_MS)
    token = dated(ahead * 1_000)
    end = ceil(token.expires_at) + RULES.leeway_ms
    until = entry.relevant_until(LIMITS)
    last = check(token, end - 1, [entry] if end - 1 < until else [])
    outlived = ahead * 1_000 > LOGGED_OUT_MS + LIMITS.leeway_ms * 2 - RULES.leeway_ms
    assert last.active is (outlived and revoked == "jti")
