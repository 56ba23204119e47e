"""1,000 sidecars lose one store and come back, in virtual time.

Each is a real `Feed`; the store is a model with a single thread: a request waits for
all earlier ones, and times out after a second. For every protection a test first shows
what happens without it.
"""

import asyncio
import random
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Self

import pytest
import structlog

from revocation.entries import Kind
from revocation.errors import StoreUnavailableError
from revocation.store import canary
from revocation.store.contract import Batch, Mark
from revocation.verifier import pacing, replica_feed as feed_module
from revocation.verifier.pacing import Backoff, LoadAdmission
from revocation.verifier.replica import Replica
from revocation.verifier.replica_feed import Feed
from tests import memory_store
from tests.identities import identity
from tests.memory_store import MemoryStore
from tests.stations.test_verifier import cut_off
from tests.stations.virtual_time import run
from tests.unit.strategies import LIMITS

SIDECARS = 1_000
PAGES = 5
BIN = 0.1

CONNECT_SECONDS = 0.000_1
CALL_SECONDS = 0.000_02
PAGE_SECONDS = 0.002
"""Approximate time of calls in a real Valkey; a page took 1 to 4 ms."""
TIMEOUT_SECONDS = 1.0
WORK_SECONDS = SIDECARS * PAGES * PAGE_SECONDS
"""The store's time for all snapshots together, a lower bound."""


class Machine:
    """The store's server: one thread, and connections that it may lose."""

    def __init__(self) -> None:
        self.store = MemoryStore(limits=LIMITS, clock=lambda: 0)
        self.up = True
        self.life = 0
        self.accepted: list[float] = []
        self.late = 0
        # Nothing takes time while the fleet starts.
        self.is_busy = False
        self._free_at = 0.0

    async def work(self, seconds: float) -> None:
        """Work for a client, after all earlier requests."""
        if not self.is_busy:
            return
        self._free_at = max(now(), self._free_at) + seconds
        patience = min(self._free_at - now(), TIMEOUT_SECONDS)
        await asyncio.sleep(patience)
        if patience == TIMEOUT_SECONDS:
            self.late += 1
            raise StoreUnavailableError("no reply within a second")

    async def accept(self) -> None:
        """Take a new connection."""
        if not self.up:
            raise StoreUnavailableError("connection refused")
        self.accepted.append(now())
        await self.work(CONNECT_SECONDS)

    def refuse_if_lost(self, life: int) -> None:
        """Refuse a reply over a connection that was lost meanwhile."""
        if life != self.life:
            raise StoreUnavailableError("connection lost")

    def drop_connections(self) -> None:
        """Drop every client at one instant, and fail the waiting requests."""
        self.life += 1
        self.accepted.clear()
        self.store.available = False
        self.store._fed_more.set()

    async def restart(self, *, after: float, with_data: bool) -> None:
        self.drop_connections()
        self.up = False
        await asyncio.sleep(after)
        self.up = self.store.available = True
        self._free_at = now()
        if not with_data:
            self.store.lose_everything()

    async def fill(self, epoch: str) -> None:
        await self.store.begin(epoch, identity())
        count = PAGES * 3 - len(canary.TARGETS)
        entries = [cut_off(Kind.USER, f"user-{number}") for number in range(count)]
        await self.store.apply(epoch, Batch(entries, mark(), {}))

    async def beat(self) -> None:
        """Advance the watermark twice a second."""
        while True:
            await asyncio.sleep(0.5)
            if self.store.available and self.store._epoch is not None:
                await self.store.apply(self.store._epoch, Batch([], mark(), {}))


class Client:
    """A sidecar's connection to the store."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._life = -1

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        return partial(self._call, name)

    async def _call(self, name: str, *args: Any, **named: Any) -> Any:
        machine = self._machine
        try:
            if self._life != machine.life:
                await machine.accept()
                self._life = machine.life
            await machine.work(PAGE_SECONDS if name == "page" else CALL_SECONDS)
            reply = await getattr(machine.store, name)(*args, **named)
            machine.refuse_if_lost(self._life)
        except StoreUnavailableError:
            self._life = -1
            raise
        return reply


class Fleet:
    """All sidecars of a region, following it."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.feeds: list[Feed] = []
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.machine.fill("first")
        self._beating = asyncio.create_task(self.machine.beat())
        pepper = self.machine.store.pepper
        for _ in range(SIDECARS):
            feed = Feed(
                Client(self.machine),
                partial(Replica, (pepper,)),
                region="eu",
                max_entries=PAGES * 3,
                max_clock_skew_ms=2_000,
            )
            self.feeds.append(feed)
            await feed.start()
        await asyncio.gather(*[feed.wait_ready() for feed in self.feeds])
        self.machine.is_busy = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._beating.cancel()
        await asyncio.gather(*[feed.stop() for feed in self.feeds])

    def fresh(self, *, since: float) -> int:
        as_of = [feed.replica.freshness.as_of for feed in self.feeds]
        return sum(each > since * 1_000 for each in as_of)

    async def recover(self, *, within: float) -> list[float]:
        """Return after how many seconds each was fresh as of now."""
        began, took = now(), []
        while len(took) < SIDECARS and now() - began < within:
            await asyncio.sleep(BIN / 2)
            more = self.fresh(since=began) - len(took)
            took += [now() - began] * more
        return took

    def busiest_share(self) -> float:
        """Return the share of sidecars that connect in the busiest 0.1 s."""
        times = self.machine.accepted
        ends = [bisect_right(times, at + BIN) for at in times]
        return max(end - first for first, end in enumerate(ends)) / SIDECARS


def now() -> float:
    return asyncio.get_running_loop().time()


def mark() -> dict[int, Mark]:
    beat = int(now() * 1_000)
    return {0: Mark(beat + 1, beat, beat, beat, rebuilt=True)}


@pytest.fixture(autouse=True)
def _virtual(monkeypatch):
    monkeypatch.setattr(memory_store, "_PAGE_ENTRIES", 3)
    clock = SimpleNamespace(monotonic=now, time_ns=time.time_ns)
    monkeypatch.setattr(feed_module, "time", clock)
    monkeypatch.setattr(pacing, "random", random.Random(5))
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def in_step(monkeypatch):
    """Without jitter: every wait has the same length."""
    alike = SimpleNamespace(uniform=lambda _, most: most)
    monkeypatch.setattr(pacing, "random", alike)


@pytest.fixture
def pushy(monkeypatch):
    """Without the protection: no load waits for its turn."""
    monkeypatch.setattr(LoadAdmission, "is_admitted", True)


# Connections --------------------------------------------------------------------------


async def come_back(away: float) -> tuple[float, list[float], bool]:
    async with Fleet() as fleet:
        await fleet.machine.restart(after=away, with_data=True)
        replicas = [feed.replica for feed in fleet.feeds]
        took = await fleet.recover(within=10)
        kept = [feed.replica for feed in fleet.feeds] == replicas
        return fleet.busiest_share(), took, kept


@pytest.mark.parametrize("away", [0.1, 5.0])
def test_without_jitter_all_come_back_in_the_same_instant(in_step, away):
    share, _, _ = run(come_back(away))
    assert share > 0.95


@pytest.mark.parametrize("away", [0.1, 5.0])
def test_with_jitter_few_come_back_at_a_time_and_all_soon(away):
    """Whether the store was unreachable for an instant or longer."""
    share, took, kept = run(come_back(away))
    assert share < 0.15
    assert len(took) == SIDECARS
    assert max(took) < 3
    assert kept, "a feed that kept its position loads nothing"


# Snapshots ----------------------------------------------------------------------------


async def come_back_to_nothing(within: float) -> tuple[list[float], int]:
    async with Fleet() as fleet:
        machine = fleet.machine
        await machine.restart(after=1, with_data=False)
        await asyncio.sleep(5)
        await machine.fill("second")
        machine.late = 0
        return await fleet.recover(within=within), machine.late


SOON_SECONDS = 1.4 * WORK_SECONDS


def test_simultaneous_snapshots_all_fail(in_step, pushy):
    """Replies come too late, and their work is wasted."""
    took, late = run(come_back_to_nothing(within=SOON_SECONDS))
    assert late > SIDECARS
    assert len(took) < SIDECARS / 4
    assert not took or took[0] > 0.7 * WORK_SECONDS


def test_snapshots_are_loaded_in_turn():
    """As fast as the store allows, and spread over the time."""
    took, late = run(come_back_to_nothing(within=SOON_SECONDS))
    assert late == 0
    assert len(took) == SIDECARS
    assert took[SIDECARS // 10] < 0.3 * WORK_SECONDS
    assert took[SIDECARS // 2] < 0.7 * WORK_SECONDS


# The rules themselves -----------------------------------------------------------------


def test_a_backoff_spreads_over_a_bound_that_doubles():
    backoff = Backoff(1.0, 4.0)
    waits = [
        [backoff.next() for _ in range(4)]
        for _ in range(200)
        if backoff.reset() is None
    ]
    for waited, bound in zip(zip(*waits, strict=True), (1, 2, 4, 4), strict=True):
        assert 0 <= min(waited) < 0.1 * bound
        assert 0.9 * bound < max(waited) <= bound


def comes(turn: LoadAdmission, *replies: float, waited: float = 0.0) -> bool:
    for took in replies:
        turn.note_reply(took)
        turn.count_reply(waited=waited)
    return turn.is_admitted


def test_a_turn_comes_when_the_store_is_idle_for_a_while():
    turn = LoadAdmission()
    assert not comes(turn, 0.001, 0.001)
    assert comes(turn, 0.001)
    turn.begin()
    assert not comes(turn, 0.001, 0.001, 0.05, 0.001, 0.001)


def test_a_turn_comes_after_a_long_wait():
    turn = LoadAdmission()
    assert not comes(turn, 0.001, 0.15, 0.15, 0.15, waited=20)
    assert comes(turn, 0.15, 0.15, 0.15, waited=60)


def test_waits_are_bounded_before_replies_are_late():
    turn = LoadAdmission()
    assert comes(turn, 0.001, 0.5, 0.5, 0.5, waited=86_400)
    assert not comes(turn, 0.6, waited=86_400)


def test_a_distant_store_does_not_count_as_busy():
    assert comes(LoadAdmission(), 0.05, 0.05, 0.05)
