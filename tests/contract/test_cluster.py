"""A region in a cluster: one slot, whose owner is discovered and followed."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from revocation.entries import Kind
from revocation.errors import StoreUnavailableError
from revocation.local.process import free_ports
from revocation.store import canary
from revocation.store.batching_reader import BatchingReader
from revocation.store.contract import Batch
from revocation.store.layout import Layout
from revocation.store.redis_feed import RedisFeed
from tests.contract.conftest import OpenStore, StartServer
from tests.contract.samples import NOT_READY, denied, found, mark, put, target
from tests.installation import eventually
from tests.servers import Server

pytestmark = pytest.mark.connected

SLOTS = 16_384


class Cluster:
    """Nodes of a cluster; the second owns the upper half of the slots."""

    def __init__(
        self, nodes: list[Server], raws: list[Redis], buses: list[int]
    ) -> None:
        self.nodes = nodes
        self.raws = raws
        self.buses = buses

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{hosts}"

    async def join(self) -> None:
        first, *others = self.raws
        await first.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS // 2 - 1)
        await others[0].execute_command("CLUSTER", "ADDSLOTSRANGE", SLOTS // 2, 16_383)
        for epoch, raw in enumerate(self.raws, 1):
            await raw.execute_command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for node, bus in list(zip(self.nodes, self.buses, strict=True))[1:]:
            meet = ("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
            await first.execute_command(*meet)

        async def agreed() -> bool:
            infos = [await raw.execute_command("CLUSTER", "INFO") for raw in self.raws]
            return all(b"cluster_state:ok" in _bytes(info) for info in infos)

        await eventually(agreed)

    async def owner(self, layout: Layout) -> int:
        return int(key_slot(layout.meta) >= SLOTS // 2)

    async def move(self, layout: Layout) -> None:
        """Move the region's slot with its keys to the other node."""
        at = await self.owner(layout)
        source, target = self.raws[at], self.raws[1 - at]
        ids = [
            _bytes(await raw.execute_command("CLUSTER", "MYID")).decode()
            for raw in (source, target)
        ]
        slot = key_slot(layout.meta)
        setslot = ("CLUSTER", "SETSLOT", slot)
        await target.execute_command(*setslot, "IMPORTING", ids[0])
        await source.execute_command(*setslot, "MIGRATING", ids[1])
        port = self.nodes[1 - at].port
        keys = [key async for key in source.scan_iter(match=layout.tag + b"*")]
        await source.execute_command(
            *("MIGRATE", "127.0.0.1", port, "", 0, 5_000, "KEYS", *keys)
        )
        for raw in (target, source):
            await raw.execute_command(*setslot, "NODE", ids[1])


def _bytes(reply: object) -> bytes:
    """Return bytes of a reply that the client may have decoded or split."""
    if isinstance(reply, dict):
        return b"\n".join(f"{k}:{v}".encode() for k, v in reply.items())
    return reply.encode() if isinstance(reply, str) else bytes(reply)


@pytest.fixture
async def cluster(start_own: StartServer) -> AsyncIterator[Cluster]:
    options = {"cluster_enabled": "yes", "cluster_node_timeout": "2000"}
    buses = free_ports(2)
    nodes = [start_own(cluster_port=str(bus), **options) for bus in buses]
    async with AsyncExitStack() as stack:
        raws = [
            await stack.enter_async_context(Redis.from_url(node.url, protocol=2))
            for node in nodes
        ]
        made = Cluster(nodes, raws, buses)
        await made.join()
        yield made


async def test_a_region_is_found_wherever_its_slot_is(
    cluster: Cluster, open_store: OpenStore
) -> None:
    owners = set()
    for prefix in ("a", "b", "c", "d"):
        layout = Layout(prefix, (b"pepper" * 8,))
        owners.add(await cluster.owner(layout))
        store = open_store(cluster.url, layout)
        await store.check_suitable()
        await put(store, denied())
        await store.apply("epoch", Batch([], {0: mark(1)}, {}))

        assert await found(store, target(Kind.TOKEN))
        assert (await store.region()).freshness.ready
        feed = RedisFeed(cluster.url, layout)
        head = await feed.head()
        assert head.epoch == "epoch"
        assert len((await feed.page("0")).entries) == 1 + len(canary.TARGETS)
        assert not await feed.changes(head.position, wait_ms=10)
        await feed.stop()
    assert owners == {0, 1}


async def test_a_slot_that_moves_is_followed(
    cluster: Cluster, open_store: OpenStore, layout: Layout
) -> None:
    store = open_store(cluster.url, layout)
    reader = BatchingReader(open_store(cluster.url, layout))
    await store.check_suitable()
    await put(store, denied())
    await reader.start()
    assert (await reader.find([target(Kind.TOKEN)])).found

    await cluster.move(layout)

    # The functions did not move: not ready until the next write loads them.
    assert await reader.find([target(Kind.TOKEN)]) == ({}, NOT_READY)
    await put(store, denied(8, name="later"))
    later = [target(Kind.TOKEN), target(Kind.TOKEN, "later")]
    assert len((await reader.find(later)).found) == 2
    await reader.stop()


async def test_a_cluster_without_its_owner_is_an_outage_and_recovers(
    cluster: Cluster, open_store: OpenStore, layout: Layout
) -> None:
    store = open_store(cluster.url, layout, timeout_ms=500)
    await store.check_suitable()
    await put(store, denied())
    node = cluster.nodes[await cluster.owner(layout)]
    node.kill()
    with pytest.raises(StoreUnavailableError):
        await store.find([])
    node.launch()

    async def answers() -> bool:
        try:
            await store.find([])
        except StoreUnavailableError:
            return False
        return True

    await eventually(answers)
