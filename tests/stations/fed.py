"""An authority whose records come from the test, without Kafka."""

import asyncio
import itertools
from types import SimpleNamespace

from revocation import events
from revocation.events import encode
from revocation.topics import PULSE_KEY
from revocation.updates import decode_update
from tests.stations.kafka import FakeProducer
from tests.stations.log import home
from tests.unit.histories import event, user_event
from tests.unit.strategies import NOW

ALICE = user_event()
HOME = home(ALICE)
ELSEWHERE = (HOME + 1) % 4


class Fed:
    """Feeds records to an authority and keeps what it sends."""

    def __init__(self, authority):
        self.authority = authority
        self.producer = FakeProducer()
        self.acknowledged = []
        authority._output._producer = self.producer
        authority._owned = {0, 1, 2, 3}

    def record(self, offset, value, *, topic="events", **where):
        return SimpleNamespace(
            topic=f"played.{topic}",
            partition=where.get("partition", HOME),
            offset=offset,
            key=where.get("key", b"any"),
            value=value,
            headers=list(where.get("headers", ())),
        )

    async def take(self, offset, what, **where):
        value = what if isinstance(what, bytes | None) else encode(what)
        message = self.record(offset, value, **where)
        message.timestamp = (NOW + offset) / 1_000
        place = (message.partition, offset)
        event = SimpleNamespace(
            message=message, ack=lambda: self.acknowledged.append(place)
        )
        await self.authority._take(event)
        await self.hand_over()

    async def take_forwarded(self, offset, what, origin, *, partition=HOME):
        value = what if isinstance(what, bytes) else encode(what)
        headers = [("forwarded-from", "-".join(map(str, origin)).encode())]
        record = self.record(
            offset, value, partition=partition, headers=headers, topic="forwarded"
        )
        record.timestamp = NOW + offset
        await self.authority._take_forwarded(record)
        await self.hand_over()

    async def hand_over(self):
        """Run all tasks that can run, and hand waiting records to the producer."""
        for _ in range(5):
            await asyncio.sleep(0)
        await self.authority._output._hand_over_all()

    def begin(self, offset, what, **where):
        """Start to take a record that has to wait."""
        return asyncio.create_task(self.take(offset, what, **where))

    async def pulse(self, offset, partition=HOME):
        await self.take(offset, b"{}", partition=partition, key=PULSE_KEY)

    def sent_to(self, topic):
        name = getattr(self.authority._settings.topics, topic)
        return [sent for sent in self.producer.sent if sent.topic == name]

    @property
    def updates(self):
        return [
            decode_update(sent.value, sent.partition)
            for sent in self.sent_to("entries")
        ]

    async def deliver(self, which=-1, offset=0):
        self.producer.sent[which].deliver(offset)
        await self.hand_over()
        await self.hand_over()


def away_from(partition):
    """Return the name of a user whose home is another partition."""
    names = map("user-{}".format, itertools.count())
    return next(name for name in names if home(user(name)) != partition)


def user(name):
    return event(events.UserLoggedOut, user=name)
