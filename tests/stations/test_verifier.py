"""The verifier, over a store in memory; `tests/unit/test_decision.py` has the rule."""

import time

import pytest

from revocation import metrics
from revocation.decision import Beyond, Reason, StalenessPolicy
from revocation.entries import Entry, Kind, Position, Status, Target
from revocation.errors import SettingsError, StoreUnavailableError, StoreUnsuitableError
from revocation.settings import LimitSettings, VerifierSettings
from revocation.store import Batch, Mark
from revocation.verifier import Verifier
from tests.stations.regions import FailingStore, now_ms
from tests.traffic import ISSUER, claims

RULES = LimitSettings().rules


async def store_as_of(age_ms=0, *entries, rebuilt=True):
    """A store whose only partition is as old as that."""
    store = FailingStore()
    mark = Mark(1, 1, now_ms() - age_ms, 1, rebuilt)
    await store.begin("epoch", partitions=1)
    await store.apply("epoch", Batch(entries, {0: mark}, {}))
    return store


def cut_off(kind, name, **state):
    at = Position(0, 7, now_ms())
    return Entry(Target(kind, ISSUER, name), at, not_before=at.time, **state)


def token(name="alice", **more):
    return claims(name, now=int(time.time()), **more)


def counted(reason, route="read", *, stale=False):
    return metrics.VERDICTS.labels(reason, route, stale)._value.get()


# Verdicts -----------------------------------------------------------------------------


async def test_a_token_that_nothing_speaks_against_is_active():
    async with Verifier(await store_as_of(), RULES) as verifier:
        verdict = await verifier.check(token())
    assert verdict.active
    assert verdict.reason is Reason.ACTIVE
    assert 0 <= verdict.staleness_ms < 1_000


async def test_what_rejects_is_said_with_its_receipt():
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    async with Verifier(store, RULES) as verifier:
        verdict = await verifier.check(token())
        other = await verifier.check(token("bob"))
    assert not verdict.active
    assert verdict.reason is Reason.ISSUED_BEFORE_CUT_OFF
    assert verdict.receipt == "0-7"
    assert other.active


async def test_the_key_is_looked_up():
    revoked = cut_off(Kind.KEY, "k1", status=Status.DISABLED)
    async with Verifier(await store_as_of(0, revoked), RULES) as verifier:
        assert (await verifier.check(token())).active
        verdict = await verifier.check(token(), kid="k1")
    assert verdict.reason is Reason.KEY_REVOKED


async def test_resources_are_looked_up():
    deleted = cut_off(Kind.RESOURCE, "dataset:42")
    async with Verifier(await store_as_of(0, deleted), RULES) as verifier:
        touched = await verifier.check(token(), resources=["dataset:7", "dataset:42"])
        other = await verifier.check(token(), resources=["dataset:7"])
    assert touched.reason is Reason.RESOURCE_DELETED
    assert other.active


@pytest.mark.parametrize(
    "asked", [{"kid": "\ud800"}, {"kid": "k" * 600}, {"resources": ["dataset"]}]
)
async def test_what_no_event_can_name_is_unverifiable(asked):
    async with Verifier(await store_as_of(), RULES) as verifier:
        verdict = await verifier.check(token(), **asked)
    assert verdict.reason is Reason.UNVERIFIABLE


# Freshness ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_ms", "route", "reason", "stale"),
    [
        (1_000, "write", Reason.ACTIVE, False),
        (8_000, "write", Reason.STALE, True),
        (8_000, "read", Reason.ACTIVE, True),
        (70_000, "read", Reason.STALE, True),
        (10**9, "lax", Reason.ACTIVE, True),
    ],
)
async def test_each_route_class_does_as_its_policy_says(age_ms, route, reason, stale):
    policies = {
        "read": StalenessPolicy(max_staleness_ms=60_000),
        "write": StalenessPolicy(),
        "lax": StalenessPolicy(beyond=Beyond.ALLOW),
    }
    async with Verifier(await store_as_of(age_ms), RULES, policies) as verifier:
        before = counted(reason, route, stale=stale)
        verdict = await verifier.check(token(), route=route)
        after = counted(reason, route, stale=stale)
    assert (verdict.reason, verdict.stale) == (reason, stale)
    assert after == before + 1


def test_settings_say_how_stale_reads_and_writes_may_be(tmp_path):
    pepper = tmp_path / "pepper"
    pepper.write_text("p" * 64)
    settings = VerifierSettings(
        region="eu",
        store_url="redis://nowhere",
        pepper_file=pepper,
        read_max_staleness_ms=7_000,
        write_max_staleness_ms=3_000,
    )
    policies = Verifier.from_settings(settings)._policies
    assert policies["read"].max_staleness_ms == 7_000
    assert policies["write"].max_staleness_ms == 3_000


async def test_an_unknown_route_class_is_an_error_that_names_the_known():
    """A misspelt one must not fall back to the laxest."""
    async with Verifier(await store_as_of(), RULES) as verifier:
        with pytest.raises(SettingsError, match="'wirte'; known: read, write"):
            await verifier.check(token(), route="wirte")


@pytest.mark.parametrize("route", ["read", "write"])
async def test_a_store_that_is_away_gives_not_ready_and_never_active(route):
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    async with Verifier(store, RULES) as verifier:
        store.available = False
        before = counted(Reason.NOT_READY, route)
        verdict = await verifier.check(token(), route=route)
        with pytest.raises(StoreUnavailableError):
            await verifier.region()
        assert counted(Reason.NOT_READY, route) == before + 1
        store.available = True
        again = await verifier.check(token(), route=route)
    assert not verdict.active
    assert verdict.reason is Reason.NOT_READY
    assert again.reason is Reason.ISSUED_BEFORE_CUT_OFF


async def test_a_region_that_is_not_complete_gives_not_ready():
    async with Verifier(await store_as_of(rebuilt=False), RULES) as verifier:
        assert (await verifier.check(token())).reason is Reason.NOT_READY
        assert not (await verifier.region()).freshness.ready


# Clocks -------------------------------------------------------------------------------


class Skewed(FailingStore):
    skew_ms = 0

    async def clock_skew_ms(self):
        return self.skew_ms


@pytest.mark.parametrize("skew_ms", [-3_000, 2_001])
async def test_clocks_too_far_apart_are_refused(skew_ms):
    """An answer's age could not be told."""
    store = Skewed()
    store.skew_ms = skew_ms
    with pytest.raises(StoreUnsuitableError, match=f"differs by {skew_ms} ms"):
        await Verifier(store, RULES, max_clock_skew_ms=2_000).start()


@pytest.mark.parametrize("skew_ms", [-1_500, 1_500])
async def test_a_difference_that_is_allowed_counts_as_age(skew_ms):
    """Rather too stale than too fresh: nobody knows whose clock is wrong."""
    store = Skewed()
    store.skew_ms = skew_ms
    await store.begin("epoch", partitions=1)
    mark = Mark(1, 1, now_ms() - 2_000, 1, rebuilt=True)
    await store.apply("epoch", Batch([], {0: mark}, {}))
    async with Verifier(store, RULES) as verifier:
        verdict = await verifier.check(token())
    assert 3_500 <= verdict.staleness_ms < 4_500


async def test_nothing_is_said_before_the_clocks_were_compared():
    """The store may be complete, but nobody knows how old its answers are."""
    verifier = Verifier(await store_as_of(0, cut_off(Kind.USER, "alice")), RULES)
    assert (await verifier.check(token("bob"))).reason is Reason.NOT_READY
    assert not (await verifier.region()).freshness.ready
    async with verifier:
        assert (await verifier.check(token("bob"))).active
        assert (await verifier.region()).freshness.ready


async def test_a_store_that_is_away_at_the_start_is_told():
    store = FailingStore()
    store.available = False
    with pytest.raises(StoreUnavailableError):
        await Verifier(store, RULES).start()


async def test_verdicts_are_counted_by_reason():
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    async with Verifier(store, RULES) as verifier:
        reasons = (Reason.ACTIVE, Reason.ISSUED_BEFORE_CUT_OFF)
        before = [counted(reason) for reason in reasons]
        for name in ("bob", "alice", "carol"):
            await verifier.check(token(name))
        after = [counted(reason) for reason in reasons]
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 1]
