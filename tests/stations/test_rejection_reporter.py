"""The reporter of rejections, over a test double of the producer."""

import asyncio
import threading

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError
from prometheus_client import REGISTRY

from revocation.decision import Reason, Verdict
from revocation.entries import Entry, Kind, Position, Target
from revocation.events import CONTENT_TYPE
from revocation.events.rejections import TokenRejected
from revocation.settings import KafkaSettings
from revocation.store.layout import digest
from revocation.verifier.reporting import rejection_reporter as module
from revocation.verifier.reporting.rejection_reporter import RejectionReporter
from tests.installation import eventually
from tests.stations.kafka import FakeProducer

PEPPER = b"p" * 32
SETTINGS = KafkaSettings(topic_prefix="played", bootstrap_servers="broker:9092")
ALICE = Target(Kind.USER, "https://idp.example/", "alice")
DROPPED = "revocation_rejection_events_dropped_total"
TOLD = "revocation_rejection_events_total"


def rejected(target=ALICE, reason=Reason.USER_DISABLED):
    entry = Entry(target, Position(3, 17, 1_795_273_400_000))
    return Verdict(
        active=False,
        reason=reason,
        as_of=1_795_273_445_000,
        staleness_ms=300,
        entry=entry,
    )


def user(number):
    return rejected(Target(Kind.USER, "https://idp.example/", f"user-{number}"))


class Counted:
    """How far a counter has moved since the test began."""

    def __init__(self, name, **labels):
        self._asked = (name, labels)
        self._before = self._now()

    def _now(self):
        return REGISTRY.get_sample_value(*self._asked) or 0.0

    @property
    def moved(self):
        return self._now() - self._before


@pytest.fixture
def producer():
    return FakeProducer(prompt=True)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(module, "_FLUSH_SECONDS", 0.05)


def reporter(producer, **options):
    return RejectionReporter(
        SETTINGS,
        region="eu",
        instance="verifier-1",
        pepper=PEPPER,
        interval_seconds=0.001,
        producer=lambda *_, **__: producer,
        **options,
    )


async def test_a_rejection_is_reported_by_its_digest(producer):
    reported = Counted(TOLD)
    async with reporter(producer) as one:
        one.report(rejected(), route="write")
        await eventually(lambda: producer.sent)
    (sent,) = producer.sent
    event = TokenRejected.model_validate_json(sent.value)
    assert sent.topic == "played.rejections"
    assert sent.headers == [("content-type", CONTENT_TYPE.encode())]
    assert sent.key == digest(ALICE, PEPPER).hex().encode()
    assert event.source == "eu/verifier-1"
    data = event.data
    assert data.digest == sent.key.decode()
    assert (data.kind, data.reason) == (Kind.USER, Reason.USER_DISABLED)
    assert (data.receipt, data.route, data.region) == ("3-17", "write", "eu")
    assert (data.count, data.as_of) == (1, 1_795_273_445_000)
    assert data.first_seen == data.last_seen
    assert reported.moved == 1
    assert producer.stopped


async def test_no_report_names_a_target(producer):
    async with reporter(producer) as one:
        one.report(rejected(), route="read")
        await eventually(lambda: producer.sent)
    (sent,) = producer.sent
    assert b"alice" not in sent.value + sent.key
    assert b"idp.example" not in sent.value + sent.key


async def test_retries_are_counted_and_reported_together(producer):
    async with reporter(producer) as one:
        for _ in range(500):
            one.report(rejected(), route="read")
        await eventually(lambda: not one._waiting)
        await eventually(lambda: producer.sent)
    assert len(producer.sent) == 1


async def test_a_full_queue_drops_and_counts(producer):
    """The reporter is not started, so the queue is never emptied."""
    dropped = Counted(DROPPED, cause="no_room")
    one = reporter(producer, queue_limit=10)
    for _ in range(25):
        one.report(rejected(), route="read")
    assert dropped.moved == 15


async def test_targets_beyond_the_limit_are_dropped_and_counted(producer):
    dropped = Counted(DROPPED, cause="no_room")
    async with reporter(producer, target_limit=3) as one:
        for number in range(10):
            one.report(user(number), route="read")
        await eventually(lambda: dropped.moved == 7)
    assert len(producer.sent) == 3


async def test_a_verdict_about_the_token_itself_is_not_reported(producer):
    expired = rejected()._replace(reason=Reason.EXPIRED, entry=None)
    async with reporter(producer) as one:
        one.report(expired, route="read")
        one.report(rejected(), route="read")
        await eventually(lambda: producer.sent)
    assert len(producer.sent) == 1


async def test_without_kafka_it_starts_and_reports_later(producer):
    producer.unreachable = KafkaConnectionError("refused")
    async with reporter(producer) as one:
        one.report(rejected(), route="read")
        one.report(rejected(), route="read")
        await eventually(lambda: producer.stopped)
        assert producer.sent == []
        producer.unreachable = None
        await eventually(lambda: producer.sent)
    (sent,) = producer.sent
    assert TokenRejected.model_validate_json(sent.value).data.count == 2


async def test_a_missing_topic_is_awaited(producer):
    producer.partitions = 0
    async with reporter(producer) as one:
        one.report(rejected(), route="read")
        await eventually(lambda: producer.stopped)
        producer.partitions = 4
        await eventually(lambda: producer.sent)


async def test_a_report_that_is_not_sent_is_dropped_and_counted(producer):
    dropped = Counted(DROPPED, cause="not_acknowledged")
    producer.refusal = KafkaTimeoutError()
    async with reporter(producer) as one:
        one.report(rejected(), route="read")
        await eventually(lambda: dropped.moved == 1)
        producer.refusal = None
        one.report(user(1), route="read")
        await eventually(lambda: producer.sent)


async def test_a_report_without_acknowledgement_is_dropped_and_counted():
    producer = FakeProducer()
    dropped, reported = Counted(DROPPED, cause="not_acknowledged"), Counted(TOLD)
    async with reporter(producer) as one:
        one.report(rejected(), route="read")
        await eventually(lambda: producer.sent)
        producer.sent[0].delivery.set_exception(KafkaTimeoutError())
        await eventually(lambda: dropped.moved == 1)
    assert reported.moved == 0


async def test_a_producer_without_acknowledgements_is_replaced(monkeypatch):
    """Its own tasks may be dead, while Kafka answers other clients."""
    monkeypatch.setattr(module, "_UNACKNOWLEDGED_SECONDS", 0.02)
    deaf, hears = FakeProducer(), FakeProducer(prompt=True)
    made = iter([deaf, hears])
    one = reporter(None)
    one._new_producer = lambda *_, **__: next(made)
    async with one:
        one.report(rejected(), route="read")
        await eventually(lambda: deaf.stopped)
        one.report(user(1), route="read")
        await eventually(lambda: hears.sent)
        assert one._producer is hears


async def test_stopping_sends_due_reports(producer):
    one = reporter(producer)
    await one.start()
    await eventually(lambda: one._producer)
    one.report(rejected(), route="read")
    await one.stop()
    await one.stop()
    assert len(producer.sent) == 1
    assert producer.stopped


async def test_reports_left_at_the_end_are_counted(producer):
    producer.unreachable = KafkaConnectionError("refused")
    dropped = Counted(DROPPED, cause="stopped")
    one = reporter(producer)
    await one.start()
    for number in range(5):
        one.report(user(number), route="read")
    await one.stop()
    await one.stop()
    assert dropped.moved == 5


async def test_stopping_does_not_wait_for_a_stuck_broker(producer):
    """Reports being sent are counted like the rest."""
    unsent = Counted(DROPPED, cause="not_acknowledged")
    left = Counted(DROPPED, cause="stopped")
    one = reporter(producer)
    await one.start()
    await eventually(lambda: one._producer)
    producer.open_.clear()
    for number in range(5):
        one.report(user(number), route="read")
    await asyncio.wait_for(one.stop(), 5)
    assert unsent.moved >= 1
    assert unsent.moved + left.moved == 5


async def test_it_may_be_called_from_any_thread(producer):
    """Every call is counted once: reported, dropped or left at the end."""
    counted = [
        Counted(DROPPED, cause=cause)
        for cause in ("no_room", "not_acknowledged", "stopped")
    ]
    one = reporter(producer, queue_limit=100)
    await one.start()

    def report():
        for number in range(50):
            one.report(user(number % 20), route="read")

    threads = [threading.Thread(target=report) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await one.stop()
    events = [TokenRejected.model_validate_json(sent.value) for sent in producer.sent]
    reported = sum(event.data.count for event in events)
    assert reported + sum(each.moved for each in counted) == 400
