"""Feeds of servers that lost data, were replaced, or have slow readers.

Sibling: `test_feed.py`, for every kind of region.
"""

import asyncio
import re
import socket
from pathlib import Path

import pytest
from redis.asyncio import Redis

from revocation.errors import StoreUnavailableError
from revocation.store.client.redis_connection import RedisConnection
from revocation.store.contract import START, Batch
from revocation.store.layout import Layout
from revocation.store.redis_feed import RedisFeed
from revocation.store.redis_store import MAX_ENTRIES_PER_CALL
from tests.contract.conftest import OpenStore, StartServer
from tests.contract.samples import denied, mark, put
from tests.contract.test_feed import read_on
from tests.identities import identity
from tests.installation import eventually
from tests.servers import Server

pytestmark = pytest.mark.connected


@pytest.fixture
async def pair(start_own: StartServer) -> tuple[Server, Server]:
    """Start a primary and its replica."""
    primary = start_own(repl_diskless_sync_delay="0")
    return primary, start_own(replicaof=f"127.0.0.1 {primary.port}")


async def promote(pair: tuple[Server, Server], key: bytes) -> None:
    """Make the replica a primary, as soon as it has the key."""
    async with Redis.from_url(pair[1].url, protocol=2) as raw:
        await eventually(lambda: raw.exists(key))
        await raw.execute_command("REPLICAOF", "NO", "ONE")


async def test_a_promoted_server_with_less_data_breaks_the_feed(
    pair: tuple[Server, Server], open_store: OpenStore, layout: Layout
) -> None:
    old, new = (open_store(server.url, layout) for server in pair)
    await old.check_suitable()
    await put(old, denied())
    await promote(pair, layout.key(denied().target))
    await put(old, denied(8, name="lost"))
    known = RedisFeed(pair[0].url, layout)
    position = (await known.head()).position
    feed = RedisFeed(pair[1].url, layout)

    await put(new, denied(9, name="next"))

    (change,) = await read_on(feed, position)
    assert change.after != position
    for each in (known, feed):
        await each.stop()


async def test_a_promoted_server_that_is_behind_shows_by_its_head(
    pair: tuple[Server, Server], open_store: OpenStore, layout: Layout
) -> None:
    """Its clock is behind: new records have lower ids than those read before."""
    old, new = (open_store(server.url, layout) for server in pair)
    await old.check_suitable()
    await put(old, denied())
    await promote(pair, layout.key(denied().target))
    async with Redis.from_url(pair[0].url, protocol=2) as raw:
        ahead = f"{4 * 10**12}-0"
        after = await raw.hget(layout.meta, "fed")
        fields = {"after": after, "epoch": "epoch", "ready": "0", "as_of": "0"}
        await raw.xadd(layout.feed, fields, id=ahead)
        await raw.hset(layout.meta, "fed", ahead)
    known = RedisFeed(pair[0].url, layout)
    position = (await known.head()).position
    assert position == ahead
    feed = RedisFeed(pair[1].url, layout)

    await put(new, denied(9, name="next"))

    assert not await feed.changes(position, wait_ms=10)
    assert int((await feed.head()).position.split("-")[0]) < 4 * 10**12
    for each in (known, feed):
        await each.stop()


async def test_pages_of_another_run_are_recognised(
    start_own: StartServer, open_store: OpenStore, layout: Layout
) -> None:
    server = start_own()
    store, feed = open_store(server.url, layout), RedisFeed(server.url, layout)
    await store.check_suitable()
    runs = [(await feed.page("0")).run for _ in range(2)]
    server.restart()
    await store.check_suitable()

    runs.append((await feed.page("0")).run)

    assert runs[0] == runs[1] != runs[2]
    assert all(runs)
    await feed.stop()


async def test_a_server_without_functions_has_a_cold_page(
    start_own: StartServer, layout: Layout
) -> None:
    feed = RedisFeed(start_own().url, layout)

    page = await feed.page("0")

    assert (page.epoch, page.cursor, page.entries) == (None, "0", {})
    await feed.stop()


async def test_a_server_that_is_down_or_hangs_is_reported_in_time(
    start_own: StartServer, layout: Layout
) -> None:
    server = start_own()
    feed = RedisFeed(server.url, layout, timeout_ms=200)
    await feed.head()

    async def everything_fails() -> None:
        for call in (
            feed.head(),
            feed.page("0"),
            feed.changes(START, wait_ms=50),
            feed.clock_skew_ms(),
        ):
            with pytest.raises(StoreUnavailableError, match="the store at redis://127"):
                await call

    async with asyncio.timeout(5):
        server.pause()
        await everything_fails()
        server.resume()
        await eventually(feed.head)
        server.kill()
        await everything_fails()
    server.launch()
    assert (await feed.head()).epoch is None
    await feed.stop()


@pytest.mark.parametrize("again", [True, False], ids=["again at once", "as it is"])
async def test_a_lost_connection_is_not_reopened_at_once(
    start_own: StartServer, layout: Layout, *, again: bool
) -> None:
    """Else all feeds of a region would reconnect at one instant."""
    server = start_own()
    feed = RedisFeed(server.url, layout)
    if again:
        feed._connection = RedisConnection(
            server.url, timeout_ms=1_000, max_connections=1
        )
    await feed.head()
    async with Redis.from_url(server.url, protocol=2) as raw:
        before = (await raw.info("stats"))["total_connections_received"]
        waiting = asyncio.create_task(feed.changes(START, wait_ms=900))
        await eventually(lambda: _blocked(raw))

        await raw.client_kill_filter(_type="normal", skipme=True)

        (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
        after = (await raw.info("stats"))["total_connections_received"]
    assert after - before == again
    assert isinstance(outcome, StoreUnavailableError) != again
    await feed.stop()


async def test_a_wait_beyond_the_reply_timeout_is_refused(
    start_own: StartServer, layout: Layout
) -> None:
    feed = RedisFeed(start_own().url, layout, timeout_ms=200)

    with pytest.raises(ValueError, match="less than 200"):
        await feed.changes(START, wait_ms=200)
    await feed.stop()


async def test_a_dead_reader_costs_the_server_nothing(
    start_own: StartServer, open_store: OpenStore, layout: Layout
) -> None:
    """It never reads its reply: the server holds that one, however much is written."""
    server = start_own()
    store = open_store(server.url, layout)
    await store.check_suitable()
    await store.begin("epoch", identity())
    async with Redis.from_url(server.url, protocol=2) as raw:
        head = await raw.hget(layout.meta, "fed")
        _, dead = await asyncio.open_connection("127.0.0.1", server.port)
        dead.write(b"XREAD COUNT 16 BLOCK 0 STREAMS %b %b\r\n" % (layout.feed, head))
        await eventually(lambda: _blocked(raw))
        for at in range(1_200):
            entries = [denied(at, name=f"{at}-{each}") for each in range(3)]
            marks = {0: mark(at + 1, as_of=at + 1)}
            await store.apply("epoch", Batch(entries, marks, {}))

        clients = await raw.client_list()

        assert await raw.xlen(layout.feed) < 1_024 + 100
        assert max(int(client["omem"]) for client in clients) == 0
        assert max(int(client["tot-mem"]) for client in clients) < 1_000_000
    dead.close()


async def _blocked(raw: Redis) -> bool:
    return bool((await raw.info("clients"))["blocked_clients"])


async def test_a_reader_that_never_reads_is_disconnected(
    start_own: StartServer, open_store: OpenStore, layout: Layout
) -> None:
    config = Path(__file__).parents[2] / "deploy" / "redis" / "redis.conf"
    (limit,) = re.findall(r"\nclient-output-buffer-limit (.+)", config.read_text())
    server = start_own(client_output_buffer_limit=limit)
    store = open_store(server.url, layout)
    await store.check_suitable()
    await store.begin("epoch", identity())
    for at in range(16):
        names = [f"{at}-{each}" for each in range(MAX_ENTRIES_PER_CALL)]
        entries = [denied(at, name=name) for name in names]
        await store.apply("epoch", Batch(entries, {}, {}))
    feed = RedisFeed(server.url, layout)
    largest = await feed.changes(START, wait_ms=0)
    await feed.stop()
    assert sum(len(change.entries) for change in largest) > 14_000
    greedy = socket.create_connection(("127.0.0.1", server.port))
    greedy.sendall(b"XREAD COUNT 16 STREAMS %b 0-0\r\n" % layout.feed * 60)
    async with Redis.from_url(server.url, protocol=2) as raw:

        async def cut_off() -> bool:
            return greedy.getsockname()[1] not in [
                int(client["addr"].rpartition(":")[2])
                for client in await raw.client_list()
            ]

        await eventually(cut_off)
    greedy.close()


async def test_the_feed_of_a_storm_is_bounded(
    start_own: StartServer, open_store: OpenStore, layout: Layout
) -> None:
    server = start_own()
    store = open_store(server.url, layout)
    await store.check_suitable()
    await store.begin("epoch", identity())
    async with Redis.from_url(server.url, protocol=2) as raw:
        for storm in range(20):
            entries = [
                denied(storm, name=f"{storm}-{at}")
                for at in range(MAX_ENTRIES_PER_CALL)
            ]
            await store.apply("epoch", Batch(entries, {}, {}))
        used = await raw.memory_usage(layout.feed, samples=0)

    assert used < 20 * MAX_ENTRIES_PER_CALL * 150
