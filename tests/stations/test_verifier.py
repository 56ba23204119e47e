"""Both verifiers, over a store in memory.

Common behaviour is tested with both. Siblings: `tests/unit/test_decision.py` (the rule)
and `test_feed.py` (the replica).
"""

import time

import pytest
from prometheus_client import REGISTRY

from revocation import metrics
from revocation.decision import DEFAULT_POLICIES, Beyond, Reason, StalenessPolicy
from revocation.entries import Entry, Kind, Position, Status, Target
from revocation.errors import (
    NotAppliedError,
    SettingsError,
    StoreColdError,
    StoreUnavailableError,
    StoreUnsuitableError,
)
from revocation.receipts import Receipt
from revocation.settings import LimitSettings, VerifierSettings
from revocation.store.contract import Batch, Mark
from revocation.verifier import RemoteVerifier, Verifier
from revocation.verifier.base_verifier import VerifierParts
from tests.identities import identity
from tests.stations.regions import FailingStore, now_ms
from tests.traffic import ISSUER, claims

RULES = LimitSettings().rules


async def store_as_of(age_ms=0, *entries, rebuilt=True):
    """Return a store whose only partition has this age."""
    store = FailingStore()
    mark = Mark(1, 1, now_ms() - age_ms, 1, rebuilt)
    await store.begin("epoch", identity())
    await store.apply("epoch", Batch(entries, {0: mark}, {}))
    return store


def with_replica(store, policies=DEFAULT_POLICIES, **options):
    options = {"peppers": (store.pepper,), "start_timeout_seconds": 1, **options}
    return Verifier(parts(store, policies), store, **options)


def remote(store, policies=DEFAULT_POLICIES, **options):
    return RemoteVerifier(parts(store, policies), **options)


def parts(store, policies=DEFAULT_POLICIES):
    return VerifierParts(store=store, rules=RULES, policies=policies)


@pytest.fixture(params=[with_replica, remote], ids=["replica", "remote"])
def over(request):
    """Make a verifier of each kind over a store."""
    return request.param


def cut_off(kind, name, **state):
    at = Position(0, 7, now_ms())
    return Entry(Target(kind, ISSUER, name), at, not_before=at.time, **state)


def token(name="alice", **more):
    return claims(name, now=int(time.time()), **more)


def counted(reason, route="read", *, stale=False):
    labels = {"reason": reason, "route": route, "stale": str(stale)}
    return REGISTRY.get_sample_value("revocation_verdicts_total", labels) or 0


# Verdicts -----------------------------------------------------------------------------


async def test_a_token_without_a_rejecting_entry_is_active(over):
    async with over(await store_as_of()) as verifier:
        verdict = await verifier.check_async(token())
    assert verdict
    assert verdict.reason is Reason.ACTIVE
    assert 0 <= verdict.staleness_ms < 1_000


async def test_a_rejection_names_its_entry(over):
    entry = cut_off(Kind.USER, "alice")
    async with over(await store_as_of(0, entry)) as verifier:
        verdict = await verifier.check_async(token())
        other = await verifier.check_async(token("bob"))
    assert not verdict
    assert verdict.reason is Reason.ISSUED_BEFORE_CUT_OFF
    assert verdict.entry.target == entry.target
    assert verdict.entry.not_before == entry.not_before
    assert verdict.receipt == "0-7"
    assert other.active


async def test_the_key_is_looked_up(over):
    revoked = cut_off(Kind.KEY, "k1", status=Status.DISABLED)
    async with over(await store_as_of(0, revoked)) as verifier:
        assert await verifier.check_async(token())
        verdict = await verifier.check_async(token(), kid="k1")
    assert verdict.reason is Reason.KEY_REVOKED


async def test_resources_are_looked_up(over):
    deleted = cut_off(Kind.RESOURCE, "dataset:42")
    async with over(await store_as_of(0, deleted)) as verifier:
        asked = ["dataset:7", "dataset:42"]
        touched = await verifier.check_async(token(), resources=asked)
        other = await verifier.check_async(token(), resources=["dataset:7"])
    assert touched.reason is Reason.RESOURCE_DELETED
    assert other.active


@pytest.mark.parametrize(
    "asked", [{"kid": "\ud800"}, {"kid": "k" * 600}, {"resources": ["dataset"]}]
)
async def test_a_value_that_no_event_can_name_is_unverifiable(over, asked):
    async with over(await store_as_of()) as verifier:
        verdict = await verifier.check_async(token(), **asked)
    assert verdict.reason is Reason.UNVERIFIABLE


async def test_a_check_that_waits_for_nothing_says_the_same():
    async with with_replica(await store_as_of(0, cut_off(Kind.USER, "a"))) as verifier:
        for name in ("a", "b"):
            at_once = verifier.check(token(name), route="write")
            waited = await verifier.check_async(token(name), route="write")
            assert at_once._replace(staleness_ms=0) == waited._replace(staleness_ms=0)


async def test_a_verdict_leaves_the_process_without_a_name(over):
    async with over(await store_as_of(0, cut_off(Kind.USER, "alice"))) as verifier:
        verdict = await verifier.check_async(token())
    assert "alice" not in str(verdict.to_json())


# Freshness ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_ms", "route", "reason", "stale"),
    [
        (1_000, "write", Reason.ACTIVE, False),
        (8_000, "write", Reason.STALE, True),
        (8_000, "read", Reason.ACTIVE, True),
        (70_000, "read", Reason.STALE, True),
        (10**9, "lax", Reason.ACTIVE, True),
        (8_000, "ask", Reason.STALE, True),
    ],
)
async def test_each_route_class_follows_its_policy(over, age_ms, route, reason, stale):
    policies = {
        **DEFAULT_POLICIES,
        "lax": StalenessPolicy(beyond=Beyond.ALLOW),
        "ask": StalenessPolicy(beyond=Beyond.INTROSPECT),
    }
    async with over(await store_as_of(age_ms), policies) as verifier:
        before = counted(reason, route, stale=stale)
        verdict = await verifier.check_async(token(), route=route)
        after = counted(reason, route, stale=stale)
    assert (verdict.reason, verdict.stale) == (reason, stale)
    assert after == before + 1


def test_settings_bound_the_staleness_of_each_route_class(tmp_path):
    pepper = tmp_path / "pepper"
    pepper.write_text("p" * 64)
    settings = VerifierSettings(
        region="eu",
        store_url="redis://nowhere",
        pepper_file=pepper,
        read_max_staleness_ms=7_000,
        write_max_staleness_ms=3_000,
        routes={"payment": {"max_staleness_ms": 1_000, "beyond": "introspect"}},
    )
    for kind in (Verifier, RemoteVerifier):
        policies = kind.from_settings(settings)._policies
        assert policies["read"].max_staleness_ms == 7_000
        assert policies["write"].max_staleness_ms == 3_000
        payment = StalenessPolicy(max_staleness_ms=1_000, beyond=Beyond.INTROSPECT)
        assert policies["payment"] == payment


async def test_an_unknown_route_class_is_an_error_that_names_the_known(over):
    """A misspelt one must not fall back to the most permissive."""
    async with over(await store_as_of()) as verifier:
        with pytest.raises(SettingsError, match="'wirte'; known: read, write"):
            await verifier.check_async(token(), route="wirte")


@pytest.mark.parametrize("route", ["read", "write"])
async def test_without_its_store_a_remote_verifier_is_never_active(route):
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    async with remote(store) as verifier:
        store.available = False
        before = counted(Reason.NOT_READY, route)
        verdict = await verifier.check_async(token(), route=route)
        assert counted(Reason.NOT_READY, route) == before + 1
        store.available = True
        again = await verifier.check_async(token(), route=route)
    assert verdict.reason is Reason.NOT_READY
    assert again.reason is Reason.ISSUED_BEFORE_CUT_OFF


async def test_a_region_that_is_not_complete_gives_not_ready(over):
    store = await store_as_of(rebuilt=False)
    impatient = {"start_timeout_seconds": 0} if over is with_replica else {}
    async with over(store, **impatient) as verifier:
        verdict = await verifier.check_async(token())
    assert verdict.reason is Reason.NOT_READY


# Clocks -------------------------------------------------------------------------------


class Skewed(FailingStore):
    skew_ms = 0

    async def clock_skew_ms(self):
        return self.skew_ms


async def skewed(skew_ms, age_ms=0):
    store = Skewed()
    store.skew_ms = skew_ms
    await store.begin("epoch", identity())
    mark = Mark(1, 1, now_ms() - age_ms, 1, rebuilt=True)
    await store.apply("epoch", Batch([], {0: mark}, {}))
    return store


@pytest.mark.parametrize("skew_ms", [-3_000, 2_001])
async def test_clocks_too_far_apart_are_refused(skew_ms):
    """The age of an answer would be unknown."""
    with pytest.raises(StoreUnsuitableError, match=f"from ours by {skew_ms} ms"):
        await remote(await skewed(skew_ms), max_clock_skew_ms=2_000).start()


@pytest.mark.parametrize("skew_ms", [-1_500, 1_500])
async def test_an_allowed_clock_difference_counts_as_age(over, skew_ms):
    """Too stale is safer than too fresh: either clock may be wrong."""
    async with over(await skewed(skew_ms, age_ms=2_000)) as verifier:
        verdict = await verifier.check_async(token())
    assert 3_500 <= verdict.staleness_ms < 4_500


@pytest.mark.parametrize(("skew_ms", "active"), [(0, True), (-1_500, False)])
async def test_a_token_dated_ahead_is_measured_by_the_slower_clock(
    over, skew_ms, active
):
    """Cut-offs are dated by the other clock, and would not reach the token."""
    async with over(await skewed(skew_ms)) as verifier:
        now = time.time()
        verdict = await verifier.check_async({**token(), "iat": now + 4.5})
        sooner = await verifier.check_async({**token(), "iat": now + 2.5})
    assert verdict.active is active
    assert sooner.active


async def test_tokens_dated_ahead_are_counted(over):
    """Not under the name of an unconfigured issuer, and not for other faults."""
    of_others = metrics.TOKENS_FROM_AHEAD.labels("other")._value
    before = of_others.get()
    async with over(await store_as_of()) as verifier:
        verdict = await verifier.check_async(token(age=-30))
        await verifier.check_async(token(), resources=["dataset"])
        await verifier.check_async(token(jti=5))
    assert verdict.reason is Reason.UNVERIFIABLE
    assert "clock_allowance_seconds" in verdict.detail
    assert of_others.get() == before + 1


async def test_before_the_start_every_verdict_is_not_ready(over):
    """The store may be complete, but the age of its answers is unknown."""
    verifier = over(await store_as_of())
    assert (await verifier.check_async(token("bob"))).reason is Reason.NOT_READY
    async with verifier:
        assert (await verifier.check_async(token("bob"))).active


async def test_a_store_that_is_unreachable_at_the_start_is_reported():
    store = FailingStore()
    store.available = False
    with pytest.raises(StoreUnavailableError):
        await remote(store).start()


# Other methods ------------------------------------------------------------------------


async def test_verdicts_are_counted_by_reason(over):
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    uses = metrics.USE_AFTER_REVOCATION.labels(Reason.ISSUED_BEFORE_CUT_OFF)._value
    async with over(store) as verifier:
        reasons = (Reason.ACTIVE, Reason.ISSUED_BEFORE_CUT_OFF)
        before = [*[counted(reason) for reason in reasons], uses.get()]
        for name in ("bob", "alice", "carol"):
            await verifier.check_async(token(name))
        after = [*[counted(reason) for reason in reasons], uses.get()]
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 1, 1]


async def test_an_issuer_reads_the_version_to_mint(over):
    entry = cut_off(Kind.USER, "alice", version=4)
    async with over(await store_as_of(0, entry)) as verifier:
        assert await verifier.current_version(ISSUER, "alice") == 4
        assert await verifier.current_version(ISSUER, "bob") == 0


async def test_an_incomplete_region_returns_no_version(over):
    """Tokens minted with 0 would be rejected at once."""
    store = await store_as_of(rebuilt=False)
    impatient = {"start_timeout_seconds": 0} if over is with_replica else {}
    async with over(store, **impatient) as verifier:
        with pytest.raises(StoreColdError, match="not complete"):
            await verifier.current_version(ISSUER, "alice")


async def test_an_issuer_waits_for_its_own_event(over):
    async with over(await store_as_of()) as verifier:
        assert await verifier.wait_applied([Receipt(0, 1)], timeout_seconds=1) >= 0
        with pytest.raises(NotAppliedError):
            await verifier.wait_applied([Receipt(0, 2)], timeout_seconds=0.01)


async def test_without_issuers_no_token_can_be_verified(over):
    async with over(await store_as_of()) as verifier:
        with pytest.raises(SettingsError, match="REVOCATION_ISSUERS"):
            await verifier.verify_async("a.b.c")
