"""The publisher: the first station, used by Python producers and by the CLI."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer

from revocation import events, metrics
from revocation.background import Background
from revocation.entries import Offset, Target
from revocation.errors import PublishError, TopicError
from revocation.events import Event, UsersRevoked
from revocation.events.event_data import require_revocable
from revocation.kafka.clients import FAILURES, ask_log, discard_producer, new_producer
from revocation.lifecycle import Lifecycle
from revocation.receipts import Receipt
from revocation.settings import PublisherSettings
from revocation.topics import partition_of, record_key
from revocation.watchdog import (
    INTERVAL_SECONDS,
    ProgressExpectation,
    Stall,
    StallWatch,
    client_expectations,
)

_log = structlog.get_logger()

_STALL_SECONDS: Final = 10.0
_SILENT_SECONDS: Final = 30.0


class Publisher(Lifecycle):
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
        self._watch = StallWatch()
        self._watching = Background(
            "publisher watch", self._keep_watch, silent_seconds=_SILENT_SECONDS
        )
        self._unsettled = 0
        self._acknowledged = 0
        self._has_failed = False

    async def start(self) -> None:
        """Connect.

        Raises:
            PublishError: no broker answers.
            TopicError: the topic is missing or has another number of partitions than
                the settings.
        """
        self._producer = await self._connect()
        self._watching.start()

    async def _connect(self) -> AIOKafkaProducer:
        producer = new_producer(self._settings, client_id="revocation-publisher")
        try:
            await producer.start()
            await self._require_partitions(producer)
        except FAILURES as error:
            await discard_producer(producer)
            raise PublishError(
                f"no broker answers at {self._settings.bootstrap_servers}: {error!r}; "
                "check REVOCATION_BOOTSTRAP_SERVERS"
            ) from error
        except TopicError:
            await producer.stop()
            raise
        return producer

    async def _require_partitions(self, producer: AIOKafkaProducer) -> None:
        """Check before the first event: aiokafka waits a minute for a missing topic."""
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
                f"set REVOCATION_PARTITIONS to {found}"
            )

    async def stop(self) -> None:
        """Flush and disconnect; may be called twice."""
        await self._watching.stop()
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def abandon(self) -> None:
        """Disconnect within seconds; what is not acknowledged by then never is."""
        await self._watching.stop()
        producer, self._producer = self._producer, None
        if producer is not None:
            await discard_producer(producer)

    async def publish(self, event: Event) -> tuple[Receipt, ...]:
        """Publish and wait for Kafka's acknowledgement (acks=all).

        Returns one receipt, or for a bulk event one for each partition concerned. To
        retry after an error, publish the same event object: its id prevents it from
        being applied twice.

        Raises:
            ClaimsNotRevocableError: the event names claims that are not a set of the
                setting `revocable_claims`; nothing was sent.
            OversizedRecordError: the event exceeds the size limit; nothing was sent.
            PublishError: not acknowledged; the event may or may not be in the log.
        """
        return await (await self.send(event))

    async def send(self, event: Event) -> "asyncio.Future[tuple[Receipt, ...]]":
        """Hand the event to the producer without waiting for the acknowledgement.

        Per target, the order of calls is the order in the log. Await the result for
        the receipts.

        Raises:
            ContractError: as for `publish`; nothing was sent.
            PublishError: not acknowledged; raised here or when the result is awaited.
        """
        if self._producer is None:
            raise PublishError("the publisher is not started; use `async with`")
        require_revocable(event.data, self._settings.revocable_claims)
        # All are encoded before the first is sent: an event is refused as a whole.
        records = [
            (partition, events.encode(part), record_key(target))
            for partition, part, target in _parts(event, self._settings.partitions)
        ]
        self._unsettled += 1
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
        except BaseException as error:
            self._settle(is_acknowledged=False)
            if isinstance(error, FAILURES):
                raise _not_acknowledged(error) from error
            raise
        return asyncio.ensure_future(self._receipts(deliveries))

    async def _receipts(self, deliveries: Sequence[Any]) -> tuple[Receipt, ...]:
        is_acknowledged = False
        try:
            sent = await asyncio.gather(*deliveries)
            is_acknowledged = True
        except FAILURES as error:
            raise _not_acknowledged(error) from error
        finally:
            self._settle(is_acknowledged=is_acknowledged)
        return tuple(Receipt(each.partition, Offset(each.offset)) for each in sent)

    # A producer that hangs -----------------------------------------------------------

    def _settle(self, *, is_acknowledged: bool) -> None:
        self._unsettled -= 1
        self._acknowledged += is_acknowledged
        self._has_failed = not is_acknowledged

    async def _keep_watch(self) -> None:
        """Replace the producer when nothing is acknowledged although Kafka answers."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            self._watching.beat()
            stall = self._watch.check(time.monotonic(), self._expectations())
            if stall is None:
                continue
            topic = self._settings.topics.events
            if await ask_log(self._settings, topic) is not None:
                await self._replace_producer(stall)
            self._watch.reset(time.monotonic())

    def _expectations(self) -> Iterator[ProgressExpectation]:
        is_due = self._unsettled > 0 or self._has_failed
        yield ProgressExpectation(
            "publisher", self._acknowledged, is_due, _STALL_SECONDS
        )
        if self._producer is not None:
            producers = {"producer": self._producer}
            yield from client_expectations(producers, seconds=_STALL_SECONDS)

    async def _replace_producer(self, stall: Stall) -> None:
        """Stop the old producer first: it must send nothing once the new one does."""
        metrics.STALLS.labels("publisher").inc()
        _log.error("replacing producer", cause=str(stall))
        if self._producer is not None:
            await discard_producer(self._producer)
        try:
            self._producer = await self._connect()
        except (PublishError, TopicError) as error:
            _log.warning("no producer yet", outage="kafka", error=str(error))
        else:
            self._has_failed = False


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


def _not_acknowledged(error: BaseException) -> PublishError:
    return PublishError(
        f"Kafka did not acknowledge the event ({error!r}); publish the same event "
        "again: its id prevents it from being applied twice"
    )
