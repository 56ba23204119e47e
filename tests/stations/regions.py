"""A region for a projector: the log it reads, and a store that fails on demand."""

import itertools
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from revocation.entries import Entry, Kind, Offset, Position, Target, UnixMs
from revocation.projector import projector
from revocation.projector.projector import Projector
from revocation.settings import ProjectorSettings
from revocation.store.contract import Batch, Mark
from revocation.updates import Update, encode_update
from tests.installation import eventually
from tests.memory_store import MemoryStore
from tests.stations.kafka import FakeConsumer, FakeProducer
from tests.unit.strategies import ISSUER

PARTITIONS = 2
SETTINGS = ProjectorSettings(
    region="eu",
    store_url="redis://played",
    pepper_file=Path(__file__),
    topic_prefix="played",
    partitions=PARTITIONS,
    max_outage_seconds=86_400,
)


def now_ms() -> UnixMs:
    return UnixMs(time.time_ns() // 1_000_000)


class FailingStore(MemoryStore):
    """Keeps the calls, and raises the configured errors, call by call."""

    def __init__(self) -> None:
        super().__init__(limits=SETTINGS.limits, clock=now_ms)
        self.batches: list[Batch] = []
        self.failures: list[Exception | None] = []
        self.refused = 0

    async def apply(self, epoch: str, batch: Batch) -> None:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            self.refused += 1
            raise failure
        await super().apply(epoch, batch)
        self.batches.append(batch)


class Region:
    """One projector, its log and its store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = FailingStore()
        self.consumer = FakeConsumer("played.entries", PARTITIONS)
        self.producer = FakeProducer(prompt=True)
        self._sources = itertools.count(1_000)
        monkeypatch.setattr(projector, "new_consumer", lambda *_, **__: self.consumer)
        monkeypatch.setattr(projector, "new_producer", lambda *_, **__: self.producer)
        monkeypatch.setattr(projector, "_MIN_BACKOFF_SECONDS", 0.001)
        monkeypatch.setattr(projector, "_MAX_BACKOFF_SECONDS", 0.01)
        self.projector = Projector(SETTINGS, self.store)
        self.identity = SETTINGS.identity(cluster_id=None)

    def write(
        self,
        partition: int,
        *names: str,
        age_ms: int = 0,
        awaits: tuple[tuple[int, Offset], ...] = (),
        forwarded: int = -1,
        hole: int = 0,
    ) -> Position:
        """Append an update about some users; without any, a pulse."""
        at = Position(partition, Offset(next(self._sources)), now_ms() - age_ms)
        entries = tuple(
            Entry(user(name), at, version=1, not_before=at.time) for name in names
        )
        value = encode_update(Update(at, entries, awaits, Offset(forwarded)))
        self.consumer.append(partition, value, timestamp=at.time, hole=hole)
        return at

    async def known(self, *names: str) -> set[str]:
        """Return which of these users the store has."""
        answer = await self.store.find([user(name) for name in names])
        return {target.id for target in answer.found}

    def marks_now(self) -> Mapping[int, Mark]:
        """Return what the store claims."""
        return dict(self.store._marks)

    async def applied(self, partition: int, offset: int | None = None) -> None:
        """Wait until the store claims all of a partition, or up to an offset."""
        end = self.consumer.ends[partition] if offset is None else offset

        async def claimed() -> bool:
            mark = (await self.store.region()).marks.get(partition)
            return mark is not None and mark.next_offset >= end

        await eventually(claimed, within=5, pause=0.001)

    async def all_applied(self) -> None:
        for partition in range(PARTITIONS):
            await self.applied(partition)


def user(name: str) -> Target:
    return Target(Kind.USER, ISSUER, name)
