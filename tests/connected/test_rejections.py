"""Rejections on a real broker: reported, and never a hindrance."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer

from revocation.decision import Reason, Verdict
from revocation.entries import Entry, Kind, Position, Target
from revocation.events.rejections import TokenRejected
from revocation.kafka.clients import new_consumer
from revocation.kafka.provisioning import provision
from revocation.local import Kafka
from revocation.settings import KafkaSettings
from revocation.store.layout import digest
from revocation.topics import partition_of
from revocation.verifier.reporting.rejection_reporter import RejectionReporter
from tests.installation import eventually
from tests.traffic import ISSUER

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]

PEPPER = b"p" * 32


def settings_of(broker: Kafka, prefix: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers,
        topic_prefix=prefix,
        partitions=4,
        replication_factor=1,
    )


def rejected(name: str) -> Verdict:
    target = Target(Kind.USER, ISSUER, name)
    return Verdict(
        active=False,
        reason=Reason.USER_DISABLED,
        as_of=1_795_273_445_000,
        staleness_ms=200,
        entry=Entry(target, Position(2, 1742, 1_795_273_400_000)),
    )


def reporter(settings: KafkaSettings) -> RejectionReporter:
    return RejectionReporter(settings, region="eu", instance="tests", pepper=PEPPER)


async def read(consumer: AIOKafkaConsumer, count: int) -> list[TokenRejected]:
    """Read events; each is in the partition of its digest."""
    events: list[TokenRejected] = []
    async with asyncio.timeout(40):
        while len(events) < count:
            record = await consumer.getone()
            event = TokenRejected.model_validate_json(record.value)
            assert record.key == event.data.digest.encode()
            assert record.partition == partition_of(record.key, 4)
            events.append(event)
    return events


async def test_rejections_reach_their_topic(kafka: Kafka, topic_prefix: str) -> None:
    settings = settings_of(kafka, topic_prefix)
    await provision(settings)
    names = [f"user-{number}" for number in range(20)]
    async with reporter(settings) as one:
        for name in names:
            for _ in range(5):
                one.report(rejected(name), route="read")
        consumer = new_consumer(settings, settings.topics.rejections, client_id="tests")
        await consumer.start()
        try:
            events = await read(consumer, len(names))
        finally:
            await consumer.stop()
    told = {event.data.digest for event in events}
    targets = [Target(Kind.USER, ISSUER, name) for name in names]
    assert told == {digest(target, PEPPER).hex() for target in targets}
    assert {event.data.receipt for event in events} == {"2-1742"}


async def test_a_topic_created_later_gets_earlier_rejections(
    kafka: Kafka, topic_prefix: str
) -> None:
    settings = settings_of(kafka, topic_prefix)
    async with reporter(settings) as one:
        one.report(rejected("alice"), route="read")
        await eventually(lambda: not one._waiting)
        await provision(settings)
        consumer = new_consumer(settings, settings.topics.rejections, client_id="tests")
        await consumer.start()
        try:
            (event,) = await read(consumer, 1)
        finally:
            await consumer.stop()
    assert event.data.count == 1


async def test_a_killed_broker_delays_no_one(
    own_kafka: Kafka, topic_prefix: str
) -> None:
    """Neither a report nor the stop waits."""
    settings = settings_of(own_kafka, topic_prefix)
    await provision(settings)
    one = reporter(settings)
    await one.start()
    await eventually(lambda: one._producer)
    own_kafka.kill()
    for number in range(50):
        one.report(rejected(f"user-{number}"), route="read")
    await eventually(lambda: not one._waiting)
    async with asyncio.timeout(20):
        await one.stop()
