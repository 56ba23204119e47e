"""Servers and stores for the contract suite."""

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, Final, NamedTuple

import pytest
from redis.asyncio import Redis

from revocation.entries import Limits, UnixMs
from revocation.store.batching_reader import BatchingReader
from revocation.store.contract import FeedReader, Store
from revocation.store.layout import Layout
from revocation.store.redis_feed import RedisFeed
from revocation.store.redis_store import RedisStore
from tests.memory_store import MemoryStore
from tests.optional import need
from tests.servers import Server, start_redis, start_valkey

PEPPER: Final = b"0123456789abcdef" * 4
MAX_TOKEN_MS: Final = 3_600_000
LIMITS: Final = Limits(MAX_TOKEN_MS, MAX_TOKEN_MS, leeway_ms=0)

SERVERS: Final = [
    pytest.param("valkey", marks=pytest.mark.connected),
    pytest.param("redis7", marks=pytest.mark.connected),
]

StartServer = Callable[..., Server]
OpenStore = Callable[..., RedisStore]


def now_ms() -> UnixMs:
    return UnixMs(time.time_ns() // 1_000_000)


def new_prefix() -> str:
    return f"t{secrets.token_hex(6)}"


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def redis7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    need("redis-server")
    with start_redis(tmp_path_factory.mktemp("redis7")) as server:
        yield server


@pytest.fixture
def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_valkey(tmp_path_factory.mktemp("own")) as server:
        yield server


@pytest.fixture
def own_redis7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    need("redis-server")
    with start_redis(tmp_path_factory.mktemp("own")) as server:
        yield server


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    """One of the session's servers; use only your own prefix there."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=SERVERS)
def start_own(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartServer]:
    """Start servers for this test alone."""
    if request.param == "redis7":
        need("redis-server")
    start = {"valkey": start_valkey, "redis7": start_redis}[request.param]
    running = []

    def start_one(**options: str) -> Server:
        context = start(tmp_path_factory.mktemp("own"), **options)
        running.append(context)
        return context.__enter__()

    yield start_one
    for context in running:
        context.__exit__(None, None, None)


@pytest.fixture
async def open_store() -> AsyncIterator[OpenStore]:
    """Make stores; they stop when the test ends."""
    async with AsyncExitStack() as stack:

        def open_one(
            url: str, layout: Layout | None = None, **options: Any
        ) -> RedisStore:
            layout = layout or Layout(new_prefix(), (PEPPER,))
            options = {"limits": LIMITS, **options}
            store = RedisStore(url, layout, **options)
            stack.push_async_callback(store.stop)
            return store

        yield open_one


@pytest.fixture
async def raw(server: Server) -> AsyncIterator[Redis]:
    """A plain client of the session's server."""
    async with Redis.from_url(server.url, protocol=2) as client:
        yield client


class BatchingStore(BatchingReader):
    """Writes as a `RedisStore`, reads as a verifier that queries it for each check."""

    def __init__(self, store: RedisStore) -> None:
        super().__init__(store)
        self.begin = store.begin
        self.clear = store.clear
        self.apply = store.apply
        self.check_suitable = store.check_suitable


BATCHING: Final = [
    pytest.param("batching valkey", marks=pytest.mark.connected),
    pytest.param("batching redis7", marks=pytest.mark.connected),
]


@pytest.fixture(params=["memory", *SERVERS, *BATCHING])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A cold store of each kind."""
    if request.param == "memory":
        yield MemoryStore(limits=LIMITS, clock=now_ms)
        return
    wrapped, _, kind = request.param.rpartition(" ")
    server: Server = request.getfixturevalue(kind)
    layout = Layout(new_prefix(), (PEPPER,))
    plain = RedisStore(server.url, layout, limits=LIMITS)
    await plain.check_suitable()
    async with BatchingStore(plain) if wrapped else plain as store:
        yield store


class FedRegion(NamedTuple):
    """A region's store, its feed, and a second reader of the feed."""

    store: Store
    feed: FeedReader
    other: FeedReader
    lose_everything: Callable[[], Awaitable[object]]


@pytest.fixture(params=["memory", *SERVERS])
async def region(request: pytest.FixtureRequest) -> AsyncIterator[FedRegion]:
    """A cold region of each kind, on a server for this test alone."""
    if request.param == "memory":
        memory = MemoryStore(limits=LIMITS, clock=now_ms, pepper=PEPPER)

        async def lose() -> None:
            memory.lose_everything()

        yield FedRegion(memory, memory, memory, lose)
        return
    server: Server = request.getfixturevalue(f"own_{request.param}")
    layout = Layout(new_prefix(), (PEPPER,))
    store = RedisStore(server.url, layout, limits=LIMITS)
    await store.check_suitable()
    async with AsyncExitStack() as stack:
        raw = await stack.enter_async_context(Redis.from_url(server.url, protocol=2))
        feed, other = RedisFeed(server.url, layout), RedisFeed(server.url, layout)
        for each in (store, feed, other):
            stack.push_async_callback(each.stop)
        yield FedRegion(store, feed, other, raw.flushall)


@pytest.fixture
def layout() -> Layout:
    return Layout(new_prefix(), (PEPPER,))


@pytest.fixture
async def redis_store(
    server: Server, open_store: OpenStore, layout: Layout
) -> RedisStore:
    """A cold store on the server of `raw`."""
    store = open_store(server.url, layout)
    await store.check_suitable()
    return store
