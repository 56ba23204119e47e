"""The refresh guard: what it allows, refuses and reports."""

from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from revocation import events
from revocation.decision import Freshness, Reason
from revocation.entries import Kind, Status, Target
from revocation.errors import PublishError, SettingsError
from revocation.guard.families import Family
from revocation.guard.refresh_guard import RefreshGuard, RefreshReason
from revocation.receipts import Receipt
from tests.unit.refreshes import (
    CUT_OFF,
    DENIED,
    GRACE_MS,
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


def counted(reason):
    labels = {"reason": str(reason)}
    return REGISTRY.get_sample_value("revocation_refreshes_total", labels) or 0


# Allowed ------------------------------------------------------------------------------


async def test_a_refresh_of_which_nothing_is_known_is_allowed():
    case, before = Case(), counted("allowed")
    decision = await case.refresh()
    assert decision
    assert decision.allowed
    assert decision.reason is RefreshReason.ALLOWED
    assert decision.verdict.active
    assert decision.receipts == ()
    assert case.published == []
    assert counted("allowed") == before + 1


async def test_the_new_tokens_carry_the_version_that_was_checked():
    """Also when the region forgot it: it knows that nothing happened since."""
    assert (await Case(stored=7).refresh()).version == 7
    assert (await Case(stored=0).refresh()).version == 7
    assert (await Case(stored=9).refresh(version=None)).version is None


async def test_the_new_tokens_are_dated_no_later_than_what_the_region_knows():
    """What is revoked in between then still reaches them."""
    behind = Freshness(ready=True, as_of=NOW - 4_200)
    decision = await Case(freshness=behind).refresh()
    assert decision.latest_iat == (NOW - 4_200) // 1_000
    missed = known(Kind.GRANT, not_before=NOW - 4_000)
    assert decision.latest_iat * 1_000 < missed.not_before


async def test_two_refreshes_that_race_are_both_allowed():
    case, before = Case(), counted("concurrent")
    decision = await case.refresh(rotated_at=NOW - GRACE_MS)
    assert decision.allowed
    assert decision.reason is RefreshReason.CONCURRENT
    assert case.published == []
    assert counted("concurrent") == before + 1


async def test_a_rotation_by_a_node_whose_clock_is_a_little_ahead_is_a_race():
    decision = await Case().refresh(rotated_at=NOW + 4_000)
    assert decision.reason is RefreshReason.CONCURRENT


async def test_the_lifetime_rule_of_access_tokens_does_not_reject_a_refresh_token():
    decision = await Case().refresh(issued_at=NOW - REMEMBERED_MS + 1_000)
    assert decision.allowed


async def test_claims_that_only_access_tokens_have_are_not_required():
    rules = replace(
        RULES, names=replace(RULES.names, required=("aud", "azp", "scope", "sid"))
    )
    assert (await Case(rules=rules).refresh()).allowed


# Reuse --------------------------------------------------------------------------------


async def test_reuse_ends_the_session():
    case = Case()
    decision = await case.refresh(rotated_at=NOW - GRACE_MS - 1)
    assert not decision
    assert decision.reason is RefreshReason.REUSED
    assert decision.receipts == (Receipt(1, 41),)
    assert decision.error is None
    (event,) = case.published
    assert isinstance(event, events.SessionEnded)
    (target,) = events.targets(event)
    assert target == Target(Kind.SESSION, ISSUER, "session-1")
    assert (event.source, event.data.tenant) == ("/refresh-guard", "acme")


async def test_a_revoked_refresh_token_that_is_used_ends_the_session():
    case = Case(known(Kind.TOKEN, **DENIED))
    decision = await case.refresh()
    assert decision.reason is RefreshReason.REUSED
    assert decision.verdict.reason is Reason.TOKEN_REVOKED
    assert len(case.published) == 1


async def test_within_the_grace_a_revoked_refresh_token_is_reuse_all_the_same():
    case = Case(known(Kind.TOKEN, **DENIED))
    decision = await case.refresh(rotated_at=NOW)
    assert decision.reason is RefreshReason.REUSED


@pytest.mark.parametrize(
    "freshness",
    [Freshness(ready=False, as_of=0), Freshness(ready=True, as_of=NOW - 3_600_000)],
    ids=["not ready", "stale"],
)
async def test_reuse_that_the_issuer_knows_of_needs_no_region(freshness):
    case = Case(freshness=freshness, away=True)
    decision = await case.refresh(rotated_at=NOW - MINUTE)
    assert decision.reason is RefreshReason.REUSED
    assert len(case.published) == 1
    assert case.region.asked == []


async def test_reuse_is_refused_when_kafka_does_not_acknowledge():
    case = Case(publisher=FakePublisher(refusal=PublishError("not acknowledged")))
    decision = await case.refresh(rotated_at=NOW - MINUTE)
    assert not decision.allowed
    assert decision.reason is RefreshReason.REUSED
    assert isinstance(decision.error, PublishError)
    case.publisher.refusal = None
    again = await case.refresh(rotated_at=NOW - MINUTE)
    assert again.error is None
    assert len(case.published) == 1


async def test_reuse_is_refused_when_kafka_does_not_answer():
    silent = FakePublisher(silent=True)
    case = Case(publisher=silent, guard={"publish_timeout_seconds": 0.01})
    decision = await case.refresh(rotated_at=NOW - MINUTE)
    assert not decision.allowed
    assert decision.error.retriable


async def test_a_session_that_no_event_can_name_is_reported():
    decision = await Case().refresh(rotated_at=NOW - MINUTE, session="s" * 600)
    assert not decision.allowed
    assert decision.error.code == "invalid_event"
    assert "sss" not in str(decision.error)


async def test_a_token_that_is_replayed_does_not_fill_the_log():
    case = Case()
    first = await case.refresh(rotated_at=NOW - MINUTE)
    for _ in range(100):
        again = await case.refresh(rotated_at=NOW - MINUTE)
        assert again.receipts == first.receipts
    assert len(case.published) == 1
    await case.refresh(rotated_at=NOW - MINUTE, session="session-2")
    assert len(case.published) == 2


async def test_a_family_is_ended_again_after_a_while():
    """The denylist forgets, too."""
    case = Case()
    await case.refresh(rotated_at=NOW - MINUTE)
    case.now += MINUTE
    await case.refresh(rotated_at=NOW - MINUTE)
    assert len(case.published) == 2


async def test_families_that_were_ended_take_bounded_memory():
    case = Case()
    families = case.guard._families
    for number in range(10_050):
        await families.end(Family(ISSUER, f"session-{number}"), NOW)
    assert len(families._ended) == 10_000


# Refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (known(Kind.USER, status=Status.DISABLED), Reason.USER_DISABLED),
        (known(Kind.USER, status=Status.DELETED), Reason.USER_DELETED),
        (known(Kind.USER, version=8), Reason.VERSION_SUPERSEDED),
        (known(Kind.USER, **CUT_OFF), Reason.ISSUED_BEFORE_CUT_OFF),
        (known(Kind.SESSION, **DENIED), Reason.SESSION_ENDED),
        (known(Kind.GRANT, **CUT_OFF), Reason.GRANT_REVOKED),
        (known(Kind.CLIENT, **CUT_OFF), Reason.CLIENT_REVOKED),
        (known(Kind.TENANT, **CUT_OFF), Reason.TENANT_REVOKED),
        (known(Kind.ISSUER, **CUT_OFF), Reason.ISSUER_REVOKED),
        (known(Kind.RESOURCE, **CUT_OFF), Reason.RESOURCE_DELETED),
    ],
    ids=lambda value: str(value) if isinstance(value, Reason) else "",
)
async def test_whatever_is_revoked_refuses_the_refresh(entry, reason):
    case = Case(entry)
    decision = await case.refresh()
    assert not decision.allowed
    assert decision.reason is RefreshReason.REVOKED
    assert decision.verdict.reason is reason
    assert decision.version is decision.latest_iat is None
    assert case.published == []


async def test_a_logout_that_only_the_store_knows_of_refuses_the_refresh():
    """Or the new tokens would carry the version of the logout, and survive it."""
    decision = await Case(stored=8).refresh(version=7)
    assert not decision.allowed
    assert decision.reason is RefreshReason.REVOKED
    assert decision.verdict.reason is Reason.VERSION_SUPERSEDED
    assert not decision.verdict


@pytest.mark.parametrize(
    "region",
    [
        {"freshness": Freshness(ready=False, as_of=0)},
        {"freshness": Freshness(ready=True, as_of=NOW - 6_000)},
        {"away": True},
    ],
    ids=["not ready", "behind", "away"],
)
async def test_in_an_unknown_state_the_refresh_waits_and_nothing_is_revoked(region):
    case = Case(**region)
    for changes in ({}, {"rotated_at": NOW - 1_000}):
        decision = await case.refresh(**changes)
        assert not decision.allowed
        assert decision.reason is RefreshReason.STALE
    assert case.published == []


async def test_a_refresh_token_past_its_end_is_refused():
    decision = await Case().refresh(expires_at=NOW)
    assert decision.reason is RefreshReason.EXPIRED


async def test_a_refresh_token_older_than_the_regions_memory_is_unverifiable():
    """It is said what to configure, and nobody is named."""
    case = Case()
    decision = await case.refresh(issued_at=NOW - REMEMBERED_MS - 1_000)
    assert decision.reason is RefreshReason.UNVERIFIABLE
    assert "max_token_lifetime_seconds" in decision.detail
    assert "3602 s old" in decision.detail
    assert case.region.asked == []


@pytest.mark.parametrize(
    "changes",
    [
        {"issued_at": NOW + 2 * MINUTE},
        {"rotated_at": NOW + MINUTE},
        {"user": ""},
        {"client": "c" * 600},
        {"issuer": "no issuer"},
        {"resources": ("42",)},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_what_no_cut_off_or_event_reaches_is_unverifiable(changes):
    case = Case()
    decision = await case.refresh(**changes)
    assert not decision.allowed
    assert decision.reason is RefreshReason.UNVERIFIABLE
    assert case.published == []


async def test_nothing_that_is_shown_names_anybody():
    case = Case(known(Kind.USER, status=Status.DISABLED))
    assert "alice" not in repr(REQUEST)
    decision = await case.refresh(issued_at=0)
    assert "alice" not in repr(decision)


# Construction -------------------------------------------------------------------------


def test_refresh_tokens_that_outlive_the_regions_memory_are_refused_at_the_start():
    with pytest.raises(SettingsError, match="max_token_lifetime_seconds"):
        Case(guard={"longest_refresh_ms": REMEMBERED_MS + 1})
    Case(guard={"longest_refresh_ms": REMEMBERED_MS})


def test_the_memory_is_the_shorter_of_that_of_users_and_that_of_sessions():
    rules = replace(RULES, longest_token_ms=14 * 86_400_000)
    with pytest.raises(SettingsError, match="86400000 ms"):
        Case(rules=rules, guard={"longest_refresh_ms": 86_400_001})


def test_a_negative_grace_is_refused():
    with pytest.raises(SettingsError, match="grace"):
        RefreshGuard(FakeVerifier(), FakePublisher(), longest_session_ms=1, grace_ms=-1)


def test_codes_are_stable():
    assert [*RefreshReason] == [
        *("allowed", "concurrent", "reused", "revoked"),
        *("expired", "unverifiable", "stale"),
    ]
