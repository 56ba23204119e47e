"""A replica without progress, although its store has some, gets its feed restarted."""

import asyncio
import contextlib
from functools import partial

import pytest

from revocation import metrics
from revocation.entries import Kind
from revocation.errors import StoreUnavailableError
from revocation.store.contract import Batch
from revocation.verifier import (
    feed_watch as module,
    replica_feed as feed_module,
    snapshot_waiter,
)
from revocation.verifier.feed_watch import FeedWatch
from revocation.verifier.replica import Replica
from revocation.verifier.replica_feed import Feed
from tests.identities import identity
from tests.installation import eventually
from tests.memory_store import MemoryStore
from tests.stations.test_feed import at, knows, put
from tests.stations.test_verifier import cut_off, now_ms, store_as_of


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(feed_module, "_WAIT_MS", 1)
    monkeypatch.setattr(snapshot_waiter, "_COLD_POLL_SECONDS", 0.001)
    monkeypatch.setattr(snapshot_waiter, "_NEAR_POLL_SECONDS", 0.0)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.005)
    monkeypatch.setattr(module, "_STILL_SECONDS", 0.02)
    monkeypatch.setattr(module, "_STALL_SECONDS", 0.05)


class Hanging(MemoryStore):
    """Hangs in every read once `hang` is called; other readers do not."""

    hangs = away = False

    def another(self):
        return _Other(self)

    async def hang(self):
        """Return when the reader hangs."""
        self.hangs, self.hanging = True, asyncio.Event()
        await self.hanging.wait()

    async def _pass(self):
        if self.hangs:
            self.hanging.set()
            await asyncio.Event().wait()

    async def changes(self, position, *, wait_ms):
        await self._pass()
        return await super().changes(position, wait_ms=wait_ms)

    async def head(self):
        await self._pass()
        return await super().head()


class _Other:
    """A reader of the same region, over a connection that works."""

    def __init__(self, store):
        self._store = store
        self.changes = partial(MemoryStore.changes, store)

    async def head(self):
        if self._store.away:
            raise StoreUnavailableError("away")
        return await MemoryStore.head(self._store)

    def __getattr__(self, name):
        return getattr(self._store, name)


@contextlib.asynccontextmanager
async def watched(store, *, max_entries=10_000):
    feed = Feed(
        store,
        partial(Replica, (store.pepper,)),
        region="eu",
        max_entries=max_entries,
        max_clock_skew_ms=2_000,
    )
    watch = FeedWatch(feed, store.another)
    await feed.start()
    await watch.start()
    try:
        if max_entries:
            await feed.wait_ready()
        yield feed, watch
    finally:
        await watch.stop()
        await feed.stop()


@pytest.fixture
async def store():
    made = await store_as_of(0, cut_off(Kind.USER, "alice"))
    made.__class__ = Hanging
    return made


def stalls():
    return metrics.STALLS.labels("feed")._value.get()


async def test_a_hanging_feed_is_restarted_over_another_connection(store):
    before = stalls()
    async with watched(store) as (feed, watch):
        await store.hang()
        await put(store, "bob")
        assert not knows(feed, "bob")
        await eventually(lambda: knows(feed, "bob"), pause=0.001)
        assert knows(feed)
        await eventually(lambda: not watch.problem, pause=0.001)
        assert stalls() == before + 1


async def test_a_feed_that_ended_is_restarted(store):
    before = stalls()
    async with watched(store) as (feed, watch):
        feed._task.cancel()
        await put(store, "bob")
        await eventually(lambda: knows(feed, "bob"), pause=0.001)
        await eventually(lambda: not watch.problem, pause=0.001)
        assert stalls() == before + 1


async def test_it_reports_a_problem_until_the_replica_advances(store):
    async with watched(store) as (feed, watch):
        store.another = lambda: store
        await store.hang()
        await put(store, "bob")
        await eventually(lambda: watch.problem, pause=0.001)
        assert watch.problem.startswith("feed: no progress for ")
        store.hangs = False
        await eventually(lambda: not watch.problem, pause=0.001)
        assert knows(feed, "bob")


@pytest.mark.parametrize("why", ["store away", "nothing new"])
async def test_a_feed_without_news_is_left_alone(store, why):
    before = stalls()
    async with watched(store) as (_, watch):
        await store.hang()
        if why == "store away":
            store.away = True
            await put(store, "bob")
        looks = watch.looks
        await eventually(lambda: watch.looks > looks + 30, pause=0.001)
        assert (watch.problem, stalls()) == ("", before)


async def test_a_region_that_is_rebuilt_is_waited_for(store):
    before = stalls()
    async with watched(store) as (feed, watch):
        await store.begin("next", identity(), replacing="epoch")
        looks = watch.looks
        await eventually(lambda: watch.looks > looks + 30, pause=0.001)
        assert (watch.problem, stalls()) == ("", before)
        await store.apply("next", Batch([], at(now_ms()), {}))
        await eventually(lambda: feed.replica.freshness.ready, pause=0.001)


async def test_a_region_that_is_too_large_is_loaded_no_faster(store, monkeypatch):
    """It waits between attempts on purpose: that is no stall and needs no restart."""
    monkeypatch.setattr(feed_module.Backoff, "next", lambda _: 0.2)
    before, snapshots = stalls(), metrics.REPLICA_SNAPSHOTS.labels("eu", "stalled")
    loaded = snapshots._value.get()
    async with watched(store, max_entries=0) as (_, watch):
        await eventually(lambda: watch.looks > 60, pause=0.001)
    assert (watch.problem, stalls()) == ("", before)
    assert snapshots._value.get() == loaded


async def test_the_watch_itself_is_restarted(store, monkeypatch):
    monkeypatch.setattr("revocation.background._CHECK_SECONDS", 0.001)
    async with watched(store) as (_, watch):
        watch._background._task.cancel()
        looks = watch.looks
        await eventually(lambda: watch.looks > looks + 1, pause=0.001)
