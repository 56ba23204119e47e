"""Many sidecars' feeds in one process, for benchmarks/reconnects.py.

Each is a `Feed` over a `RedisFeed` with a connection of its own. Their replicas keep
nothing but their freshness and a count: here a thousand share the cores that they
really have for themselves, and it is the store that is looked at.
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection as Pipe
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import structlog
import uvloop
from check import _PEPPER

from revocation.store import redis_feed as store_feed
from revocation.store.client import redis_connection as store_connection
from revocation.store.client.connection_classes import TcpConnection
from revocation.store.client.redis_connection import RedisConnection
from revocation.store.layout import Layout
from revocation.store.redis_feed import RedisFeed
from revocation.verifier import pacing
from revocation.verifier.pacing import LoadAdmission
from revocation.verifier.replica import Replica
from revocation.verifier.replica_feed import Feed

LAYOUT: Final = Layout("bench", (_PEPPER,))
_LOOK_SECONDS: Final = 0.02
_AT_ONCE: Final = 20


class Outcome(NamedTuple):
    """When the feeds of one process ever connected, and were fresh; `time.time`."""

    connected: list[float]
    fresh: list[float]


class Thin(Replica):
    """Counts the entries."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__((_PEPPER,))
        self._count = 0

    def __len__(self) -> int:
        """Return how many were put."""
        return self._count

    def put(self, told: Mapping[bytes, bytes]) -> None:
        """Keep none."""
        self._count += len(told)

    def finds_canary(self, epoch: str) -> bool:  # noqa: ARG002 - as a replica has it
        """Return True: there is nothing in which to find it."""
        return True


_connected: list[float] = []


class Counted(TcpConnection):
    """Notes when it was connected."""

    async def _connect(self) -> None:
        await super()._connect()  # type: ignore[misc]
        _connected.append(time.time())


def follow(orders: Pipe, url: str, count: int, *, protected: bool) -> None:
    """Follow until the end message; answer each `since` with an `Outcome`."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
    )
    random.seed()
    store_connection.TcpConnection = Counted  # type: ignore[misc]
    if not protected:
        _take_protection_out()
    uvloop.run(_follow(orders, url, count))


def _take_protection_out() -> None:
    """Wait for as long as everybody else, load at once, connect again at once."""

    def connection(*args: Any, **options: Any) -> RedisConnection:
        return RedisConnection(*args, **{**options, "retries": True})

    pacing.random = SimpleNamespace(uniform=lambda _, most: most)  # type: ignore[assignment]
    LoadAdmission.is_admitted = True  # type: ignore[assignment, method-assign]
    store_feed.RedisConnection = connection  # type: ignore[misc, assignment]


async def _follow(orders: Pipe, url: str, count: int) -> None:
    feeds = [
        Feed(
            RedisFeed(url, LAYOUT),
            Thin,
            region="eu",
            max_entries=10_000_000,
            max_clock_skew_ms=2_000,
        )
        for _ in range(count)
    ]
    for first in range(0, count, _AT_ONCE):
        few = feeds[first : first + _AT_ONCE]
        for feed in few:
            await feed.start()
        await asyncio.gather(*(feed.wait_ready() for feed in few))
    orders.send("ready")
    while (order := await asyncio.to_thread(orders.recv)) is not None:
        orders.send(await _watch(feeds, *order))
    await asyncio.gather(*(feed.stop() for feed in feeds))


async def _watch(feeds: list[Feed], since: float, seconds: float) -> Outcome:
    """Return when each was fresh again, of those that were within so many seconds."""
    waiting, fresh = feeds, list[float]()
    while waiting and time.time() < since + seconds:
        await asyncio.sleep(_LOOK_SECONDS)
        before = len(waiting)
        waiting = [
            feed for feed in waiting if feed.replica.freshness.as_of <= since * 1_000
        ]
        fresh += [time.time()] * (before - len(waiting))
    return Outcome(_connected, fresh)
