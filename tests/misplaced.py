"""Events in partitions that are not their targets', as other clients place them."""

from collections.abc import Iterable, Sequence

import httpx
from aiokafka import AIOKafkaProducer, TopicPartition

from revocation import events
from revocation.events import Event, encode
from revocation.kafka.clients import new_consumer
from revocation.local.process import free_ports
from revocation.receipts import Receipt
from revocation.settings import KafkaSettings
from revocation.topics import partition_of, record_key
from tests.installation import Installation, Station, eventually
from tests.traffic import ISSUER

Headers = Sequence[tuple[str, bytes]]


def home(event: Event, partitions: int) -> int:
    """Return the partition of an event's first target."""
    return partition_of(record_key(events.targets(event)[0]), partitions)


def elsewhere(event: Event, partitions: int) -> int:
    """Return another partition."""
    return (home(event, partitions) + 1) % partitions


def user_at(partition: int, partitions: int, *, number: int = 0) -> str:
    """Return the name of a user whose events belong in a partition."""
    names = (f"user-of-{partition}-{each}" for each in range(number, number + 1_000))
    for name in names:
        event = events.UserLoggedOut.new(source="/", issuer=ISSUER, user=name)
        if home(event, partitions) == partition:
            return name
    raise AssertionError(partition)


async def publish_at(
    installation: Installation,
    placed: Iterable[tuple[Event | bytes, int]],
    *,
    headers: Headers = (),
) -> list[Receipt]:
    """Write events into the partitions given; return their receipts."""
    settings = KafkaSettings(**installation._typed())
    async with AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, acks="all"
    ) as producer:
        # One after another, so that no two have the same time.
        places = [
            await producer.send_and_wait(
                settings.topics.events,
                event if isinstance(event, bytes) else encode(event),
                partition=partition,
                headers=list(headers),
            )
            for event, partition in placed
        ]
    return [Receipt(place.partition, place.offset) for place in places]


async def misplace(
    installation: Installation, published: Iterable[Event]
) -> list[Receipt]:
    """Write each user's events into one partition, which is not the user's."""
    partitions = KafkaSettings(**installation._typed()).partitions
    placed = [(event, elsewhere(event, partitions)) for event in published]
    return await publish_at(installation, placed)


async def records_in(installation: Installation, topic: str) -> int:
    """Return how many records were written to a topic, by its name in `Topics`."""
    settings = KafkaSettings(**installation._typed())
    name = getattr(settings.topics, topic)
    consumer = new_consumer(settings, client_id="tests")
    await consumer.start()
    tps = [TopicPartition(name, number) for number in range(settings.partitions)]
    ends = await consumer.end_offsets(tps)
    await consumer.stop()
    return sum(ends.values())


async def two_workers(installation: Installation) -> Station:
    """Start two workers of an authority; return the one whose death is noticed late.

    It has some partitions, and until then no other worker takes them.
    """
    installation.add_authority()
    await installation.ready()
    (port,) = free_ports(1)
    other = installation.add_authority(
        "other", session_timeout_ms="30000", metrics_port=str(port)
    )

    async def works() -> bool:
        logouts = [
            events.UserLoggedOut.new(source="/", issuer=ISSUER, user=f"probe-{n}")
            for n in range(20)
        ]
        await installation.applied(await installation.publish(*logouts))
        try:
            async with httpx.AsyncClient() as client:
                metrics = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        except httpx.ConnectError:
            return False  # still starting
        return 'result="accepted"' in metrics

    await eventually(works, within=60)
    return other
