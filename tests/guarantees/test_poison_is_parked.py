"""poison-is-parked: a bad record is dead-lettered, and never blocks or is lost."""

import random
from collections import Counter
from typing import Any

import pytest

from revocation.events import encode
from revocation.kafka import clients
from revocation.settings import KafkaSettings
from revocation.topics import MAX_EVENT_BYTES, partition_of, record_key
from tests.installation import Install, Installation, eventually
from tests.traffic import logouts, user

pytestmark = [pytest.mark.guarantee, pytest.mark.connected, pytest.mark.timeout(240)]

USERS = 400
GOOD = encode(logouts(1, 1, seed=1)[0][0])
POISON = {
    b"": "malformed_event",
    b"not json": "malformed_event",
    b"[]": "malformed_event",
    b"\xff\xfe\x00": "malformed_event",
    GOOD[:-20]: "malformed_event",
    GOOD.replace(b"logged_out", b"misspelt"): "unknown_event_type",
    GOOD.replace(b'"user":"', b'"usr":"'): "invalid_event",
    GOOD.replace(b'"1.0"', b"1.0"): "invalid_event",
    GOOD.replace(b'"user":"', b'"user":"eyJhbGciOiJFUzI1NiJ9.e30.'): "token_as_id",
    b"\0\0\0\0\x07" + GOOD: "malformed_event",
    b" " * (MAX_EVENT_BYTES + 1): "oversized_record",
}


async def write_mixed(
    installation: Installation, *, good: int, bad: int
) -> tuple[Counter[str], dict[tuple[int, int], tuple[bytes, str]]]:
    """Write good events with poison among them; return the expected results of both."""
    settings = KafkaSettings(**installation._typed())
    published, expected = logouts(good, USERS, seed=3)
    chooser = random.Random(4)
    kinds = chooser.choices(list(POISON), k=bad)
    records: list[Any] = [*published, *kinds]
    chooser.shuffle(records)
    parked: dict[tuple[int, int], tuple[bytes, str]] = {}
    producer = clients.new_producer(settings, client_id="tests")
    await producer.start()
    deliveries = []
    for record in records:
        if isinstance(record, bytes):
            value, partition = record, chooser.randrange(settings.partitions)
        else:
            value = encode(record)
            key = record_key(user(record.data.user))
            partition = partition_of(key, settings.partitions)
        sent = await producer.send(
            settings.topics.events, value or None, key=b"any", partition=partition
        )
        deliveries.append((value, sent))
    for value, sent in deliveries:
        place = await sent
        if value in POISON:
            parked[place.partition, place.offset] = (value, POISON[value])
    await producer.stop()
    return expected, parked


async def dead_letters(
    installation: Installation,
) -> dict[tuple[int, int], tuple[bytes, str]]:
    """Return all dead letters: original bytes and code, by original coordinates."""
    settings = KafkaSettings(**installation._typed())
    consumer = clients.new_consumer(
        settings, settings.topics.dead_letters, client_id="tests"
    )
    await consumer.start()
    found = {}
    while batch := await consumer.getmany(timeout_ms=2_000):
        for records in batch.values():
            for record in records:
                headers = dict(record.headers)
                place = (
                    int(headers["dead-letter-partition"]),
                    int(headers["dead-letter-offset"]),
                )
                code = headers["dead-letter-code"].decode()
                found[place] = (record.value or b"", code)
    await consumer.stop()
    return found


async def applied_versions(installation: Installation, expected: Counter[str]) -> None:
    """Wait until every user has the model's version."""

    async def as_expected() -> bool:
        answer = await installation.find("eu", *map(user, expected))
        return expected == {
            target.id: entry.version for target, entry in answer.found.items()
        }

    await eventually(as_expected, within=90)


async def test_skipping_unreadable_records_loses_them(install: Install) -> None:
    """Without the protection, the good ones are applied and the bad ones are lost."""
    installation = await install()
    installation.add_region("eu")
    installation.add_authority(unprotected="skip_unreadable")
    await installation.ready()
    expected, parked = await write_mixed(installation, good=200, bad=20)
    await applied_versions(installation, expected)

    assert parked
    assert await dead_letters(installation) == {}


async def test_1000_bad_records_among_10000_good_ones(install: Install) -> None:
    """All good ones are applied; the bad are parked with bytes, code and position."""
    installation = await install()
    installation.add_region("eu")
    installation.add_authority()
    await installation.ready()
    expected, parked = await write_mixed(installation, good=10_000, bad=1_000)
    await applied_versions(installation, expected)

    assert len(parked) == 1_000
    assert await dead_letters(installation) == parked
