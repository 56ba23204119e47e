"""Servers that are unreachable, hang, return empty, are full or are replicas.

Sibling: `test_redis_store.py`, for a server that works.
"""

import asyncio
import itertools
import time

import pytest
from redis.asyncio import Redis

from revocation.entries import Kind
from revocation.errors import StoreColdError, StoreUnavailableError
from revocation.store.contract import Batch
from revocation.store.layout import Layout
from revocation.store.redis_store import MAX_ENTRIES_PER_CALL, RedisStore
from tests.contract.conftest import OpenStore, StartServer
from tests.contract.test_store import NOT_READY, denied, mark, put, target
from tests.identities import identity

pytestmark = pytest.mark.connected


async def everything_fails(store: RedisStore) -> None:
    """Check that every call fails with the same error, which names the store."""
    for call in (
        store.start(),
        store.find([]),
        store.region(),
        store.clock_skew_ms(),
        store.begin("epoch", identity()),
        store.apply("epoch", Batch([denied()], {}, {})),
        store.check_suitable(),
    ):
        with pytest.raises(StoreUnavailableError, match="the store at redis://127"):
            await call


async def test_a_server_that_is_down_fails_at_once(
    start_own: StartServer, open_store: OpenStore
) -> None:
    server = start_own()
    server.stop()
    began = time.monotonic()

    await everything_fails(open_store(server.url))

    assert time.monotonic() - began < 1


async def test_a_server_that_hangs_fails_in_time_and_recovers(
    start_own: StartServer, open_store: OpenStore
) -> None:
    server = start_own()
    store = open_store(server.url, timeout_ms=100)
    await store.start()
    server.pause()
    began = time.monotonic()

    await everything_fails(store)
    assert time.monotonic() - began < 3

    server.resume()
    assert (await store.find([])).freshness == NOT_READY


async def test_a_killed_server_returns_cold(
    start_own: StartServer, open_store: OpenStore
) -> None:
    server = start_own()
    store = open_store(server.url)
    await store.check_suitable()
    await put(store, denied())
    server.kill()
    with pytest.raises(StoreUnavailableError):
        await store.find([])
    server.launch()

    assert await store.find([target(Kind.TOKEN)]) == ({}, NOT_READY)
    with pytest.raises(StoreColdError):
        await store.apply("epoch", Batch([denied()], {}, {}))
    assert await store.begin("next", identity()) == "next"


async def test_a_flushed_server_is_cold(
    start_own: StartServer, open_store: OpenStore
) -> None:
    server = start_own()
    store = open_store(server.url)
    await store.check_suitable()
    await put(store, denied())
    async with Redis.from_url(server.url, protocol=2) as raw:
        await raw.flushall()

    assert await store.find([target(Kind.TOKEN)]) == ({}, NOT_READY)
    with pytest.raises(StoreColdError):
        await store.apply("epoch", Batch([denied()], {}, {}))


async def test_writers_load_lost_functions(
    start_own: StartServer, open_store: OpenStore
) -> None:
    server = start_own()
    store = open_store(server.url)
    await store.check_suitable()
    await put(store, denied())
    async with Redis.from_url(server.url, protocol=2) as raw:
        await raw.function_flush()

    assert await store.find([target(Kind.TOKEN)]) == ({}, NOT_READY)
    await store.apply("epoch", Batch([denied(name="other")], {}, {}))
    assert len((await store.find([target(Kind.TOKEN)])).found) == 1


async def test_a_full_server_writes_nothing_and_reports_it(
    start_own: StartServer, open_store: OpenStore
) -> None:
    server = start_own()
    store = open_store(server.url)
    await store.check_suitable()
    await put(store)
    batch = Batch([denied(name=str(at)) for at in range(100)], {0: mark(1)}, {})
    async with Redis.from_url(server.url, protocol=2) as raw:
        await raw.config_set("maxmemory", 1)
        with pytest.raises(StoreUnavailableError, match="maxmemory"):
            await store.apply("epoch", batch)

        assert (await store.region()).marks == {}
        assert not (await store.find([each.target for each in batch.entries])).found

        await raw.config_set("maxmemory", 0)
    await store.apply("epoch", batch)
    assert (await store.region()).freshness.ready


async def test_no_mark_claims_the_unwritten_part_of_a_batch(
    redis_store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [denied(name=str(at)) for at in range(MAX_ENTRIES_PER_CALL + 1)]
    await put(redis_store)
    call, calls = redis_store._connection.call, itertools.count()

    async def call_once(*command: object) -> object:
        if next(calls):
            raise StoreUnavailableError("the second call fails")
        return await call(*command)

    with monkeypatch.context() as patched:
        patched.setattr(redis_store._connection, "call", call_once)
        with pytest.raises(StoreUnavailableError):
            await redis_store.apply("epoch", Batch(entries, {0: mark(1)}, {}))

    assert set((await redis_store.find([entries[0].target])).found)
    assert (await redis_store.region()).marks == {}


async def test_a_replica_answers_and_refuses_to_write(
    start_own: StartServer, open_store: OpenStore, layout: Layout
) -> None:
    server = start_own(repl_diskless_sync_delay="0")
    primary = open_store(server.url, layout)
    await primary.check_suitable()
    await put(primary, denied())
    await primary.apply("epoch", Batch([], {0: mark(1)}, {}))
    other = start_own(replicaof=f"127.0.0.1 {server.port}")
    replica = open_store(other.url, layout)
    deadline = time.monotonic() + 20
    while not await _is_ready(replica):
        assert time.monotonic() < deadline, "never replicated"
        await asyncio.sleep(0.05)

    assert (await replica.find([target(Kind.TOKEN)])).found
    with pytest.raises(StoreUnavailableError, match="replica"):
        await replica.apply("epoch", Batch([denied(name="other")], {}, {}))


async def _is_ready(store: RedisStore) -> bool:
    try:
        return (await store.find([])).freshness.ready
    except StoreUnavailableError:  # It is loading the primary's data.
        return False


@pytest.mark.parametrize("failure", [RuntimeError("closed"), OSError("reset")])
async def test_whatever_the_client_raises_is_an_outage(
    start_own: StartServer, open_store: OpenStore, failure: Exception
) -> None:
    """Uvloop raises RuntimeError for a connection lost while it is opening."""
    store = open_store(start_own().url)

    async def fail(*_: object) -> None:
        raise failure

    store._connection._execute = fail
    await everything_fails(store)
