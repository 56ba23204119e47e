"""The feed of a region for its replicas, over memory, Valkey and Redis alike.

Sibling: `test_feed_outages.py`, for servers only.
"""

import asyncio
import time

import pytest

from revocation.entries import Entry, Kind, Status
from revocation.store import canary
from revocation.store.contract import START, Batch, Change, FeedReader, StoredEntries
from revocation.store.layout import name
from tests.contract.conftest import PEPPER, FedRegion
from tests.contract.samples import NOT_READY, denied, mark, put, subject, target
from tests.identities import identity
from tests.installation import eventually


def named(entry: Entry) -> bytes:
    return name(entry.target, PEPPER)


async def snapshot(feed: FeedReader) -> dict[bytes, bytes]:
    """Return all pages together; the later page counts, as for a replica."""
    entries: dict[bytes, bytes] = {}
    cursor = "0"
    while True:
        page = await feed.page(cursor)
        assert page.keys >= len(page.entries)
        entries |= page.entries
        cursor = page.cursor
        if cursor == "0":
            return without_canaries(entries)


def without_canaries(entries: StoredEntries) -> dict[bytes, bytes]:
    names = {name(each, PEPPER) for each in canary.TARGETS.values()}
    return {each: entries[each] for each in entries.keys() - names}


async def read_on(feed: FeedReader, position: str = START) -> list[Change]:
    """Return every change after a position."""
    read: list[Change] = []
    while changes := await feed.changes(position, wait_ms=0):
        read += changes
        position = read[-1].position
    return read


def together(changes: list[Change]) -> StoredEntries:
    entries: dict[bytes, bytes] = {}
    for change in changes:
        entries |= change.entries
    return entries


# Pages --------------------------------------------------------------------------------


async def test_pages_contain_every_entry_with_its_expiry(region: FedRegion) -> None:
    token, user = denied(), subject(status=Status.DISABLED)
    await put(region.store, token, user)

    entries = await snapshot(region.feed)

    moment = user.source.time
    assert entries == {
        named(token): b"%d 0-7" % token.expires_at,
        named(user): b"-1 0-7 1 %d disabled %d %d 0" % (moment, moment, moment),
    }


async def test_more_entries_than_fit_on_a_page(region: FedRegion) -> None:
    entries = [denied(name=str(at)) for at in range(3_500)]
    await put(region.store, *entries)

    first = await region.feed.page("0")

    assert first.cursor != "0"
    assert set(await snapshot(region.feed)) == {named(entry) for entry in entries}


async def test_pages_and_changes_agree(region: FedRegion) -> None:
    entries = [denied(at, name=str(at)) for at in range(40)]
    await put(region.store, *entries, subject(), subject(kind=Kind.KEY))
    await put(region.store, denied(99, left_ms=1_900_000, name="3"), subject(8))

    assert await snapshot(region.feed) == together(await read_on(region.feed))


async def test_writes_during_paging_are_in_a_page_or_in_the_feed(
    region: FedRegion,
) -> None:
    kept = [denied(name=f"kept-{at}") for at in range(3_000)]
    await put(region.store, *kept)
    position = (await region.feed.head()).position
    entries: dict[bytes, bytes] = {}
    written: list[Entry] = []
    cursor = "0"
    while True:
        page = await region.feed.page(cursor)
        entries |= page.entries
        late = [denied(8, name=f"late-{len(written) + at}") for at in range(50)]
        again = denied(9, left_ms=1_900_000, name=f"kept-{len(written)}")
        await put(region.store, *late, again)
        written += [*late, again]
        cursor = page.cursor
        if cursor == "0":
            break

    entries |= together(await read_on(region.feed, position))
    entries = without_canaries(entries)

    assert set(entries) == {named(entry) for entry in (*kept, *written)}
    assert entries == await snapshot(region.other)


async def test_expired_entries_are_on_no_page(region: FedRegion) -> None:
    gone, kept = denied(left_ms=100, name="gone"), denied(name="kept")
    await put(region.store, gone, kept)
    left = {named(kept): b"%d 0-7" % kept.expires_at}

    async def only_the_other_is_left() -> bool:
        return await snapshot(region.feed) == left

    await eventually(only_the_other_is_left)


async def test_a_page_names_the_epoch(region: FedRegion) -> None:
    assert (await region.feed.page("0")).epoch is None

    await region.store.begin("epoch", identity())

    assert (await region.feed.page("0")).epoch == "epoch"


# Changes ------------------------------------------------------------------------------


async def test_each_change_names_the_one_before_it(region: FedRegion) -> None:
    for at in range(40):
        await put(region.store, denied(at, name=str(at)))

    changes = await read_on(region.feed)

    before = ["", *[change.position for change in changes[:-1]]]
    assert [change.after for change in changes] == before
    assert (await region.feed.head()).position == changes[-1].position


async def test_changes_state_the_freshness_after_them(region: FedRegion) -> None:
    await region.store.begin("epoch", identity())
    for each in (mark(1, as_of=5, rebuilt=False), mark(2, as_of=6), mark(2, as_of=7)):
        await region.store.apply("epoch", Batch([], {0: each}, {}))

    freshness = [tuple(change.freshness) for change in await read_on(region.feed)]

    assert freshness == [(False, 0), (False, 5), (True, 6), (True, 7)]
    assert (await region.feed.head()).freshness == freshness[-1]


async def test_without_news_there_is_no_change(region: FedRegion) -> None:
    batch = Batch([denied(), subject()], {0: mark(1)}, {})
    await region.store.begin("epoch", identity())
    await region.store.apply("epoch", batch)
    position = (await region.feed.head()).position

    await region.store.apply("epoch", batch)
    await region.store.apply("epoch", Batch([denied(left_ms=-1, name="past")], {}, {}))

    assert await read_on(region.feed, position) == []
    assert (await region.feed.head()).position == position


async def test_an_ended_entry_comes_with_an_expiry_in_the_past(
    region: FedRegion,
) -> None:
    old = {"age_ms": 10 * 3_600_000}
    await put(region.store, subject(1, status=Status.DISABLED, **old))
    enabled = subject(2, status=Status.ACTIVE, age_ms=old["age_ms"] - 1_000)

    await put(region.store, enabled)

    value = (await read_on(region.feed))[-1].entries[named(enabled)]
    assert 0 < int(value.split()[0]) < time.time() * 1_000
    assert await snapshot(region.feed) == {}


async def test_a_new_epoch_shows_at_once(region: FedRegion) -> None:
    await region.store.begin("first", identity())
    await region.store.apply("first", Batch([denied()], {0: mark(1)}, {}))
    position = (await region.feed.head()).position

    await region.store.begin("second", identity(), replacing="first")

    (change,) = await region.feed.changes(position, wait_ms=0)
    assert (change.after, change.epoch, change.freshness, change.entries) == (
        *(position, "second", NOT_READY),
        {},
    )
    assert (await region.feed.head())[:2] == ("second", NOT_READY)


async def test_another_reader_reads_the_same_and_is_independent(region):
    other = region.feed.another()
    await region.feed.stop()
    try:
        assert await other.head() == await region.feed.head()
    finally:
        await other.stop()


async def test_a_waiting_reader_gets_a_write_at_once(region: FedRegion) -> None:
    await region.store.begin("epoch", identity())
    position = (await region.feed.head()).position
    waiting = asyncio.create_task(region.other.changes(position, wait_ms=900))
    await asyncio.sleep(0.05)  # The server holds the request.
    assert not waiting.done()
    began = time.monotonic()

    await put(region.store, denied())

    (change,) = await waiting
    assert time.monotonic() - began < 0.5
    assert set(change.entries) == {name(target(Kind.TOKEN), PEPPER)}


async def test_a_reader_waits_no_longer_than_it_says(region: FedRegion) -> None:
    await region.store.begin("epoch", identity())
    position = (await region.feed.head()).position
    began = time.monotonic()

    assert not await region.feed.changes(position, wait_ms=100)

    assert 0.09 <= time.monotonic() - began < 0.9


# Losses -------------------------------------------------------------------------------


async def test_a_cold_region_has_no_position(region: FedRegion) -> None:
    assert await region.feed.head() == (None, NOT_READY, START, None)
    assert not await region.feed.changes(START, wait_ms=0)


async def test_a_region_that_lost_everything_is_cold(region: FedRegion) -> None:
    await put(region.store, denied())

    await region.lose_everything()

    assert await region.feed.head() == (None, NOT_READY, START, None)
    assert await snapshot(region.feed) == {}


async def test_a_region_that_began_again_does_not_continue_the_feed(
    region: FedRegion,
) -> None:
    await put(region.store, denied())
    position = (await region.feed.head()).position
    await region.lose_everything()

    await region.store.begin("next", identity())

    changes = await read_on(region.feed, position)
    head = await region.feed.head()
    assert [change.after for change in changes] in ([], [""])
    assert (head.epoch, head.position != position) == ("next", True)


async def test_the_feed_is_bounded_and_a_gap_shows(region: FedRegion) -> None:
    """A dead or slow reader costs the region nothing."""
    await region.store.begin("epoch", identity())
    position = (await region.feed.head()).position
    for as_of in range(1, 1_400):
        await region.store.apply("epoch", Batch([], {0: mark(1, as_of=as_of)}, {}))

    changes = await read_on(region.feed, position)

    # A server drops whole nodes of a stream, of 100 records.
    assert 1_024 <= len(changes) < 1_024 + 100
    assert changes[0].after != position


@pytest.mark.parametrize("wait_ms", [0, 10])
async def test_records_come_in_portions(region: FedRegion, wait_ms: int) -> None:
    for at in range(40):
        await put(region.store, denied(at, name=str(at)))

    changes = await region.feed.changes(START, wait_ms=wait_ms)

    assert 1 < len(changes) < 40


async def test_the_clocks_of_one_machine_agree(region: FedRegion) -> None:
    assert abs(await region.feed.clock_skew_ms()) < 1_000
