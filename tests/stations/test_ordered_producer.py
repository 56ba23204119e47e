"""The authority's producer. Sibling: test_in_order.py, for acknowledgements."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.errors import KafkaTimeoutError

from revocation.authority import ordered_producer
from revocation.authority.ordered_producer import OrderedProducer, abort_process
from revocation.entries import Entry, Kind, Position, Target
from revocation.settings import AuthoritySettings
from revocation.topics import MAX_UPDATE_BYTES, PULSE_KEY, Topics, record_key
from revocation.updates import Update, decode_update, encode_update
from tests.installation import eventually
from tests.stations.kafka import FakeProducer
from tests.unit.histories import ALICE
from tests.unit.strategies import ISSUER, NOW

SETTINGS = AuthoritySettings(
    topic_prefix="played", data_dir=Path("unused"), authority_id="tests"
)
EVENTS, ENTRIES = "played.events", "played.entries"
AT = Position(3, 41, NOW)


def user(name):
    return Target(Kind.USER, ISSUER, str(name))


class Exited(BaseException):
    """Stands for the exit of the process."""


@pytest.fixture
def exits(monkeypatch):
    """Collect the exit codes of the process; `Exited` stops what would run on."""
    codes = []

    def leave(code):
        codes.append(code)
        raise Exited

    monkeypatch.setattr(os, "_exit", leave)
    return codes


@pytest.fixture
def producer():
    return FakeProducer()


class ByHand(OrderedProducer):
    """Sends each record at once."""

    async def _send(self, *record, **options):
        delivery = await super()._send(*record, **options)
        await self._hand_over_all()
        return delivery


@pytest.fixture
def out(producer):
    way_out = ByHand(SETTINGS)
    way_out._producer = producer
    return way_out


async def test_an_update_goes_to_its_own_partition(out, producer):
    update = Update(AT, (Entry(ALICE, AT),), ((1, 5),), 7)
    await out.update(3, update)
    (sent,) = producer.sent
    assert (sent.topic, sent.partition) == (ENTRIES, 3)
    assert sent.key == record_key(ALICE)
    assert decode_update(sent.value, 3) == update


async def test_an_update_that_concludes_nothing_is_keyed_as_a_pulse(out, producer):
    await out.update(3, Update(AT))
    assert producer.sent[0].key == PULSE_KEY


async def test_a_pulse_goes_through_the_events_topic(out, producer):
    await out.pulse(2)
    (sent,) = producer.sent
    assert (sent.topic, sent.partition, sent.key) == (EVENTS, 2, PULSE_KEY)
    assert sent.value


async def test_an_update_that_is_too_large_claims_nothing_before_its_last_part(
    out, producer
):
    """A record that no broker accepts would stop its authority for good."""
    seen = tuple((partition, 2**52) for partition in range(1_000))
    entries = tuple(Entry(user(name), AT, seen=seen) for name in range(300))
    update = Update(AT, entries, ((1, 5),), 7)
    assert len(encode_update(update)) > MAX_UPDATE_BYTES
    await out.update(3, update)
    parts = [decode_update(sent.value, 3) for sent in producer.sent]
    assert all(len(sent.value) < MAX_UPDATE_BYTES for sent in producer.sent)
    assert sum((part.entries for part in parts), ()) == entries
    assert [replace(part, entries=()) for part in parts] == [
        *[Update()] * (len(parts) - 1),
        replace(update, entries=()),
    ]


async def test_an_event_is_forwarded_unmodified(out, producer):
    headers = [("name", b"\xff"), ("name", b"again")]
    await out.forward(1, None, b"value", headers)
    (sent,) = producer.sent
    assert sent[:5] == ("played.forwarded", b"value", None, 1, headers)


@pytest.mark.parametrize(
    ("key", "value", "parked"),
    [
        (b"key", b"value", b"value"),
        (b"key", None, None),
        (None, b"value", b"value"),
        (None, None, b""),
    ],
)
async def test_a_dead_letter_keeps_its_bytes(out, producer, key, value, parked):
    """Kafka's clients send no record without key and value; empty bytes stand in."""
    await out.dead_letter(0, key, value, [])
    (sent,) = producer.sent
    assert sent.topic == Topics(prefix="played").dead_letters
    assert (sent.key, sent.value) == (key, parked)


# Deliveries ---------------------------------------------------------------------------


async def test_a_delivery_returns_the_position_of_the_record(out, producer):
    delivery = await out.pulse(2)
    assert not delivery.done()
    producer.sent[0].deliver(offset=41)
    place = await delivery
    assert (place.topic, place.partition, place.offset) == (EVENTS, 2, 41)


async def test_a_failed_send_ends_the_process(out, producer, exits):
    producer.refusal = KafkaTimeoutError()
    with pytest.raises(Exited):
        await out.pulse(0)
    assert exits == [70]


async def test_a_failed_acknowledgement_ends_the_process(out, producer, exits):
    """As soon as the failure is known, whether a caller still waits or not."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # of `Exited`
    delivery = await out.pulse(0)
    delivery.cancel()
    producer.sent[0].delivery.set_exception(KafkaTimeoutError())
    await asyncio.sleep(0)
    assert exits == [70]


@pytest.mark.parametrize("outcome", ["cancel", "deliver"])
async def test_a_delivery_need_not_be_awaited(out, producer, exits, outcome):
    """A cancelled waiter cancels its future; that is no failure."""
    failed = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failed.append(context))
    delivery = await out.pulse(0)
    delivery.cancel()
    if outcome == "deliver":
        producer.sent[0].deliver()
    else:
        producer.sent[0].delivery.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert exits == failed == []


def test_aborting_exits_at_once(exits):
    """Without `finally` blocks or flushing: nothing later may be sent."""
    with pytest.raises(Exited):
        abort_process("a reason", ValueError("detail"))
    assert exits == [70]


# Batches ------------------------------------------------------------------------------


@pytest.fixture
async def started(monkeypatch, producer):
    monkeypatch.setattr(ordered_producer, "new_producer", lambda *_, **__: producer)
    way_out = OrderedProducer(SETTINGS)
    await way_out.start()
    yield way_out
    await way_out.stop()


async def test_waiting_records_are_sent_in_call_order(started, producer):
    for number in range(100):
        await started.forward(number % 3, None, b"%d" % number, [])
    await eventually(lambda: len(producer.sent) == 100, pause=0.001)
    assert [sent.value for sent in producer.sent] == [b"%d" % n for n in range(100)]


async def test_stopping_sends_waiting_records(started, producer):
    for number in range(100):
        await started.pulse(number % 3)
    await started.stop()
    assert len(producer.sent) == 100
    assert producer.stopped


async def test_a_producer_that_is_behind_delays_its_callers(started, producer):
    """Else a storm would fill the memory while a broker is unreachable."""
    producer.open_.clear()
    calling = asyncio.create_task(many(started, 6_000))
    await asyncio.sleep(0.05)
    assert not calling.done()
    assert len(started._waiting) <= ordered_producer._MAX_WAITING + 1
    producer.open_.set()
    await calling
    await eventually(lambda: len(producer.sent) == 6_000, pause=0.001)


async def many(way_out, count):
    for _ in range(count):
        await way_out.pulse(0)
