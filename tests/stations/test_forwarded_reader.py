"""Forwarded records come in order, each once, and never from a revoked partition."""

import asyncio
import os
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from revocation.authority import forwarded_reader
from revocation.authority.forwarded_reader import ForwardedReader
from revocation.settings import AuthoritySettings
from tests.installation import eventually
from tests.stations.kafka import Read

SETTINGS = AuthoritySettings(topic_prefix="played", data_dir=Path("unused"))


class FakeAssignedConsumer:
    """A consumer with manual assignment, and the logs that it reads."""

    def __init__(self):
        self.ends = [0, 0, 0]
        self.positions = {}
        self.failure = None

    async def start(self):
        pass

    async def stop(self):
        pass

    def assign(self, partitions):
        self.positions = dict.fromkeys(partitions)

    def seek(self, tp, offset):
        self.positions[tp] = offset

    async def getmany(self, *, timeout_ms):
        await asyncio.sleep(0.001)
        if self.failure is not None:
            raise self.failure
        found = {}
        for tp, since in self.positions.items():
            offsets = range(since, self.ends[tp.partition])
            found[tp] = [Read(tp.partition, n, None, b"", (), 0) for n in offsets]
            self.positions[tp] = self.ends[tp.partition]
        return found


class Reading:
    """A running reader, and the records that it has passed on."""

    def __init__(self, logs):
        self.logs = logs
        self.taken = []
        self.open_ = asyncio.Event()
        self.open_.set()
        self.reader = ForwardedReader(SETTINGS, self._take)

    async def _take(self, record):
        await self.open_.wait()
        self.taken.append((record.partition, record.offset))

    async def has_taken(self, count):
        await eventually(lambda: len(self.taken) >= count, pause=0.001)


@pytest.fixture
async def reading(monkeypatch):
    logs = FakeAssignedConsumer()
    monkeypatch.setattr(forwarded_reader, "new_consumer", lambda *_, **__: logs)
    made = Reading(logs)
    await made.reader.start()
    running = asyncio.create_task(made.reader.run())
    yield made
    running.cancel()
    await asyncio.wait({running})
    await made.reader.stop()


async def test_each_partition_is_read_from_its_start(reading):
    reading.logs.ends = [3, 5, 9]
    reading.reader.begin(0, 1)
    reading.reader.begin(1, 4)
    await reading.has_taken(3)
    assert sorted(reading.taken) == [(0, 1), (0, 2), (1, 4)]
    reading.logs.ends[1] = 7
    await reading.has_taken(5)
    assert reading.taken[3:] == [(1, 5), (1, 6)]
    assert {tp.topic for tp in reading.logs.positions} == {"played.forwarded"}


async def test_a_partition_that_begins_later_repeats_none_of_the_others(reading):
    """Records fetched and not passed on yet are fetched again."""
    reading.logs.ends = [4, 2, 0]
    reading.open_.clear()
    reading.reader.begin(0, 0)
    await eventually(lambda: reading.logs.positions.get(tp(0)) == 4, pause=0.001)
    reading.reader.begin(1, 0)
    reading.open_.set()
    await reading.has_taken(6)
    assert sorted(reading.taken) == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]
    assert [at for at in reading.taken if at[0] == 0] == [(0, n) for n in range(4)]


async def test_no_record_of_a_revoked_partition_follows(reading):
    reading.logs.ends = [4, 0, 0]
    reading.open_.clear()
    reading.reader.begin(0, 0)
    await eventually(lambda: reading.logs.positions.get(tp(0)) == 4, pause=0.001)
    reading.reader.drop([0, 1])
    reading.open_.set()
    await eventually(lambda: reading.logs.positions == {}, pause=0.001)
    assert reading.taken == [(0, 0)]  # It was in transit.
    reading.reader.begin(0, 2)
    await reading.has_taken(3)
    assert reading.taken[1:] == [(0, 2), (0, 3)]


async def test_a_reassigned_partition_is_read_from_its_new_start(reading):
    """Even if a record of it is in transit."""
    reading.logs.ends = [3, 0, 0]
    reading.open_.clear()
    reading.reader.begin(0, 2)
    await eventually(lambda: reading.logs.positions.get(tp(0)) == 3, pause=0.001)
    reading.reader.drop([0])
    reading.reader.begin(0, 1)
    reading.open_.set()
    await reading.has_taken(3)
    assert reading.taken == [(0, 2), (0, 1), (0, 2)]


async def test_a_failure_ends_the_process(reading, monkeypatch):
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    reading.reader.begin(0, 0)
    reading.logs.failure = KafkaError("gone")
    await eventually(lambda: codes == [70], pause=0.001)


def tp(partition):
    return TopicPartition("played.forwarded", partition)
