"""Reads the forwarded topic without Faust and without a consumer group.

A worker reads the partitions whose ledger it holds. The entries topic, which recovers
the ledger, also records how far they are concluded, so nothing is committed.

In Faust's consumer an idle topic would delay the events: aiokafka has one fetch in
flight per broker, and while events are buffered, a fetch for forwarded records alone
may wait for 1.5 s.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from revocation.authority.ordered_producer import abort_process
from revocation.entries import Offset
from revocation.kafka.clients import new_consumer
from revocation.settings import AuthoritySettings

_POLL_MS: Final = 200


@dataclass(slots=True)
class _Reading:
    """The state of one partition, from `begin` to `drop`."""

    following: Offset


class ForwardedReader:
    """Hands over the records of some partitions, in order within each partition."""

    _consumer: AIOKafkaConsumer

    def __init__(
        self, settings: AuthoritySettings, take: Callable[[Any], Awaitable[None]]
    ) -> None:
        self._settings = settings
        self._topic = settings.topics.forwarded
        self._take = take
        self._reading: dict[int, _Reading] = {}
        self._changed = asyncio.Event()

    @property
    def following(self) -> dict[int, Offset]:
        """The next offset to take from each partition that is read."""
        return {at: each.following for at, each in dict(self._reading).items()}

    @property
    def client(self) -> AIOKafkaConsumer | None:
        """Its Kafka client; None before `start`."""
        return getattr(self, "_consumer", None)

    async def start(self) -> None:
        """Connect."""
        self._consumer = new_consumer(
            self._settings, client_id=self._settings.authority_id
        )
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    def begin(self, partition: int, following: Offset) -> None:
        """Read a partition from this offset on."""
        self._reading[partition] = _Reading(following)
        self._changed.set()

    def drop(self, partitions: Iterable[int]) -> None:
        """Hand over nothing more from partitions that another worker now owns."""
        for partition in partitions:
            self._reading.pop(partition, None)
        self._changed.set()

    async def run(self) -> None:
        """Read forever. A failure ends the process: nobody else reads these records."""
        try:
            while True:
                await self._read()
        except Exception as error:  # noqa: BLE001 - none may go unnoticed
            abort_process("forwarded events cannot be read", error)

    async def _read(self) -> None:
        if not self._reading:
            await self._changed.wait()
        if self._changed.is_set():
            self._changed.clear()
            self._seek()
            return
        batches = await self._consumer.getmany(timeout_ms=_POLL_MS)
        for tp, records in batches.items():
            for record in records:
                if self._changed.is_set():
                    return  # the rest is fetched again
                reading = self._reading[tp.partition]
                await self._take(record)
                reading.following = Offset(record.offset + 1)

    def _seek(self) -> None:
        places = {
            TopicPartition(self._topic, at): each for at, each in self._reading.items()
        }
        self._consumer.assign([*places])
        for tp, reading in places.items():
            self._consumer.seek(tp, reading.following)
