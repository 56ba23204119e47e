"""A region's stated settings, its canaries, and the entries that a new epoch keeps."""

import pytest
from redis.asyncio import Redis

from revocation.entries import Kind
from revocation.errors import DisagreementError, StoreColdError
from revocation.identity import Expectation, fingerprint
from revocation.projector.epoch import Epochs
from revocation.store import canary
from revocation.store.contract import Batch, Keep, Store
from revocation.store.layout import LETTERS, Layout
from revocation.store.redis_store import RedisStore
from revocation.store.store_agreement import require_agreement
from tests.contract.conftest import PEPPER, OpenStore, new_prefix
from tests.contract.samples import denied, found, mark, subject, target
from tests.identities import LIFETIMES, identity
from tests.servers import Server

OTHER = b"fedcba9876543210" * 4
BATCH = Batch([denied(), subject()], {0: mark(3)}, {})
WRITTEN = {target(Kind.TOKEN), target(Kind.USER)}


def reader(*peppers: bytes) -> Expectation:
    return Expectation("eu", tuple(map(fingerprint, peppers or (PEPPER,))), LIFETIMES)


async def begun(store: Store, epoch: str = "first") -> Store:
    await store.begin(epoch, identity())
    await store.apply(epoch, BATCH)
    return store


# Stated settings ----------------------------------------------------------------------


async def test_a_region_states_the_settings_of_its_start(store: Store) -> None:
    assert (await store.region()).identity is None

    await store.begin("first", identity(3))

    assert (await store.region()).identity == identity(3)


async def test_the_second_to_begin_changes_nothing(store: Store) -> None:
    await store.begin("first", identity(3))

    await store.begin("second", identity(3, region="us"))

    assert (await store.region()).identity == identity(3)
    await require_agreement(store, reader())


async def test_every_kind_has_a_canary_that_no_other_lookup_finds(store: Store) -> None:
    await begun(store)

    seen = await found(store, *canary.TARGETS.values())

    assert {each.kind for each in seen} == set(LETTERS)
    receipt = canary.receipt("first").decode()
    assert {entry.source.receipt for entry in seen.values()} == {receipt}
    assert canary.receipt("second") != canary.receipt("first")


# New epochs ---------------------------------------------------------------------------


async def test_an_epoch_of_changed_settings_keeps_entries_and_marks(
    store: Store,
) -> None:
    await begun(store)
    changed = identity(lifetimes=LIFETIMES._replace(refresh_period_seconds=9))

    await store.begin("second", changed, replacing="first", keep=Keep.ALL)

    region = await store.region()
    assert (region.epoch, region.identity) == ("second", changed)
    assert region.marks == BATCH.marks
    assert region.freshness.ready
    assert await found(store, *WRITTEN)
    with pytest.raises(StoreColdError):
        await store.apply("first", BATCH)
    await store.apply("second", BATCH)


async def test_an_epoch_that_keeps_nothing_accepts_writes_once_empty(
    store: Store,
) -> None:
    await begun(store)

    await store.begin("second", identity(), replacing="first", keep=Keep.NOTHING)

    region = await store.region()
    assert (region.clearing, region.marks) == (True, {})
    with pytest.raises(StoreColdError, match="emptied"):
        await store.apply("second", BATCH)

    await store.clear("second")

    assert not (await store.region()).clearing
    assert await found(store, *WRITTEN) == {}
    await store.apply("second", BATCH)
    assert set(await found(store, *WRITTEN)) == WRITTEN
    await require_agreement(store, reader())


async def test_clearing_again_deletes_no_later_writes(
    store: Store,
) -> None:
    await store.begin("first", identity(), keep=Keep.NOTHING)
    await store.clear("first")
    await store.apply("first", BATCH)

    await store.clear("first")

    assert set(await found(store, *WRITTEN)) == WRITTEN
    with pytest.raises(StoreColdError):
        await store.clear("another")


async def test_clearing_leaves_other_prefixes_alone(
    server: Server, open_store: OpenStore
) -> None:
    one, other = open_store(server.url), open_store(server.url)
    for each in (one, other):
        await each.check_suitable()
        await begun(each)

    await one.begin("second", identity(), replacing="first", keep=Keep.NOTHING)
    await one.clear("second")

    assert await found(one, *WRITTEN) == {}
    assert set(await found(other, *WRITTEN)) == WRITTEN


async def test_many_entries_are_cleared_page_by_page(
    server: Server, open_store: OpenStore, raw: Redis
) -> None:
    layout = Layout(new_prefix(), (PEPPER,))
    store = open_store(server.url, layout)
    await store.check_suitable()
    await store.begin("first", identity())
    entries = [denied(name=str(at)) for at in range(5_000)]
    await store.apply("first", Batch(entries, {}, {}))

    await store.begin("second", identity(), replacing="first", keep=Keep.NOTHING)
    await store.clear("second")

    left = {key async for key in raw.scan_iter(layout.tag + b"*", count=10_000)}
    assert left == {
        *(layout.meta, layout.feed),
        *layout.written_keys(canary.TARGETS.values()),
    }


# Disagreement -------------------------------------------------------------------------


@pytest.fixture
async def pair(server: Server, open_store: OpenStore) -> tuple[RedisStore, RedisStore]:
    """Open a region's store, and a reader of it with another pepper."""
    prefix = new_prefix()
    writer = open_store(server.url, Layout(prefix, (PEPPER,)))
    await writer.check_suitable()
    return writer, open_store(server.url, Layout(prefix, (OTHER,)))


async def test_with_another_pepper_a_region_is_not_ready(
    pair: tuple[RedisStore, RedisStore],
) -> None:
    writer, blind = pair
    await begun(writer)
    assert (await writer.find(tuple(WRITTEN))).freshness.ready

    answer = await blind.find(tuple(WRITTEN))

    assert not answer.found
    assert not answer.freshness.ready
    assert not (await blind.region()).freshness.ready
    with pytest.raises(DisagreementError, match=fingerprint(OTHER)):
        await require_agreement(blind, reader(OTHER))
    with pytest.raises(DisagreementError, match="canaries"):
        await require_agreement(blind, reader(PEPPER))


async def test_the_canary_moves_with_the_pepper(
    server: Server, open_store: OpenStore
) -> None:
    """A reader without the new pepper would not find later entries."""
    prefix = new_prefix()
    before, both, rotated = (
        open_store(server.url, Layout(prefix, peppers))
        for peppers in ((PEPPER,), (PEPPER, OTHER), (OTHER, PEPPER))
    )
    await before.check_suitable()
    await begun(before)
    peppers = (fingerprint(OTHER), fingerprint(PEPPER))

    await rotated.begin(
        "second", identity(peppers=peppers), replacing="first", keep=Keep.ALL
    )

    ready = [(await each.find(())).freshness.ready for each in (before, both, rotated)]
    assert ready == [False, True, True]
    assert set(await found(rotated, *WRITTEN)) == WRITTEN
    with pytest.raises(DisagreementError, match="previous_pepper_file"):
        await require_agreement(before, reader(PEPPER))
    await require_agreement(both, reader(PEPPER, OTHER))


async def test_canaries_of_an_earlier_epoch_prove_nothing(
    pair: tuple[RedisStore, RedisStore],
) -> None:
    """A projector with another pepper took the region over: entries have other keys."""
    writer, other = pair
    await begun(writer)

    await other.begin("second", identity(), replacing="first", keep=Keep.ENTRIES)
    await other.apply("second", Batch([], {0: mark(4)}, {}))

    assert (await other.find(())).freshness.ready
    assert not (await writer.find(())).freshness.ready


@pytest.mark.parametrize("kind", Kind)
async def test_a_different_letter_of_a_kind_is_noticed(
    pair: tuple[RedisStore, RedisStore], raw: Redis, kind: Kind
) -> None:
    writer, _ = pair
    await begun(writer)
    lost = writer.layout.key(canary.TARGETS[kind])
    assert await raw.delete(lost) == 1

    with pytest.raises(DisagreementError, match=str(kind)):
        await require_agreement(writer, reader())


async def test_a_helper_with_another_pepper_does_not_clear(
    server: Server, open_store: OpenStore
) -> None:
    """It would delete the canaries, which it would not recognise."""
    prefix, peppers = new_prefix(), (fingerprint(OTHER), fingerprint(PEPPER))
    rotated = open_store(server.url, Layout(prefix, (OTHER, PEPPER)))
    before = open_store(server.url, Layout(prefix, (PEPPER,)))
    await rotated.check_suitable()
    stated = identity(peppers=peppers)
    await rotated.begin("first", stated, keep=Keep.NOTHING)

    with pytest.raises(StoreColdError, match="another pepper_file"):
        await Epochs(before, identity(), rebuilds=False).open()

    region = await Epochs(rotated, stated, rebuilds=False).open()
    assert (region.epoch, region.clearing) == ("first", False)
    await require_agreement(rotated, reader(OTHER, PEPPER))


async def test_a_mark_of_another_layout_is_refused(
    server: Server, open_store: OpenStore, raw: Redis
) -> None:
    """A projector of an older release must not leave unreadable marks."""
    layout = Layout(new_prefix(), (PEPPER,))
    store = open_store(server.url, layout)
    await store.check_suitable()
    await store.begin("first", identity())
    old = ("first", 3_600_000, 1, 0, "", "1 0 5 0 1")

    with pytest.raises(Exception, match="not a mark of this layout"):
        await raw.fcall("revocation_apply", 2, layout.meta, layout.feed, *old)

    assert (await store.region()).marks == {}
