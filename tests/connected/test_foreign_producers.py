"""Any Kafka client can be a producer, whatever its partitioner does."""

import asyncio
import subprocess
from collections import Counter
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from revocation.entries import Entry, Target
from revocation.events import UsersRevoked, encode
from revocation.local import Kafka
from tests.installation import Install, Installation, eventually
from tests.traffic import ISSUER, SOURCE, logged_out, logouts, user

pytestmark = [pytest.mark.connected, pytest.mark.timeout(180)]

USERS = 60


async def running(install: Install) -> Installation:
    """Return an installation with a region and an authority."""
    installation = await install()
    installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    return installation


async def found_once(
    installation: Installation, expected: Counter[str]
) -> dict[Target, Entry]:
    """Wait for the expected versions, then a while longer: none may move again."""

    async def versions() -> dict[str, int]:
        answer = await installation.find("eu", *map(user, expected))
        return {target.id: entry.version for target, entry in answer.found.items()}

    async def as_expected() -> bool:
        return await versions() == expected

    await eventually(as_expected, within=60)
    # Once this is applied, all earlier records have been concluded on.
    await installation.applied(await installation.publish(logged_out("last")))
    assert await versions() == expected
    return dict((await installation.find("eu", *map(user, expected))).found)


def written_by_librdkafka(
    installation: Installation, write: Callable[[Producer, str], None]
) -> None:
    """Write with confluent-kafka and its default settings."""
    servers = installation.settings["bootstrap_servers"]
    producer = Producer({"bootstrap.servers": servers})
    write(producer, f"{installation.settings['topic_prefix']}.events")
    assert producer.flush(30) == 0


async def test_librdkafka_with_its_own_partitioner(install: Install) -> None:
    """CRC32 misplaces most records: each is applied once, in its own partition."""
    installation = await running(install)
    published, expected = logouts(2_000, USERS, seed=21)

    def write(producer: Producer, topic: str) -> None:
        for event in published:
            producer.produce(topic, encode(event), key=event.data.user)
            producer.poll(0)

    await asyncio.to_thread(written_by_librdkafka, installation, write)

    await found_once(installation, expected)


async def test_without_key_and_with_neither_key_nor_value(install: Install) -> None:
    """A key is not required; an empty record does not block others."""
    installation = await running(install)
    published, expected = logouts(100, USERS, seed=22)

    def write(producer: Producer, topic: str) -> None:
        for event in published:
            producer.produce(topic, encode(event))
            producer.produce(topic)
            producer.poll(0)

    await asyncio.to_thread(written_by_librdkafka, installation, write)

    await found_once(installation, expected)


async def test_bulk_whose_users_lie_in_every_partition(install: Install) -> None:
    """Each user of a misplaced bulk record is counted once; a retry changes nothing."""
    installation = await running(install)
    names = [f"user-{number}" for number in range(1_000)]
    bulk = UsersRevoked.new(source=SOURCE, issuer=ISSUER, users=names)

    def write(producer: Producer, topic: str) -> None:
        for partition in (0, 2, 0):
            producer.produce(topic, encode(bulk), partition=partition)

    await asyncio.to_thread(written_by_librdkafka, installation, write)

    await found_once(installation, Counter(names))


async def test_kafkas_console_producer(install: Install, kafka: Kafka) -> None:
    """Lines typed into Kafka's own tool: order and versions per user are correct."""
    installation = await running(install)
    published, expected = logouts(300, USERS, seed=23)
    command = (
        *kafka.tool("org.apache.kafka.tools.ConsoleProducer"),
        *("--bootstrap-server", kafka.bootstrap_servers),
        *("--topic", f"{installation.settings['topic_prefix']}.events"),
    )
    lines = b"\n".join(map(encode, published)) + b"\n"
    await asyncio.to_thread(
        subprocess.run, command, input=lines, check=True, capture_output=True
    )

    await found_once(installation, expected)
