"""Two authorities under two ids: a hot standby that needs no coordination.

Sibling: `test_recovery.py`, for one authority alone, and how soon a dead twin is
replaced.
"""

import asyncio
from collections import Counter, defaultdict
from functools import partial

import pytest
from aiokafka import TopicPartition
from confluent_kafka import Producer

from revocation.entries import RECENT_EVENTS, Entry, Position, Target
from revocation.events import Event, encode
from revocation.kafka.clients import new_consumer
from revocation.settings import KafkaSettings
from revocation.updates import NOWHERE, decode_update
from tests.installation import Install, Installation, eventually
from tests.traffic import logged_out, logouts, user

pytestmark = [pytest.mark.connected, pytest.mark.timeout(180)]

USERS = 40
TWINS = ("one", "two")
Log = dict[tuple[Position, Target], list[Entry]]


async def with_twins(install: Install) -> Installation:
    """Return an installation with two authorities that both write."""
    installation = await install()
    installation.add_region("eu")
    for name in TWINS:
        installation.add_authority(name, authority_id=name)
    await installation.ready()
    await eventually(lambda: both_write(installation), within=40)
    return installation


async def both_write(installation: Installation) -> bool:
    """Publish an event; return whether both concluded on it."""
    (receipt,) = await installation.publish(logged_out("probe"))
    await installation.applied([receipt])
    found = await log_of_entries(installation)
    return any(
        at.receipt == str(receipt) and len(entries) == len(TWINS)
        for (at, _), entries in found.items()
    )


async def log_of_entries(installation: Installation) -> Log:
    """Return the log's entries by record and target."""
    settings = KafkaSettings(**installation._typed())
    topic = settings.topics.entries
    consumer = new_consumer(settings, client_id="tests")
    await consumer.start()
    consumer.assign([TopicPartition(topic, n) for n in range(settings.partitions)])
    found: Log = defaultdict(list)
    ends = await consumer.end_offsets(consumer.assignment())
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        for tp, records in (await consumer.getmany(timeout_ms=500)).items():
            for record in records:
                update = decode_update(record.value, tp.partition)
                if update.source is NOWHERE and update.forwarded < 0:
                    continue  # A refreshed entry.
                for entry in update.entries:
                    found[entry.source, entry.target].append(entry)
    await consumer.stop()
    return found


async def versions(installation: Installation, names: Counter[str]) -> Counter[str]:
    answer = await installation.find("eu", *map(user, names))
    return Counter({target.id: entry.version for target, entry in answer.found.items()})


async def test_twins_conclude_the_same_from_the_same_log(install: Install) -> None:
    """Every entry is written twice, with equal content."""
    installation = await with_twins(install)
    published, expected = logouts(600, USERS, seed=31)
    receipts = await installation.publish(*published)
    await installation.applied(receipts)
    assert await versions(installation, expected) == expected

    async def written() -> list[list[Entry]]:
        found = await log_of_entries(installation)
        return [found[key] for key in found if key[1].id in expected]

    async def all_twice() -> bool:
        return all(len(entries) >= len(TWINS) for entries in await written())

    await eventually(all_twice, pause=0.3)
    concluded = await written()
    assert len(concluded) == len(published)
    assert all(len(set(entries)) == 1 for entries in concluded)


async def misplace(installation: Installation, published: list[Event]) -> None:
    """Write with librdkafka's default partitioner: CRC32 misplaces most records."""
    servers = installation.settings["bootstrap_servers"]
    topic = f"{installation.settings['topic_prefix']}.events"

    def write() -> None:
        producer = Producer({"bootstrap.servers": servers})
        for event in published:
            producer.produce(topic, encode(event), key=event.data.user)
        assert producer.flush(30) == 0

    await asyncio.to_thread(write)


async def test_misplaced_events_count_once_though_both_forward_them(
    install: Install,
) -> None:
    """Each twin forwards a copy to the right partition, and each reads both copies."""
    installation = await with_twins(install)
    published, expected = logouts(100, USERS, seed=36)
    assert max(expected.values()) <= RECENT_EVENTS
    await misplace(installation, published)
    await counted_once(installation, expected)


async def test_misplaced_events_count_once_with_one_twin_far_behind(
    install: Install,
) -> None:
    """Its copies follow many other events about the same users."""
    installation = await with_twins(install)
    published, expected = logouts(800, USERS, seed=32)
    assert min(expected.values()) > RECENT_EVENTS
    installation.stations["two"].pause()
    await misplace(installation, published)
    await eventually(partial(all_counted, installation, expected), within=40)
    installation.stations["two"].resume()
    await counted_once(installation, expected)


async def all_counted(installation: Installation, expected: Counter[str]) -> bool:
    return not expected - await versions(installation, expected)


async def counted_once(installation: Installation, expected: Counter[str]) -> None:
    """Wait for the expected versions, and until both twins have read everything."""
    await eventually(partial(all_counted, installation, expected), within=40)
    for _ in range(2):  # Each twin concludes later on what the other forwards.
        await eventually(partial(both_write, installation), within=40)
    assert await versions(installation, expected) == expected


async def test_a_twin_that_lost_its_disk_beside_a_running_one(
    install: Install,
) -> None:
    """It recovers from both twins' entries, and continues to count from there."""
    installation = await with_twins(install)
    first, before = logouts(300, USERS, seed=33)
    await installation.applied(await installation.publish(*first))
    one, two = (installation.stations[name] for name in TWINS)
    one.kill()
    second, between = logouts(300, USERS, seed=34)
    await installation.applied(await installation.publish(*second))
    (installation.folder / "one").rename(installation.folder / "lost")
    one.start()
    await eventually(lambda: both_write(installation), within=40)
    two.kill()
    third, after = logouts(300, USERS, seed=35)
    await installation.applied(await installation.publish(*third))

    expected = before + between + after
    assert await versions(installation, expected) == expected
