"""Two authorities under two ids: a hot standby that needs no coordination.

`test_recovery.py` has what one authority does alone, and how soon a dead twin is made
up for.
"""

import asyncio
from collections import Counter, defaultdict

import pytest
from aiokafka import TopicPartition
from confluent_kafka import Producer

from revocation.entries import Entry, Position, Target, decode_update
from revocation.events import Event, encode
from revocation.kafka import new_consumer
from revocation.settings import KafkaSettings
from tests.installation import Install, Installation, eventually
from tests.traffic import logged_out, logouts, user

pytestmark = [pytest.mark.connected, pytest.mark.timeout(180)]

USERS = 40
TWINS = ("one", "two")
Log = dict[tuple[Position, Target], list[Entry]]


async def with_twins(install: Install) -> Installation:
    """Return an installation whose two authorities both write."""
    installation = await install()
    installation.add_region("eu")
    for name in TWINS:
        installation.add_authority(name, authority_id=name)
    await installation.ready()
    await eventually(lambda: both_write(installation), within=40)
    return installation


async def both_write(installation: Installation) -> bool:
    """Publish something; tell whether both concluded on it."""
    (receipt,) = await installation.publish(logged_out("probe"))
    await installation.applied([receipt])
    found = await log_of_entries(installation)
    return any(
        at.receipt == str(receipt) and len(entries) == len(TWINS)
        for (at, _), entries in found.items()
    )


async def log_of_entries(installation: Installation) -> Log:
    """Return the entries that the log has from each record, about each target."""
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
                for entry in update.entries:
                    found[update.source, entry.target].append(entry)
    await consumer.stop()
    return found


async def versions(installation: Installation, names: Counter[str]) -> Counter[str]:
    answer = await installation.find("eu", *map(user, names))
    return Counter({target.id: entry.version for target, entry in answer.found.items()})


async def test_twins_conclude_the_same_from_the_same_log(install: Install) -> None:
    """Every entry is written twice, and the two are equal in all that they say."""
    installation = await with_twins(install)
    published, expected = logouts(600, USERS, seed=31)
    receipts = await installation.publish(*published)
    await installation.applied(receipts)
    assert await versions(installation, expected) == expected

    async def all_twice() -> bool:
        found = await log_of_entries(installation)
        return all(len(entries) == len(TWINS) for entries in found.values())

    await eventually(all_twice, pause=0.3)
    found = await log_of_entries(installation)
    assert len(found) > len(published)
    assert all(one == other for one, other in found.values())


async def misplace(installation: Installation, published: list[Event]) -> None:
    """Write with librdkafka as it is out of the box: CRC32 misplaces most records."""
    servers = installation.settings["bootstrap_servers"]
    topic = f"{installation.settings['topic_prefix']}.events"

    def write() -> None:
        producer = Producer({"bootstrap.servers": servers})
        for event in published:
            producer.produce(topic, encode(event), key=event.data.user)
        assert producer.flush(30) == 0

    await asyncio.to_thread(write)


@pytest.mark.parametrize("lag", [False, True], ids=["abreast", "one behind"])
async def test_misplaced_events_count_once_though_both_send_them_on(
    install: Install, *, lag: bool
) -> None:
    """Each twin sends a copy to the right partition, and each reads both copies."""
    installation = await with_twins(install)
    two = installation.stations["two"]
    published, expected = logouts(800, USERS, seed=32)

    async def all_counted() -> bool:
        return not expected - await versions(installation, expected)

    if lag:
        two.pause()
    await misplace(installation, published)
    await eventually(all_counted, within=40)
    two.resume()
    await eventually(lambda: both_write(installation), within=40)
    # Whatever was written before this has been concluded on once it is applied.
    await installation.applied(await installation.publish(logged_out("last")))
    assert await versions(installation, expected) == expected


async def test_a_twin_that_lost_its_disk_beside_one_that_writes_on(
    install: Install,
) -> None:
    """It recovers from what both have written, and counts on from there alone."""
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
