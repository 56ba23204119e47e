"""Keeping a replica: loading, following, and interruptions."""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial

import pytest

from revocation import metrics
from revocation.claims.claims import Token
from revocation.decision import Freshness, read_token
from revocation.entries import Entry, Kind, Position, Target
from revocation.store import canary
from revocation.store.contract import Batch, Change, FeedHead, Mark, Page
from revocation.verifier import replica_feed as feed_module, snapshot_waiter
from revocation.verifier.replica import Replica
from revocation.verifier.replica_feed import Feed
from tests import memory_store
from tests.identities import identity
from tests.installation import eventually
from tests.memory_store import MemoryStore
from tests.stations.test_verifier import RULES, cut_off, now_ms, store_as_of, token
from tests.unit.strategies import ISSUER

HOUR = 3_600_000


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "_WAIT_MS", 1)
    monkeypatch.setattr(feed_module, "_FIRST_BACKOFF_SECONDS", 0.0)
    monkeypatch.setattr(snapshot_waiter, "_COLD_POLL_SECONDS", 0.001)
    monkeypatch.setattr(snapshot_waiter, "_NEAR_POLL_SECONDS", 0.0)


@contextlib.asynccontextmanager
async def following(reader, *, max_entries=10_000, pepper=None, max_skew_ms=2_000):
    feed = Feed(
        reader,
        partial(Replica, (pepper or reader.pepper,)),
        region="eu",
        max_entries=max_entries,
        max_clock_skew_ms=max_skew_ms,
    )
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()


def read(claims) -> Token:
    made = read_token(claims, RULES)
    assert isinstance(made, Token)
    return made


def knows(feed, name="alice"):
    return bool(feed.replica.find(read(token(name)), now_ms())[0])


def at(as_of, number=1):
    return {0: Mark(number, number, as_of, number, rebuilt=True)}


async def put(store, *names, number=2):
    entries = [cut_off(Kind.USER, name) for name in names]
    await store.apply("epoch", Batch(entries, at(now_ms(), number), {}))


def snapshots(cause):
    return metrics.REPLICA_SNAPSHOTS.labels("eu", cause)._value.get()


# Loading ------------------------------------------------------------------------------


async def test_a_replica_has_the_snapshot_and_later_changes():
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    async with following(store) as feed:
        await feed.wait_ready()
        assert knows(feed)
        assert not knows(feed, "bob")
        await put(store, "bob")
        await eventually(lambda: knows(feed, "bob"), pause=0.001)
        assert feed.replica.freshness == (await store.head()).freshness


async def test_nothing_is_ready_before_the_region_is():
    store = await store_as_of(rebuilt=False)
    async with following(store) as feed:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(feed.wait_ready(), 0.05)
        assert not feed.replica.freshness.ready
        await store.apply("epoch", Batch([], at(now_ms()), {}))
        await feed.wait_ready()
        assert feed.replica.freshness.ready


class Slow(MemoryStore):
    """Returns a page only when released."""

    async def page(self, cursor: str) -> Page:
        await self.turn.acquire()
        return await super().page(cursor)


async def test_a_half_loaded_replica_is_not_ready_and_shows_progress(
    monkeypatch,
):
    canaries = len(canary.TARGETS)
    monkeypatch.setattr(memory_store, "_PAGE_ENTRIES", canaries + 2)
    names = [f"user-{number}" for number in range(6)]
    store = await store_as_of(0, *[cut_off(Kind.USER, name) for name in names])
    store.__class__, store.turn = Slow, asyncio.Semaphore(0)
    async with following(store) as feed:
        store.turn.release()
        await eventually(lambda: feed.progress.loaded, pause=0.001)
        assert feed.progress == (2, 6 + canaries)
        assert not feed.replica.freshness.ready
        assert not any(knows(feed, name) for name in names)
        store.turn.release()
        await feed.wait_ready()
        assert feed.progress == (6, 6)
        assert all(knows(feed, name) for name in names)


async def test_more_entries_than_allowed_are_refused_and_reported():
    store = await store_as_of(0, *[cut_off(Kind.USER, name) for name in "abc"])
    refused = metrics.FEED_RETRIES.labels("eu", "replica_full")._value
    before = refused.get()
    async with following(store, max_entries=2) as feed:
        await eventually(lambda: refused.get() > before, pause=0.001)
        assert not feed.replica.freshness.ready


# Interruptions ------------------------------------------------------------------------


async def test_an_outage_needs_no_new_snapshot():
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    async with following(store) as feed:
        await feed.wait_ready()
        replica, as_of = feed.replica, feed.replica.freshness.as_of
        store.available = False
        lost = metrics.FEED_RETRIES.labels("eu", "store_unavailable")._value
        before = lost.get()
        await eventually(lambda: lost.get() > before, pause=0.001)
        assert knows(feed)
        assert feed.replica.freshness.as_of == as_of
        store.available = True
        await put(store, "bob")
        await eventually(lambda: knows(feed, "bob"), pause=0.001)
        assert feed.replica is replica


async def test_a_missed_record_leads_to_a_new_snapshot():
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    async with following(store) as feed:
        await feed.wait_ready()
        before = snapshots("store_moved_back")
        store.available = False
        await asyncio.sleep(0.01)
        store.available = True
        for number, name in enumerate(("bob", "carol"), 2):
            await put(store, name, number=number)
            store._feed.clear() if name == "bob" else None
        await eventually(lambda: knows(feed, "bob"), pause=0.001)
        assert knows(feed, "carol")
        assert snapshots("store_moved_back") == before + 1


async def test_the_old_replica_answers_until_the_new_one_is_complete():
    """A flushed region is cold for a while; the replica's entries stay valid."""
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    async with following(store) as feed:
        await feed.wait_ready()
        old, as_of = feed.replica, feed.replica.freshness.as_of
        store.lose_everything()
        await store.begin("next", identity())
        await asyncio.sleep(0.02)
        assert feed.replica is old
        assert knows(feed)
        assert feed.replica.freshness == Freshness(ready=True, as_of=as_of)
        again = [cut_off(Kind.USER, name) for name in ("alice", "bob")]
        await store.apply("next", Batch(again, at(now_ms()), {}))
        await eventually(lambda: knows(feed, "bob"), pause=0.001)
        assert feed.replica is not old
        assert knows(feed)


async def test_pages_of_two_servers_are_never_combined(monkeypatch):
    """A cursor is meaningless to the server that takes over in the middle."""
    monkeypatch.setattr(memory_store, "_PAGE_ENTRIES", 1)
    store = await store_as_of(0, *[cut_off(Kind.USER, name) for name in "abc"])
    pages, page = [], store.page

    async def from_two_servers(cursor: str) -> Page:
        pages.append(cursor)
        run = "first" if len(pages) < 3 else "second"
        return (await page(cursor))._replace(run=run)

    monkeypatch.setattr(store, "page", from_two_servers)
    async with following(store) as feed:
        await feed.wait_ready()
    assert pages.count("0") == 2
    assert all(knows(feed, name) for name in "abc")


async def test_a_server_that_is_behind_does_not_get_anothers_freshness(
    monkeypatch,
):
    """Its freshness counts, not that of the first server."""
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    head, asked = store.head, []

    async def knew_more_once() -> FeedHead:
        current = await head()
        asked.append(current)
        if len(asked) > 1:
            return current
        later = Freshness(ready=True, as_of=current.freshness.as_of + HOUR)
        return current._replace(freshness=later)

    monkeypatch.setattr(store, "head", knew_more_once)
    async with following(store) as feed:
        await feed.wait_ready()
        assert feed.replica.freshness == asked[-1].freshness


async def test_any_other_error_starts_it_over(monkeypatch):
    store = await store_as_of(0, cut_off(Kind.USER, "alice"))
    changes, asked = store.changes, []

    async def broken_once(position: str, *, wait_ms: int) -> Sequence[Change]:
        asked.append(position)
        if len(asked) == 3:
            raise RuntimeError("an unforeseen error")
        return await changes(position, wait_ms=wait_ms)

    monkeypatch.setattr(store, "changes", broken_once)
    async with following(store) as feed:
        await eventually(lambda: len(asked) > 5, pause=0.001)
        await put(store, "bob")
        await eventually(lambda: knows(feed, "bob"), pause=0.001)


async def test_a_clock_that_is_too_far_off_is_not_followed(monkeypatch):
    store = await store_as_of(0)

    async def skew() -> int:
        return 2_001

    monkeypatch.setattr(store, "clock_skew_ms", skew)
    refused = metrics.FEED_RETRIES.labels("eu", "store_unsuitable")._value
    before = refused.get()
    async with following(store) as feed:
        await eventually(lambda: refused.get() > before, pause=0.001)
        assert not feed.replica.freshness.ready


async def test_expired_entries_are_removed():
    """Entries of past hours go; one that expires now goes with its own hour."""
    store = await store_as_of(0)
    async with following(store) as feed:
        await feed.wait_ready()
        long_ago = now_ms() - 2 * HOUR
        gone = Target(Kind.TOKEN, ISSUER, "gone")
        past = Entry(gone, Position(0, 9, long_ago), expires_at=long_ago)
        feed.replica.put(store._stored(gone, memory_store._Kept(past, long_ago, 0)))
        assert len(feed.replica) == 1
        await eventually(lambda: len(feed.replica) == 0, pause=0.001)
