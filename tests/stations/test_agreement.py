"""Verifiers and projectors that disagree with their region, over a store in memory.

Siblings: `tests/unit/test_identity.py` (the rule), `tests/guarantees/` (on servers).
"""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from revocation import metrics
from revocation.decision import Reason
from revocation.entries import Kind, Offset, Position
from revocation.errors import DisagreementError
from revocation.identity import Expectation, Stated, fingerprint
from revocation.projector.projector import Projector
from revocation.settings import ProjectorSettings
from revocation.store import canary
from revocation.store.contract import Keep
from revocation.updates import Update, encode_update
from revocation.verifier import (
    remote_verifier,
    replica_agreement,
    replica_feed as feed_module,
)
from tests.identities import LIFETIMES, identity
from tests.installation import eventually
from tests.stations.regions import SETTINGS, Region, now_ms
from tests.stations.test_verifier import (
    cut_off,
    over,  # noqa: F401 - a fixture
    remote as with_store,
    store_as_of,
    token,
    with_replica,
)

PEPPERS = identity().peppers
EXPECTED = Expectation("eu", PEPPERS, LIFETIMES)
ELSEWHERE = EXPECTED._replace(region="us")
FORGETFUL = identity(lifetimes=LIFETIMES._replace(max_token_lifetime_seconds=8))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (replica_agreement, remote_verifier):
        monkeypatch.setattr(module, "_COMPARE_SECONDS", 0.01)
    monkeypatch.setattr(feed_module, "_WAIT_MS", 1)
    monkeypatch.setattr(feed_module, "_FIRST_BACKOFF_SECONDS", 0.0)


def agreement_ratio() -> float:
    return metrics.AGREEMENT.labels("local")._value.get()


# Verifiers ----------------------------------------------------------------------------


async def test_a_verifier_that_disagrees_does_not_start(over):  # noqa: F811
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    with pytest.raises(DisagreementError, match="region is eu in the region and us"):
        async with over(store, expected=ELSEWHERE):
            pass


async def test_a_verifier_that_agrees_starts(over):  # noqa: F811
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    async with over(store, expected=EXPECTED) as verifier:
        assert not await verifier.check_async(token())
        assert await verifier.check_async(token("bob"))


async def test_a_cold_region_is_no_disagreement(over):  # noqa: F811
    """A region states its settings as soon as it begins."""
    store = await store_as_of()
    store.lose_everything()
    async with over(store, expected=ELSEWHERE, **quick(over)) as verifier:
        assert (await verifier.check_async(token())).reason is Reason.NOT_READY


def quick(kind: Any) -> dict[str, float]:
    return {"start_timeout_seconds": 0.02} if kind is with_replica else {}


async def test_a_region_whose_settings_change_is_noticed(over):  # noqa: F811
    """And it is followed again once the settings agree."""
    store = await store_as_of()
    async with over(store, expected=EXPECTED) as verifier:
        assert await verifier.check_async(token())
        await store.begin("second", FORGETFUL, replacing="epoch", keep=Keep.ALL)

        async def refuses() -> bool:
            verdict = await verifier.check_async(token())
            return verdict.reason is Reason.NOT_READY

        await eventually(refuses, within=5)
        await eventually(lambda: agreement_ratio() == 0, within=5)

        await store.begin("third", identity(), replacing="second", keep=Keep.ALL)

        async def accepts() -> bool:
            return (await verifier.check_async(token())).active

        await eventually(accepts, within=10)
        await eventually(lambda: agreement_ratio() == 1, within=5)


async def test_a_replica_without_its_canary_is_not_ready(over):  # noqa: F811
    """A verifier in the wrong place lacks it, even if the settings agree."""
    store = await store_as_of()
    del store._kept[canary.TARGETS[Kind.SESSION]]
    with pytest.raises(DisagreementError, match="canaries"):
        async with over(store, expected=EXPECTED):
            pass


async def test_a_verifier_that_is_not_ready_names_the_cause():
    store = await store_as_of()
    async with with_replica(store, expected=EXPECTED) as verifier:
        await store.begin("second", FORGETFUL, replacing="epoch", keep=Keep.ALL)
        await eventually(lambda: not verifier.ready, within=5)
        verdict = verifier.check(token())
        assert verdict.reason is Reason.NOT_READY
        assert "settings" in verdict.detail
        assert "max_token_lifetime_seconds is 8" in verifier.disagreement
        with pytest.raises(DisagreementError):
            await verifier.wait_ready()


async def test_a_store_is_compared_only_while_its_verifier_runs():
    store = await store_as_of()
    verifier = with_store(store, expected=EXPECTED)
    await verifier.start()
    await verifier.stop()
    await verifier.stop()
    assert not [task for task in asyncio.all_tasks() if "compare" in task.get_name()]


# Projectors ---------------------------------------------------------------------------


@pytest.fixture
def region(monkeypatch: pytest.MonkeyPatch) -> Region:
    return Region(monkeypatch)


def projector(region: Region, **more: Any) -> Projector:
    settings = ProjectorSettings(**{**SETTINGS.model_dump(), **more})
    return Projector(settings, region.store, cluster_id="cluster-1")


OWN = replace(SETTINGS.identity("cluster-1"))


@pytest.mark.parametrize(
    "stated",
    [
        replace(OWN, region="us"),
        replace(OWN, topic_prefix="test"),
        replace(OWN, cluster_id="cluster-2"),
        replace(OWN, layout=OWN.layout + 1),
    ],
    ids=["region", "topic prefix", "cluster", "layout"],
)
@pytest.mark.parametrize("mode", ["refuse", "rebuild"])
async def test_a_store_of_another_installation_is_never_written(region, stated, mode):
    await region.store.begin("theirs", stated)
    station = projector(region, on_changed_settings=mode)
    with pytest.raises(DisagreementError, match="--take-over"):
        await station.start()
    assert (await region.store.region()).epoch == "theirs"
    assert not region.producer.started  # it did not join its group


CHANGED = [
    replace(OWN, peppers=(fingerprint(b"other" * 8),)),
    replace(OWN, lifetimes=OWN.lifetimes._replace(max_token_lifetime_seconds=8)),
    replace(OWN, lifetimes=OWN.lifetimes._replace(max_session_seconds=8)),
]


@pytest.mark.parametrize("stated", CHANGED)
async def test_entries_of_other_settings_are_refused(region, stated):
    await region.store.begin("before", stated)
    with pytest.raises(DisagreementError, match="revocation rebuild eu"):
        await projector(region).start()
    assert (await region.store.region()).epoch == "before"


@pytest.mark.parametrize("stated", [*CHANGED, replace(OWN, layout=1)])
async def test_entries_of_other_settings_are_rebuilt_on_request(region, stated):
    """Entries of an older release are rebuilt unprompted."""
    options = {"on_changed_settings": "rebuild"} if stated in CHANGED else {}
    await region.store.begin("before", stated)
    region.write(0, "alice")
    region.write(1)
    station = projector(region, **options)
    await station.start()
    await region.all_applied()
    state = await region.store.region()
    assert (state.identity, state.clearing) == (OWN, False)
    assert state.freshness.ready
    assert await region.known("alice") == {"alice"}
    await station.stop()


async def test_settings_that_may_change_in_place_are_adopted(region):
    lifetimes = OWN.lifetimes._replace(refresh_period_seconds=7)
    await region.store.begin("before", replace(OWN, lifetimes=lifetimes))
    station = projector(region)
    await station.start()
    state = await region.store.region()
    assert state.identity == OWN
    assert state.epoch != "before"
    await station.stop()


async def test_a_running_projector_stops_when_another_takes_its_region(region):
    station = projector(region)
    await station.start()
    region.write(0)
    region.write(1)
    await region.all_applied()
    epoch = (await region.store.region()).epoch
    await region.store.begin("theirs", CHANGED[1], replacing=epoch)
    region.write(0, "alice")
    with pytest.raises(DisagreementError, match="max_token_lifetime_seconds is 8"):
        await asyncio.wait_for(station.wait(), 5)
    assert await region.known("alice") == set()
    await station.stop()


async def test_a_projector_helps_to_empty_a_region(region):
    await region.store.begin("begun", OWN, keep=Keep.NOTHING)
    region.write(0, "alice")
    region.write(1)
    station = projector(region)
    await station.start()
    await region.all_applied()
    state = await region.store.region()
    assert (state.epoch, state.clearing) == ("begun", False)
    await station.stop()


@pytest.mark.parametrize(("age_ms", "refuses"), [(0, True), (60_000, False)])
async def test_an_authority_that_disagrees_is_refused_while_it_runs(
    region, age_ms, refuses
):
    """What it wrote before its correction is no reason."""
    stated = OWN.lifetimes._replace(refresh_period_seconds=10**6)
    at = Position(0, Offset(1), now_ms() - age_ms)
    value = encode_update(Update(at, stated=Stated(stated._asdict())))
    region.consumer.append(0, value, timestamp=at.time)
    region.write(1)
    station = projector(region)
    await station.start()
    if refuses:
        with pytest.raises(DisagreementError, match="refresh_period_seconds"):
            await asyncio.wait_for(station.wait(), 5)
    else:
        await region.all_applied()
    await station.stop()


# Claim sets ---------------------------------------------------------------------------

DEVICE, ACTOR = ("device_id",), ("act.sub",)


async def test_new_claim_sets_are_adopted_and_existing_ones_kept(region):
    await region.store.begin("before", replace(OWN, revocable_claims=(ACTOR,)))
    station = projector(region, revocable_claims=["device_id"])
    await station.start()
    state = await region.store.region()
    assert state.identity.revocable_claims == (ACTOR, DEVICE)
    assert state.epoch != "before"
    await station.stop()
    fewer = projector(region)
    await fewer.start()
    assert await region.store.region() == state
    await fewer.stop()


@pytest.mark.parametrize(("listed", "refuses"), [([], True), (["device_id"], False)])
async def test_an_authority_that_accepts_more_claim_sets_is_refused(
    region, listed, refuses
):
    """No verifier of the region would look up the claims that it lets into the log."""
    at = Position(0, Offset(1), now_ms())
    stated = Stated(OWN.lifetimes._asdict(), (DEVICE,))
    value = encode_update(Update(at, stated=stated))
    region.consumer.append(0, value, timestamp=at.time)
    region.write(1)
    station = projector(region, revocable_claims=listed)
    await station.start()
    if refuses:
        with pytest.raises(DisagreementError, match="revocable_claims is device_id"):
            await asyncio.wait_for(station.wait(), 5)
    else:
        await region.all_applied()
    await station.stop()


async def test_a_verifier_that_lacks_a_claim_set_does_not_start(over):  # noqa: F811
    store = await store_as_of()
    stated = replace(identity(), revocable_claims=(DEVICE,))
    await store.begin("further", stated, replacing="epoch", keep=Keep.ALL)
    with pytest.raises(DisagreementError, match="revocable_claims"):
        async with over(store, expected=EXPECTED):
            pass
    more = EXPECTED._replace(revocable_claims=(ACTOR, DEVICE))
    async with over(store, expected=more) as verifier:
        assert await verifier.check_async(token())
