"""Laws of every refresh, whatever the region's state."""

from dataclasses import replace

from hypothesis import given, strategies as st

from revocation import events, ledger
from revocation.decision import DEFAULT_POLICIES, Freshness
from revocation.entries import Kind, Position, Status
from revocation.errors import PublishError
from revocation.guard.refresh_guard import RefreshGuard, RefreshReason
from revocation.settings import LimitSettings
from tests.unit.refreshes import (
    GRACE_MS,
    IDS,
    ISSUER,
    MINUTE,
    NOW,
    REMEMBERED_MS,
    REQUEST,
    RULES,
    Case,
    FakePublisher,
    FakeVerifier,
    known,
)

TIMES = st.integers(NOW - 40 * 86_400_000, NOW + 3 * MINUTE)
STATES = st.fixed_dictionaries(
    {},
    optional={
        "not_before": TIMES,
        "expires_at": TIMES,
        "version": st.integers(0, 9),
        "status": st.sampled_from(Status),
    },
)
ENTRIES = st.lists(
    st.builds(lambda kind, state: known(kind, **state), st.sampled_from([*IDS]), STATES)
)
REGIONS = st.fixed_dictionaries(
    {
        "freshness": st.builds(Freshness, st.booleans(), TIMES),
        "stored": st.integers(0, 9),
        "away": st.booleans(),
    }
)
REQUESTS = st.fixed_dictionaries(
    {
        "issued_at": TIMES,
        "expires_at": TIMES,
        "version": st.none() | st.integers(0, 9),
        "rotated_at": st.none() | TIMES,
        "session": st.sampled_from(["session-1", "", "s" * 600]),
    }
)
PUBLISHERS = st.builds(
    FakePublisher, refusal=st.none() | st.just(PublishError("not acknowledged"))
)


@given(
    ENTRIES, REGIONS, REQUESTS, PUBLISHERS, st.integers(GRACE_MS + 1, 40 * 86_400_000)
)
async def test_reuse_outside_the_grace_is_never_allowed(
    entries, region, request_, publisher, since
):
    """Whatever else is known, and whether or not Kafka is there."""
    case = Case(*entries, publisher=publisher, **region)
    decision = await case.refresh(**{**request_, "rotated_at": NOW - since})
    assert not decision.allowed
    assert decision.reason is RefreshReason.REUSED
    assert bool(decision.receipts) == (decision.error is None)
    assert len(publisher.published) == len(decision.receipts)


@given(ENTRIES, REGIONS, REQUESTS)
async def test_what_is_allowed_was_checked(entries, region, request_):
    case = Case(*entries, **region)
    decision = await case.refresh(**request_)
    assert decision.allowed == (
        decision.reason in {RefreshReason.ALLOWED, RefreshReason.CONCURRENT}
    )
    if not decision.allowed:
        return
    assert decision.verdict.active
    assert region["freshness"].ready
    assert NOW - region["freshness"].as_of <= DEFAULT_POLICIES["write"].max_staleness_ms
    assert NOW - request_["issued_at"] <= REMEMBERED_MS
    assert request_["expires_at"] > NOW
    assert not [entry for entry in entries if entry.status is not Status.ACTIVE]
    if request_["version"] is not None:
        assert decision.version == request_["version"] >= region["stored"]


REVOKING = [
    (Kind.USER, events.UserLoggedOut, {"user": "alice"}),
    (Kind.SESSION, events.SessionEnded, {"sid": "session-1"}),
    (Kind.TOKEN, events.TokenRevoked, {"jti": "refresh-1"}),
    (Kind.GRANT, events.GrantRevoked, {"user": "alice", "client": "shop"}),
    (Kind.CLIENT, events.ClientRevoked, {"client": "shop"}),
    (Kind.RESOURCE, events.DataDeleted, {"resource": "dataset:42"}),
]
AHEAD_MS = LimitSettings().rules.clock_allowance_ms
LIMITS = st.builds(
    LimitSettings,
    max_token_lifetime_seconds=st.integers(60, 14 * 86_400),
    max_session_seconds=st.integers(60, 14 * 86_400),
    leeway_seconds=st.integers(0, 600),
)


@given(
    st.sampled_from(REVOKING),
    LIMITS,
    st.integers(-AHEAD_MS, 15 * 86_400_000),
    st.integers(0, 15 * 86_400_000),
    st.none() | st.just(0),
)
async def test_a_region_that_forgets_lets_no_revoked_refresh_token_pass(
    revoking, limits, lived_ms, passed_ms, version
):
    """Revoked `lived_ms` after its date, it comes `passed_ms` after that.

    Its issuer's clock may be ahead: then it is revoked before its date.
    """
    kind, model, data = revoking
    issued_at = NOW // 1_000 * 1_000
    at = Position(3, 17, issued_at + lived_ms)
    now = at.time + passed_ms
    event = model.new(source="/idp", issuer=ISSUER, **data)
    (target,) = events.targets(event)
    entry = ledger.apply(None, event, target, at, limits.limits).entry
    until = entry.relevant_until(limits.limits)
    remembered = [entry] if until is None or now < until else []
    region = FakeVerifier(
        tuple(remembered),
        Freshness(ready=True, as_of=now),
        stored=entry.version if remembered else 0,
        now=now,
        rules=replace(limits.rules, names=RULES.names),
    )
    guard = RefreshGuard(
        region,
        FakePublisher(),
        longest_session_ms=limits.limits.longest_session_ms,
        clock=lambda: now / 1_000,
    )
    decision = await guard.guard_refresh(
        replace(
            REQUEST,
            issued_at=issued_at,
            expires_at=now + 30 * 86_400_000,
            version=version,
        )
    )
    assert not decision.allowed
    assert target.kind is kind
