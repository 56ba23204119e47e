"""Doubles of Kafka's clients: they keep what is sent, and serve a written log."""

import asyncio
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalStateError
from aiokafka.structs import RecordMetadata, TopicPartition


class Sent(NamedTuple):
    """A record handed to a producer."""

    topic: str
    value: bytes | None
    key: bytes | None
    partition: int
    headers: list[tuple[str, bytes]]
    delivery: asyncio.Future[RecordMetadata]

    def deliver(self, offset: int = 0) -> None:
        """Acknowledge it, as a broker does."""
        place = TopicPartition(self.topic, self.partition)
        self.delivery.set_result(
            RecordMetadata(self.topic, self.partition, place, offset, -1, 1, 0)
        )


class FakeProducer:
    """Keeps what is sent, or raises `refusal`; `prompt`: acknowledges at once.

    While `open_` is not set, sending waits, as for an unreachable broker.
    """

    def __init__(self, *, prompt: bool = False) -> None:
        self.sent: list[Sent] = []
        self.refusal: Exception | None = None
        self.unreachable: Exception | None = None
        self.partitions = 4
        # What aiokafka's producer has inside.
        self.client = self.cluster = self._message_accumulator = self._sender = self
        self._md_update_fut = self._sync_task = self.sender_task = None
        self.started = self.stopped = False
        self._prompt = prompt
        self.open_ = asyncio.Event()
        self.open_.set()

    async def start(self) -> None:
        if self.unreachable is not None:
            raise self.unreachable
        self.started = True

    @property
    def __class__(self) -> type[AIOKafkaProducer]:
        """For `isinstance`."""
        return AIOKafkaProducer

    def fail_all(self, error: Exception) -> None:
        """Do nothing: no record waits inside it."""

    async def stop(self) -> None:
        self.stopped = True

    close = stop

    async def set_topics(self, topics) -> None:
        self._topics = topics

    def partitions_for_topic(self, topic) -> set[int] | None:
        assert topic in self._topics
        return set(range(self.partitions)) or None

    async def send(
        self, topic, value=None, key=None, partition=None, *, headers=()
    ) -> asyncio.Future[RecordMetadata]:
        """Send as aiokafka does; the assertion is aiokafka's own."""
        assert not (value is None and key is None), "Need at least one: key or value"
        await self.open_.wait()
        if self.refusal is not None:
            raise self.refusal
        delivery = asyncio.get_running_loop().create_future()
        sent = Sent(topic, value, key, partition, list(headers), delivery)
        self.sent.append(sent)
        if self._prompt:
            sent.deliver(len(self.sent) - 1)
        return delivery

    async def send_and_wait(self, *arguments, **options) -> RecordMetadata:
        return await (await self.send(*arguments, **options))


class Read(NamedTuple):
    """A record as a consumer returns it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp: int


class FakeConsumer:
    """A member of a group that reads one topic, whose log the test writes."""

    def __init__(self, topic: str, partitions: int) -> None:
        self.topic = topic
        self.logs: list[list[Read]] = [[] for _ in range(partitions)]
        self.ends = [0] * partitions
        self.firsts = [0] * partitions
        self.positions: dict[TopicPartition, int] = {}
        self.seeks: list[tuple[int, int]] = []
        self.polls = 0
        self.stop_reading_at: dict[int, int] = {}
        self.stopped = False

    # What the test does ---------------------------------------------------------------

    def append(
        self,
        partition: int,
        value: bytes | None,
        *,
        timestamp: int,
        key: bytes | None = b"key",
        hole: int = 0,
    ) -> int:
        """Append a record, perhaps after a gap; return its offset."""
        offset = self.ends[partition] + hole
        read = Read(partition, offset, key, value, (("mine", b"\xff"),), timestamp)
        self.logs[partition].append(read)
        self.ends[partition] = offset + 1
        return offset

    def truncate(self, partition: int, first: int) -> None:
        """Delete older records, as retention does."""
        self.firsts[partition] = first

    async def assign(self, *partitions: int) -> None:
        """Rebalance the group: this member has these partitions from now on."""
        await self.listener.on_partitions_revoked(self.assignment())
        self.positions = {TopicPartition(self.topic, at): 0 for at in partitions}
        await self.listener.on_partitions_assigned(self.assignment())

    # What aiokafka offers -------------------------------------------------------------

    def subscribe(self, topics, listener) -> None:
        assert topics == [self.topic]
        self.listener = listener

    async def start(self) -> None:
        await self.assign(*range(len(self.logs)))

    async def stop(self) -> None:
        self.stopped = True

    def assignment(self) -> set[TopicPartition]:
        return set(self.positions)

    async def beginning_offsets(self, partitions) -> dict[TopicPartition, int]:
        return {tp: self.firsts[tp.partition] for tp in partitions}

    async def end_offsets(self, partitions) -> dict[TopicPartition, int]:
        return {tp: self.ends[tp.partition] for tp in partitions}

    def highwater(self, tp: TopicPartition) -> int:
        return self.ends[tp.partition]

    def seek(self, tp: TopicPartition, offset: int) -> None:
        if tp not in self.positions:
            raise IllegalStateError(f"No current assignment for partition {tp}")
        self.positions[tp] = offset
        self.seeks.append((tp.partition, offset))

    async def getmany(self, *, timeout_ms: int, max_records: int):
        """Return available records, or wait for more."""
        self.polls += 1
        records = self._read(max_records)
        for _ in range(timeout_ms):
            if records:
                break
            await asyncio.sleep(0.001)
            records = self._read(max_records)
        await asyncio.sleep(0)
        return records

    def _read(self, most: int) -> dict[TopicPartition, list[Read]]:
        found = {}
        for tp, position in self.positions.items():
            since = max(position, self.firsts[tp.partition])
            until = self.stop_reading_at.get(tp.partition, self.ends[tp.partition])
            log = self.logs[tp.partition]
            here = [read for read in log if since <= read.offset < until][:most]
            if here:
                found[tp] = here
                self.positions[tp] = here[-1].offset + 1
        return found
