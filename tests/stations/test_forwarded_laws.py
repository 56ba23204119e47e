"""Each event counts once, whatever partitioners, twins, kills and wipes do.

Sibling: `connected/test_twins.py`, with real servers.
"""

import random
from pathlib import Path

import pytest
from faust.types import TP

from revocation import events
from revocation.entries import DENYLIST_KINDS, Entry, Kind, Target
from tests.stations.log import PARTITIONS, home
from tests.stations.mixtures import (
    QUIET,
    Published,
    disabled_and_enabled,
    expected,
    happened,
    where,
)
from tests.stations.world import TOPICS, Broker, FakeRegion, Worker
from tests.unit.strategies import ISSUER, LIMITS

SEEDS = range(20)
EVENTS = [TP(TOPICS.events, partition) for partition in range(PARTITIONS)]
STEPS = 260


class Mixture:
    """One run: producers, an authority and its twins, driven by a seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = random.Random(seed)
        self.broker = Broker(self.rng)
        self.folder = folder
        self.published: list[Published] = []
        self.quiet = [
            (event, partition)
            for user in QUIET
            for partition in [self.rng.randrange(PARTITIONS)]
            for event in disabled_and_enabled(user)
        ]
        self.workers: list[Worker] = []
        self.zombies: list[Worker] = []
        self.folders = 0
        self.start("one")

    def start(self, group: str, folder: Path | None = None) -> Worker:
        """Start a worker; without a folder, on an empty disk."""
        if folder is None:
            self.folders += 1
            folder = self.folder / f"{group}-{self.folders}"
        worker = Worker(self.broker, group, folder)
        self.workers.append(worker)
        return worker

    async def run(self) -> None:
        """Take many steps, then finish."""
        acts = [
            *[self.publish] * 12,
            *[self.take] * 24,
            *[self.commit] * 3,
            *[self.pulse] * 2,
            *[self.refresh] * 2,
            *(self.kill, self.wipe, self.join, self.take_over, self.publish_quietly),
            *(self.publish_rubbish, self.look),
        ]
        for _ in range(STEPS):
            await self.rng.choice(acts)()
        await self.finish()

    async def finish(self) -> None:
        """Let zombies end, and every worker conclude on everything."""
        for worker in self.zombies:
            await worker.settle()
            await worker.kill()
        for _ in range(2):
            self.workers[0].pulse()
            for worker in self.workers:
                await worker.catch_up()

    async def stop(self) -> None:
        """Close every ledger."""
        for worker in self.workers:
            await worker.kill()

    # Random steps ---------------------------------------------------------------------

    async def publish(self) -> None:
        event = happened(self.rng, self.broker.now)
        self.append(event, where(self.rng, home(event)))

    async def publish_quietly(self) -> None:
        if self.quiet:
            self.append(*self.quiet.pop(0))

    def append(self, event: events.Event, partition: int) -> None:
        self.broker.publish(event, partition)
        log = self.broker.logs[TP(TOPICS.events, partition)]
        self.published.append(Published(event, partition, len(log) - 1, log[-1].time))

    async def publish_rubbish(self) -> None:
        self.broker.publish(b"not json", self.rng.randrange(PARTITIONS))

    async def take(self) -> None:
        worker = self.rng.choice(self.workers)
        if unread := worker.unread():
            await worker.take(self.rng.choice(unread))

    async def commit(self) -> None:
        self.rng.choice(self.workers).commit()

    async def pulse(self) -> None:
        self.rng.choice(self.workers).pulse()

    async def refresh(self) -> None:
        authority = self.rng.choice(self.workers).authority
        await authority._reemitter._advance(self.rng.randrange(PARTITIONS))

    async def kill(self) -> None:
        """Kill a worker, perhaps in the middle of a record; it starts again."""
        worker = self.rng.choice(self.workers)
        if unread := worker.unread():
            await worker.take(self.rng.choice(unread), turns=self.rng.randint(0, 3))
        await worker.kill()
        self.workers.remove(worker)
        self.start(worker.group, worker.folder)

    async def wipe(self) -> None:
        """Kill a worker that also loses its disk."""
        worker = self.rng.choice(self.workers)
        await worker.kill()
        self.workers.remove(worker)
        self.start(worker.group)

    async def join(self) -> None:
        """A twin starts: a new group, without data."""
        if len(self.workers) < 3:
            self.start(f"twin-{self.folders}")

    async def take_over(self) -> None:
        """A worker is paused for so long that another takes its partitions."""
        worker = self.rng.choice(self.workers)
        self.workers.remove(worker)
        self.start(worker.group)
        # It resumes much later, and acts before it learns of that.
        worker.commit = lambda: None
        for _ in range(self.rng.randint(0, 3)):
            if unread := worker.unread():
                await worker.take(self.rng.choice(unread))
        self.zombies.append(worker)

    async def look(self) -> None:
        """Check the claims of a region that has read a random amount."""
        check_claims(FakeRegion(self.broker, self.rng.random), self.published)


def check_claims(region: FakeRegion, published: list[Published]) -> None:
    """Check that every claimed event is applied."""
    for event, partition, offset, _ in published:
        if region.marks[partition].source_offset < offset:
            continue
        for target in events.targets(event):
            entry = region.held[target]
            if target.kind not in DENYLIST_KINDS:
                assert entry.applied(partition) >= offset, "claimed too early"


def check_users(held: dict[Target, Entry], published: list[Published]) -> None:
    """Check users against the model."""
    for name, user in expected(published).items():
        entry = held[Target(Kind.USER, ISSUER, name)]
        found = entry.version, entry.not_before, entry.status
        assert found == (user.version, user.cut_off, user.status), name


def check_denials(held: dict[Target, Entry], published: list[Published]) -> None:
    """Check that denied tokens are denied until the latest event's end."""
    ends: dict[Target, int] = {}
    for event, _, _, time in published:
        if isinstance(event, events.TokenRevoked):
            (target,) = events.targets(event)
            exp = event.data.exp and event.data.exp * 1_000
            latest = time + LIMITS.longest_token_ms + LIMITS.leeway_ms
            until = min(exp or latest, latest) + LIMITS.leeway_ms
            ends[target] = max(until, ends.get(target, 0))
    for target, until in ends.items():
        assert held[target].relevant_until(LIMITS) >= until


@pytest.mark.parametrize("seed", SEEDS)
async def test_each_event_of_a_mixture_counts_once(seed, tmp_path):
    """In the region and in every ledger; and none is claimed before it is applied."""
    mixture = Mixture(seed, tmp_path)
    await mixture.run()

    region = FakeRegion(mixture.broker)
    check_users(region.held, mixture.published)
    check_denials(region.held, mixture.published)
    for worker in mixture.workers:
        check_users(worker.table(), mixture.published)
    check_claims(region, mixture.published)
    ends = [len(mixture.broker.logs[tp]) for tp in EVENTS]
    claimed = [region.marks[tp.partition].source_offset + 1 for tp in EVENTS]
    assert claimed == ends, "something is never claimed"
    await mixture.stop()


async def test_a_new_twin_replays_nothing(tmp_path):
    """It forwards nothing again, and parks no bad record again."""
    mixture = Mixture(7, tmp_path)
    await mixture.run()
    topics = (TOPICS.forwarded, TOPICS.dead_letters)
    before = [mixture.broker.written(topic) for topic in topics]
    assert all(before)
    twin = mixture.start("late")
    mixture.append(happened(mixture.rng, mixture.broker.now), 0)
    twin.pulse()
    await twin.catch_up()
    forwarded, parked = [mixture.broker.written(topic) for topic in topics]
    assert forwarded - before[0] <= PARTITIONS
    assert parked == before[1]
    check_users(twin.table(), mixture.published)
    await mixture.stop()
