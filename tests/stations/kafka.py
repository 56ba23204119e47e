"""Kafka's clients, played: what was sent is kept, what is read is given."""

import asyncio
from typing import NamedTuple

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


class PlayedProducer:
    """Keeps what is sent, or raises `refusal`; `prompt`: acknowledges at once.

    While `open_` is not set, sending waits, as for a broker that is away.
    """

    def __init__(self, *, prompt: bool = False) -> None:
        self.sent: list[Sent] = []
        self.refusal: Exception | None = None
        self.started = self.stopped = False
        self._prompt = prompt
        self.open_ = asyncio.Event()
        self.open_.set()

    async def start(self) -> None:
        self.started = True

    async def stop(self) -> None:
        self.stopped = True

    async def send(
        self, topic, value=None, key=None, partition=None, *, headers=()
    ) -> asyncio.Future[RecordMetadata]:
        """As aiokafka, of which the first line is a quotation."""
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
