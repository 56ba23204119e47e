"""The publisher: the first station, used by producers in Python and by the CLI."""

import asyncio
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from revocation import events
from revocation.entries import Offset, Target
from revocation.errors import PublishError, TopicError
from revocation.events import Event, UsersRevoked
from revocation.kafka import new_producer
from revocation.receipts import Receipt
from revocation.settings import PublisherSettings
from revocation.topics import partition_of, record_key


class Publisher:
    """Publishes events, each to the partition of its target.

    An async context manager. Usage:

        async with Publisher() as publisher:
            event = UserLoggedOut.new(source="/idp", issuer=issuer, user="alice")
            receipts = await publisher.publish(event)
    """

    def __init__(self, settings: PublisherSettings | None = None) -> None:
        """Prepare.

        Raises:
            SettingsError: names what is missing or wrong.
        """
        self._settings = settings or PublisherSettings()
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect.

        Raises:
            PublishError: no broker answers.
            TopicError: the topic has not as many partitions as the settings say.
        """
        producer = new_producer(self._settings, client_id="revocation-publisher")
        try:
            await producer.start()
            await self._require_partitions(producer)
        except KafkaError as error:
            await producer.stop()
            raise PublishError(
                f"no broker answers at {self._settings.bootstrap_servers}: {error!r}; "
                "check REVOCATION_BOOTSTRAP_SERVERS"
            ) from error
        except TopicError:
            await producer.stop()
            raise
        self._producer = producer

    async def _require_partitions(self, producer: AIOKafkaProducer) -> None:
        """Look before the first event: aiokafka waits a minute for a missing topic."""
        topic, partitions = self._settings.topics.events, self._settings.partitions
        await producer.client.set_topics([topic])
        found = len(producer.client.cluster.partitions_for_topic(topic) or ())
        if not found:
            raise TopicError(
                f"topic {topic} does not exist; run `revocation topics init`"
            )
        if found != partitions:
            raise TopicError(
                f"topic {topic} has {found} partitions, settings say {partitions}; "
                "set REVOCATION_PARTITIONS to what is there"
            )

    async def stop(self) -> None:
        """Flush and disconnect; may be called twice."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    async def publish(self, event: Event) -> tuple[Receipt, ...]:
        """Publish and wait for Kafka's acknowledgement (acks=all).

        Returns one receipt; for a bulk event one for each partition concerned. To try
        again after an error, publish the same event object: its id keeps it from
        counting twice.

        Raises:
            OversizedRecordError: the event is larger than any may be; nothing was sent.
            PublishError: not acknowledged; the event may or may not be in the log.
        """
        return await (await self.send(event))

    async def send(self, event: Event) -> "asyncio.Future[tuple[Receipt, ...]]":
        """Hand the event to the producer without waiting for the acknowledgement.

        The order of calls is the order in the log, per target. Await the result for
        the receipts.

        Raises:
            OversizedRecordError: the event is larger than any may be; nothing was sent.
            PublishError: not acknowledged; here, or when the result is awaited.
        """
        if self._producer is None:
            raise PublishError("the publisher is not started; use `async with`")
        # Encoded before the first is sent: an event is refused whole or not at all.
        records = [
            (place, events.encode(part), record_key(target))
            for place, part, target in _parts(event, self._settings.partitions)
        ]
        try:
            deliveries = [
                await self._producer.send(
                    self._settings.topics.events,
                    value,
                    key=key,
                    partition=partition,
                    headers=[("content-type", events.CONTENT_TYPE.encode())],
                )
                for partition, value, key in records
            ]
        except KafkaError as error:
            raise _not_acknowledged(error) from error
        return asyncio.ensure_future(_receipts(deliveries))


def _parts(event: Event, partitions: int) -> Iterator[tuple[int, Event, Target]]:
    """Yield partition, event and first target; a bulk event once for each partition."""
    groups: dict[int, list[Target]] = {}
    for target in events.targets(event):
        partition = partition_of(record_key(target), partitions)
        groups.setdefault(partition, []).append(target)
    for partition, group in groups.items():
        if isinstance(event, UsersRevoked):
            users = (target.id for target in group)
            yield partition, events.about(event, users), group[0]
        else:
            yield partition, event, group[0]


async def _receipts(deliveries: Sequence[Any]) -> tuple[Receipt, ...]:
    try:
        places = await asyncio.gather(*deliveries)
    except KafkaError as error:
        raise _not_acknowledged(error) from error
    return tuple(Receipt(place.partition, Offset(place.offset)) for place in places)


def _not_acknowledged(error: KafkaError) -> PublishError:
    return PublishError(
        f"Kafka did not acknowledge the event ({error!r}); publish the same event "
        "again: its id keeps it from counting twice"
    )
