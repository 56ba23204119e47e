"""A region whose primary Sentinels name, and name again after a failover."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from redis.asyncio import Redis

from revocation.entries import Kind
from revocation.errors import StoreUnavailableError, StoreUnsuitableError
from revocation.local.process import free_ports
from revocation.store.batching_reader import BatchingReader
from revocation.store.layout import Layout
from revocation.store.redis_feed import RedisFeed
from revocation.tls import Tls
from tests.certificates import Authority
from tests.contract.conftest import OpenStore, StartServer
from tests.contract.samples import denied, found, put, target
from tests.installation import eventually
from tests.optional import need
from tests.servers import (
    SentinelServer,
    Server,
    server_program,
    start_redis,
)

pytestmark = pytest.mark.connected


class Watched(NamedTuple):
    """A primary, its replica and their Sentinel."""

    primary: Server
    replica: Server
    sentinel: SentinelServer
    url: str


@pytest.fixture
async def watched(
    start_own: StartServer, request: pytest.FixtureRequest, tmp_path
) -> AsyncIterator[Watched]:
    """Start three servers that are ready to fail over."""
    options = {"repl_diskless_sync_delay": "0", "repl_ping_replica_period": "1"}
    primary = start_own(**options)
    replica = start_own(replicaof=f"127.0.0.1 {primary.port}", **options)
    kind = request.node.callspec.params["start_own"]
    sentinel = SentinelServer(
        tmp_path / "sentinel", port=primary.port, binary=server_program(kind)
    )
    (nobody,) = free_ports(1)
    url = f"redis+sentinel://127.0.0.1:{nobody},127.0.0.1:{sentinel.port}/primary/0"
    with sentinel:
        async with Redis(port=sentinel.port) as watch:

            async def sees_replica() -> bool:
                replicas = await watch.sentinel_slaves("primary")
                return any(each["master-link-status"] == "ok" for each in replicas)

            await eventually(sees_replica)
        yield Watched(primary, replica, sentinel, url)


async def replicated(server: Server, layout: Layout, key: bytes) -> None:
    async with Redis.from_url(server.url, protocol=2) as raw:
        await eventually(lambda: raw.exists(key))


@pytest.mark.parametrize("lose", [Server.kill, Server.pause])
async def test_a_lost_primary_is_replaced_by_its_replica(
    watched: Watched,
    open_store: OpenStore,
    layout: Layout,
    lose: Callable[[Server], None],
) -> None:
    store = open_store(watched.url, layout)
    reader = BatchingReader(open_store(watched.url, layout))
    await store.check_suitable()
    entry, later = denied(), denied(8, name="later")
    await put(store, entry)
    await reader.start()
    await replicated(watched.replica, layout, layout.key(entry.target))
    lose(watched.primary)
    began = time.monotonic()

    async def answers() -> bool:
        try:
            return bool((await reader.find([entry.target])).found)
        except StoreUnavailableError:
            return False

    await eventually(answers, within=20)
    assert time.monotonic() - began < 10

    async def written() -> bool:
        try:
            await put(store, later)
        except StoreUnavailableError:
            return False
        return True

    await eventually(written)
    assert await found(store, later.target)
    async with Redis.from_url(watched.replica.url, protocol=2) as raw:
        assert await raw.exists(layout.key(later.target))
    await reader.stop()


async def test_a_reader_of_the_feed_never_mixes_two_servers(
    watched: Watched, open_store: OpenStore, layout: Layout
) -> None:
    store, feed = open_store(watched.url, layout), RedisFeed(watched.url, layout)
    await store.check_suitable()
    entries = [denied(name=str(at)) for at in range(2_500)]
    await put(store, *entries)
    first = await feed.page("0")
    await replicated(watched.replica, layout, layout.key(entries[-1].target))
    watched.primary.kill()

    async def page() -> object:
        try:
            return await feed.page(first.cursor)
        except StoreUnavailableError:
            return None

    await eventually(page)

    following = await feed.page(first.cursor)
    assert following.run != first.run
    assert following.epoch == first.epoch
    await feed.stop()


async def test_a_demoted_primary_is_abandoned(
    watched: Watched, open_store: OpenStore, layout: Layout
) -> None:
    """A write to a demoted primary goes to the new one at once."""
    store = open_store(watched.url, layout)
    await store.check_suitable()
    await put(store, denied())
    await replicated(watched.replica, layout, layout.key(target(Kind.TOKEN)))
    async with Redis(port=watched.sentinel.port) as watch:
        await watch.execute_command("SENTINEL", "FAILOVER", "primary")

        async def elected() -> bool:
            known = await watch.sentinel_master("primary")
            return bool(known["port"] == watched.replica.port)

        await eventually(elected)
    # The Sentinel does this ten seconds later.
    async with Redis.from_url(watched.primary.url, protocol=2) as raw:
        await raw.replicaof("127.0.0.1", watched.replica.port)

    await put(store, denied(8, name="later"))

    assert await found(store, target(Kind.TOKEN, "later"))


async def test_a_sentinel_can_require_a_password(
    start_own: StartServer, open_store: OpenStore, tmp_path: Path
) -> None:
    sentinel = SentinelServer(
        tmp_path / "sentinel",
        port=start_own().port,
        binary=server_program("valkey"),
        settings=("requirepass a-secret",),
    )
    url = f"redis+sentinel://127.0.0.1:{sentinel.port}/primary"
    with sentinel:
        await open_store(f"{url}?sentinel_password=a-secret").start()
        refused = open_store(f"{url}?sentinel_password=another-secret")
        with pytest.raises(StoreUnavailableError, match="check the user") as caught:
            await refused.start()
        with pytest.raises(StoreUnsuitableError):
            await refused.check_suitable()
    assert "secret" not in str(caught.value)


async def test_sentinels_and_servers_over_tls(
    open_store: OpenStore, tmp_path: Path
) -> None:
    need("redis-server")
    authority = Authority(tmp_path)
    own = authority.issue("server")
    of_server, of_sentinel = free_ports(2)
    options = {
        "tls_cert_file": str(own.file),
        "tls_key_file": str(own.key_file),
        "tls_ca_cert_file": str(authority.file),
        "tls_auth_clients": "no",
        "tls_replication": "yes",
    }
    lines = [f"{name.replace('_', '-')} {value}" for name, value in options.items()]
    sentinel = SentinelServer(
        tmp_path / "sentinel",
        port=of_server,
        binary=server_program("redis7"),
        settings=(f"tls-port {of_sentinel}", *lines),
    )
    server = start_redis(tmp_path / "server", tls_port=str(of_server), **options)
    url = f"rediss+sentinel://127.0.0.1:{of_sentinel}/primary"
    with server, sentinel:
        await open_store(url, tls=Tls(ca_file=authority.file)).check_suitable()
        with pytest.raises(StoreUnavailableError, match="check the certificates"):
            await open_store(url).start()


async def test_a_primary_that_no_sentinel_knows_is_an_outage(
    watched: Watched, open_store: OpenStore
) -> None:
    url = watched.url.replace("/primary/", "/another/")

    with pytest.raises(StoreUnavailableError, match="names the primary 'another'"):
        await open_store(url).start()


async def test_sentinels_that_do_not_answer_are_an_outage(
    open_store: OpenStore,
) -> None:
    one, other = free_ports(2)
    store = open_store(
        f"redis+sentinel://user:secret@127.0.0.1:{one},127.0.0.1:{other}/primary/0"
    )

    with pytest.raises(StoreUnavailableError, match="Error 111 connecting") as caught:
        await store.start()
    assert "secret" not in str(caught.value)
