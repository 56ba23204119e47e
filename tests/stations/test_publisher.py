"""The publisher, over a test double of the producer."""

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    NotLeaderForPartitionError,
)

from revocation import events, publisher as module
from revocation.errors import (
    ClaimsNotRevocableError,
    OversizedRecordError,
    PublishError,
    TopicError,
)
from revocation.publisher import Publisher
from revocation.receipts import Receipt
from revocation.settings import PublisherSettings
from revocation.topics import partition_of, record_key
from tests.stations.kafka import FakeProducer
from tests.stations.log import home
from tests.unit.histories import event, user_event

PARTITIONS = 4
SETTINGS = PublisherSettings(
    topic_prefix="played", partitions=PARTITIONS, bootstrap_servers="broker:9092"
)
ALICE = user_event()
NAMES = [f"user-{number}" for number in range(50)]
BULK = event(events.UsersRevoked, users=NAMES)


@pytest.fixture
def producer(monkeypatch):
    played = FakeProducer(prompt=True)
    monkeypatch.setattr(module, "new_producer", lambda *_, **__: played)
    return played


@pytest.fixture
async def publisher(producer):
    async with Publisher(SETTINGS) as started:
        yield started
    assert producer.stopped


async def test_an_event_goes_to_the_partition_of_its_target(publisher, producer):
    receipts = await publisher.publish(ALICE)
    (sent,) = producer.sent
    (target,) = events.targets(ALICE)
    assert (sent.topic, sent.partition) == ("played.events", home(ALICE))
    assert sent.key == record_key(target)
    assert events.decode(sent.value, sent.headers) == ALICE
    assert receipts == (Receipt(home(ALICE), 0),)


async def test_a_bulk_event_is_split_by_partition(publisher, producer):
    """One record and one receipt for each; every user is in one of them."""
    receipts = await publisher.publish(BULK)
    parts = [events.decode(sent.value, sent.headers) for sent in producer.sent]
    assert sorted(name for part in parts for name in part.data.users) == sorted(NAMES)
    assert {part.id for part in parts} == {BULK.id}
    for sent, part in zip(producer.sent, parts, strict=True):
        keys = [record_key(target) for target in events.targets(part)]
        assert sent.key == keys[0]
        assert {partition_of(key, PARTITIONS) for key in keys} == {sent.partition}
    assert [receipt.partition for receipt in receipts] == [
        sent.partition for sent in producer.sent
    ]


async def test_a_bulk_event_too_large_in_one_part_is_refused_whole(publisher, producer):
    """No part of it is sent: half an event would be a surprise."""
    long = [f"{number:04}{'é' * 508}" for number in range(1_000)]
    oversized = event(events.UsersRevoked, users=["a", "b", "c", *long[:997]])
    with pytest.raises(OversizedRecordError):
        await publisher.publish(oversized)
    assert producer.sent == []


async def test_sending_does_not_wait_for_the_acknowledgement(publisher, producer):
    producer._prompt = False
    sent = await publisher.send(ALICE)
    assert not sent.done()
    producer.sent[0].deliver(offset=41)
    assert await sent == (Receipt(home(ALICE), 41),)


async def test_a_record_that_is_not_sent_is_an_error(publisher, producer):
    producer.refusal = KafkaTimeoutError()
    with pytest.raises(PublishError, match="publish the same event again"):
        await publisher.publish(ALICE)


async def test_a_record_that_is_not_acknowledged_is_an_error(publisher, producer):
    """Of a bulk event one part is enough: the whole may be published again."""
    producer._prompt = False
    sent = await publisher.send(BULK)
    first, *others = producer.sent
    first.delivery.set_exception(NotLeaderForPartitionError())
    for each in others:
        each.deliver()
    with pytest.raises(PublishError, match="NotLeaderForPartition"):
        await sent


async def test_a_kafka_error_can_be_retried(publisher, producer):
    producer.refusal = KafkaTimeoutError()
    with pytest.raises(PublishError) as caught:
        await publisher.publish(ALICE)
    producer.refusal = None
    assert caught.value.retriable
    assert await publisher.publish(ALICE) == (Receipt(home(ALICE), 0),)


async def test_a_broker_that_does_not_answer_is_named(producer):
    """And the producer is closed."""
    producer.unreachable = KafkaConnectionError("refused")
    with pytest.raises(
        PublishError, match=r"broker:9092.*REVOCATION_BOOTSTRAP_SERVERS"
    ):
        await Publisher(SETTINGS).start()
    assert producer.stopped


@pytest.mark.parametrize(
    ("partitions", "complaint"),
    [
        (0, "topic played.events does not exist; run `revocation topics init`"),
        (3, "has 3 partitions, settings say 4; set REVOCATION_PARTITIONS"),
        (12, "has 12 partitions, settings say 4; set REVOCATION_PARTITIONS"),
    ],
)
async def test_a_topic_that_differs_from_the_settings_is_refused(
    producer, partitions, complaint
):
    """Before any record goes to a wrong partition."""
    producer.partitions = partitions
    with pytest.raises(TopicError, match=complaint):
        await Publisher(SETTINGS).start()
    assert producer.stopped


async def test_a_publisher_that_is_not_started_says_so(publisher):
    with pytest.raises(PublishError, match="async with"):
        await Publisher(SETTINGS).publish(ALICE)
    await publisher.stop()
    await publisher.stop()
    with pytest.raises(PublishError, match="async with"):
        await publisher.publish(ALICE)


async def test_a_publisher_stops_without_waiting_for_kafka(monkeypatch):
    """An interrupted command need not wait for an unreachable broker."""
    producer = FakeProducer()
    monkeypatch.setattr(module, "new_producer", lambda *_, **__: producer)
    publisher = Publisher(SETTINGS)
    await publisher.start()
    waiting = await publisher.send(ALICE)
    await publisher.abandon()
    assert (producer.stopped, waiting.done()) == (True, False)
    waiting.cancel()
    await publisher.stop()


async def test_an_unknown_claim_set_is_refused_at_once(producer):
    """The setting names the claim sets of the whole installation."""
    device = event(events.ClaimsRevoked, claims={"device_id": "d-1"})
    async with Publisher(SETTINGS) as unaware:
        with pytest.raises(ClaimsNotRevocableError, match="revocable_claims"):
            await unaware.publish(device)
    assert producer.sent == []
    known = SETTINGS.model_copy(update={"revocable_claims": (("device_id",),)})
    async with Publisher(known) as aware:
        (receipt,) = await aware.publish(device)
    assert receipt.partition == home(device)
