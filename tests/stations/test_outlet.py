"""The way out of the authority; `test_in_order.py` has the acknowledgements."""

import asyncio
import os
from pathlib import Path

import pytest
from aiokafka.errors import KafkaTimeoutError

from revocation.authority import outlet
from revocation.authority.outlet import Outlet, give_up
from revocation.entries import Entry, Position, Update, decode_update
from revocation.settings import AuthoritySettings
from revocation.topics import PULSE_KEY, Topics, record_key
from tests.stations.kafka import PlayedProducer
from tests.unit.histories import ALICE
from tests.unit.strategies import NOW

SETTINGS = AuthoritySettings(
    topic_prefix="played", data_dir=Path("unused"), authority_id="tests"
)
EVENTS, ENTRIES = "played.events", "played.entries"
AT = Position(3, 41, NOW)


class Exited(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def exits(monkeypatch):
    """The exit codes with which the process ended; nothing runs on after one."""
    codes = []

    def leave(code):
        codes.append(code)
        raise Exited

    monkeypatch.setattr(os, "_exit", leave)
    return codes


@pytest.fixture
async def producer(monkeypatch):
    played = PlayedProducer()
    monkeypatch.setattr(outlet, "new_producer", lambda *_, **__: played)
    return played


@pytest.fixture
async def out(producer):
    way_out = Outlet(SETTINGS)
    await way_out.start()
    yield way_out
    await way_out.stop()
    assert producer.stopped


async def test_an_update_goes_to_the_partition_number_of_its_source(out, producer):
    update = Update(AT, (Entry(ALICE, AT),), ((1, 5),))
    await out.update(update)
    (sent,) = producer.sent
    assert (sent.topic, sent.partition) == (ENTRIES, 3)
    assert sent.key == record_key(ALICE)
    assert decode_update(sent.value, 3) == update


async def test_an_update_that_concludes_nothing_is_keyed_as_a_pulse(out, producer):
    await out.update(Update(AT))
    assert producer.sent[0].key == PULSE_KEY


async def test_a_pulse_goes_through_the_events_topic(out, producer):
    await out.pulse(2)
    (sent,) = producer.sent
    assert (sent.topic, sent.partition, sent.key) == (EVENTS, 2, PULSE_KEY)
    assert sent.value


async def test_a_standing_entry_is_sent_with_its_original_source(out, producer):
    entry = Entry(ALICE, AT, version=4)
    await out.standing(entry)
    (sent,) = producer.sent
    assert sent.partition == AT.partition
    assert decode_update(sent.value, 3) == Update(AT, (entry,))


async def test_an_event_is_sent_on_as_it_is(out, producer):
    headers = [("name", b"\xff"), ("name", b"again")]
    await out.event(1, None, b"value", headers)
    (sent,) = producer.sent
    assert sent[:5] == (EVENTS, b"value", None, 1, headers)


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
    """Kafka's clients send no record of nothing at all: an empty one stands for it."""
    await out.dead_letter(0, key, value, [])
    (sent,) = producer.sent
    assert sent.topic == Topics(prefix="played").dead_letters
    assert (sent.key, sent.value) == (key, parked)


async def test_what_cannot_be_sent_ends_the_process(out, producer, exits):
    producer.refusal = KafkaTimeoutError()
    with pytest.raises(Exited):
        await out.pulse(0)
    assert exits == [70]


async def test_what_is_not_acknowledged_ends_the_process(out, producer, exits):
    """As soon as it is known, and whoever waits for the delivery."""
    delivery = await out.pulse(0)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # of `Exited`
    delivery.set_exception(KafkaTimeoutError())
    await asyncio.sleep(0)
    assert exits == [70]


async def test_a_delivery_given_up_at_the_end_is_no_failure(out, exits):
    """Futures are cancelled when the producer is closed, after everything else."""
    delivery = await out.pulse(0)
    delivery.cancel()
    await asyncio.sleep(0)
    assert exits == []


def test_giving_up_leaves_at_once(exits):
    """Without `finally` blocks or flushing: nothing later may be sent."""
    with pytest.raises(Exited):
        give_up("a reason", ValueError("detail"))
    assert exits == [70]
