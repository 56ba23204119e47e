"""Authorities in one process: real ledgers and stations, on a Kafka in memory.

The test triggers every step, in the order that it draws: it takes records, delivers
outputs, commits offsets, and kills workers in the middle of anything.
"""

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from aiokafka.structs import RecordMetadata
from faust.types import TP

from revocation.authority.faust_app import Authority
from revocation.entries import Entry, Target, merge
from revocation.events import Event, encode
from revocation.projector.progress import Progress
from revocation.settings import AuthoritySettings
from revocation.store.contract import Mark
from revocation.topics import PULSE_KEY, Topics
from revocation.updates import decode_update
from tests.stations.log import PARTITIONS
from tests.unit.strategies import NOW

TOPICS = Topics(prefix="played")
READ = [
    TP(topic, partition)
    for topic in (TOPICS.events, TOPICS.forwarded)
    for partition in range(PARTITIONS)
]


class Logged(NamedTuple):
    """A record in a log."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    time: int


class Broker:
    """Logs, and the commits of groups. Each record is later than all before."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now = NOW
        self.logs: defaultdict[TP, list[Logged]] = defaultdict(list)
        self.committed: defaultdict[str, dict[TP, int]] = defaultdict(dict)

    def append(self, tp: TP, key: Any, value: Any, headers: Any = ()) -> int:
        """Append a record; return its offset."""
        self.now += self.rng.randint(1, 40)
        self.logs[tp].append(Logged(key, value, list(headers), self.now))
        return len(self.logs[tp]) - 1

    def publish(self, event: Event | bytes, partition: int) -> None:
        """Append what a producer sends."""
        value = event if isinstance(event, bytes) else encode(event)
        self.append(TP(TOPICS.events, partition), b"any", value)

    def written(self, topic: str) -> int:
        """Return how many records a topic has."""
        return sum(len(log) for tp, log in self.logs.items() if tp.topic == topic)


class Producer:
    """Keeps what is sent until it is delivered, per partition in order."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.pending: defaultdict[TP, deque[Any]] = defaultdict(deque)

    async def send(self, topic, value=None, *, key, partition, headers):
        """Send as aiokafka does."""
        delivery = asyncio.get_running_loop().create_future()
        self.pending[TP(topic, partition)].append((key, value, headers, delivery))
        return delivery

    def deliver(self, tp: TP) -> None:
        """Have the broker take and acknowledge the next record of a partition."""
        key, value, headers, delivery = self.pending[tp].popleft()
        offset = self.broker.append(tp, key, value, headers)
        metadata = RecordMetadata(tp.topic, tp.partition, tp, offset, -1, 1, 0)
        if not delivery.cancelled():
            delivery.set_result(metadata)

    def deliver_some(self) -> None:
        """Deliver some waiting records; each partition advances at its own pace."""
        for tp, waiting in self.pending.items():
            for _ in range(self.broker.rng.randint(0, len(waiting))):
                self.deliver(tp)

    def deliver_all(self) -> None:
        """Deliver every waiting record."""
        for tp, waiting in self.pending.items():
            while waiting:
                self.deliver(tp)


class Worker:
    """The only worker of an authority, from its start until it is killed."""

    def __init__(self, broker: Broker, group: str, folder: Path) -> None:
        self.broker, self.group, self.folder = broker, group, folder
        settings = AuthoritySettings(
            topic_prefix="played",
            partitions=PARTITIONS,
            data_dir=folder,
            authority_id=group,
        )
        self.authority = Authority(settings)
        self.producer = Producer(broker)
        self.authority._output._producer = self.producer
        self.authority._owned = set(range(PARTITIONS))
        self.acked: dict[TP, int] = {}
        self.position: dict[TP, int] = {}
        self.recover()

    def recover(self) -> None:
        """Read the entries topic, then seek."""
        ledger = self.authority._ledger
        for partition in range(PARTITIONS):
            log = self.broker.logs[TP(TOPICS.entries, partition)]
            since = ledger.holds_until(partition) + 1
            ledger.apply_changelog_batch(
                [
                    SimpleNamespace(
                        message=SimpleNamespace(
                            partition=partition, offset=offset, value=log[offset].value
                        )
                    )
                    for offset in range(since, len(log))
                ]
            )
        committed = self.broker.committed[self.group]
        for partition in range(PARTITIONS):
            # As `SeekingConsumer` does: `test_consumer.py`.
            tp = TP(TOPICS.events, partition)
            behind = self.authority.concluded(partition) + 1
            self.position[tp] = max(behind, committed.get(tp, 0))
            self.authority._read_forwarded(partition)
            reading = self.authority._forwarded_reader._reading[partition]
            self.position[TP(TOPICS.forwarded, partition)] = reading.following

    def unread(self) -> list[TP]:
        """Return the partitions with unread records."""
        return [tp for tp in READ if self.position[tp] < len(self.broker.logs[tp])]

    async def take(self, tp: TP, *, turns: int = 10**9) -> None:
        """Take the next record of a partition; abandon it after so many turns.

        The caller must not take another afterwards: no worker does.
        """
        offset = self.position[tp]
        self.position[tp] += 1
        logged = self.broker.logs[tp][offset]
        forwarded = tp.topic == TOPICS.forwarded
        record = SimpleNamespace(
            topic=tp.topic,
            partition=tp.partition,
            offset=offset,
            timestamp=logged.time if forwarded else logged.time / 1_000,
            key=logged.key,
            value=logged.value,
            headers=logged.headers,
        )
        if forwarded:
            taking = asyncio.create_task(self.authority._take_forwarded(record))
        else:
            ack = partial(self.ack, tp, offset)
            event = SimpleNamespace(message=record, ack=ack)
            taking = asyncio.create_task(self.authority._take(event))
        while not taking.done() and turns:
            await self.turn()
            turns -= 1
        if taking.done():
            taking.result()
        else:
            taking.cancel()
            await asyncio.wait({taking})

    async def turn(self) -> None:
        """Run all tasks that can run, and deliver some of the sent records."""
        for _ in range(4):
            await asyncio.sleep(0)
        await self.authority._output._hand_over_all()
        self.producer.deliver_some()
        for _ in range(4):
            await asyncio.sleep(0)

    async def settle(self) -> None:
        """Deliver everything."""
        for _ in range(4):
            await self.turn()
            self.producer.deliver_all()

    def pulse(self) -> None:
        """Mark the present in each partition of the events topic."""
        for partition in range(PARTITIONS):
            self.broker.append(TP(TOPICS.events, partition), PULSE_KEY, b"{}")

    def ack(self, tp: TP, offset: int) -> None:
        assert offset >= self.acked.get(tp, 0)
        self.acked[tp] = offset + 1

    def commit(self) -> None:
        """Commit acknowledged offsets; a replaced worker cannot."""
        self.broker.committed[self.group] |= self.acked

    async def catch_up(self) -> None:
        """Take every record, also those that follow from others."""
        while unread := self.unread():
            await self.take(self.broker.rng.choice(unread))
            if not self.unread():
                await self.settle()
        self.commit()

    def table(self) -> dict[Target, Entry]:
        """Return all that the ledger holds."""
        ledger = self.authority._ledger
        return {
            entry.target: entry
            for partition in range(PARTITIONS)
            for entry in ledger.walk(partition, ledger.count(partition))
        }

    async def kill(self) -> None:
        """End: undelivered records are lost, the disk stays."""
        self.producer.pending.clear()
        await self.authority._ledger.data.stop()


class FakeRegion:
    """The entries and claims of a region that has read part of each partition."""

    def __init__(
        self, broker: Broker, share: Callable[[], float] = lambda: 1.0
    ) -> None:
        self.held: dict[Target, Entry] = {}
        progress = []
        for partition in range(PARTITIONS):
            log = broker.logs[TP(TOPICS.entries, partition)]
            reading = Progress(Mark.at(0), rebuilt_at=len(log))
            for at, logged in enumerate(log[: round(share() * len(log))]):
                update = decode_update(logged.value or b"", partition)
                reading.read(at + 1, update)
                for entry in update.entries:
                    known = self.held.get(entry.target)
                    self.held[entry.target] = merge(known, entry) if known else entry
            progress.append(reading)
        for _ in range(PARTITIONS):
            for reading in progress:
                reading.settle({at: each.mark for at, each in enumerate(progress)})
        self.marks = {at: each.mark for at, each in enumerate(progress)}
