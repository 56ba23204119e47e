"""Counts and reads the dead letters, for `revocation status` and `--wait`."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from revocation.entries import UnixMs
from revocation.kafka.clients import DEAD_LETTER_CODE, new_consumer
from revocation.operate.status_report import DeadLetters
from revocation.receipts import Receipt
from revocation.settings import KafkaSettings

_FIRST_RECORDS: Final = 100
"""How many of a partition's first records to read, at most: parked records may be
large, and the first ones have the oldest time."""
_READING_SECONDS: Final = 1.0
_FINDING_SECONDS: Final = 5.0
_CLOCKS_MS: Final = 60_000


async def find_dead_letters(
    consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]
) -> DeadLetters:
    """Count the records in the topic by its offsets, and read the first of them.

    Args:
        consumer: a started one; its assignment changes.
        places: the partitions of the topic.
    """
    begins = await consumer.beginning_offsets([*places])
    ends = await consumer.end_offsets([*places])
    filled = {tp: end for tp, end in ends.items() if begins[tp] < end}
    if not filled:
        return DeadLetters(0)
    consumer.assign([*filled])
    for tp in filled:
        consumer.seek(tp, begins[tp])
    enough = {tp: min(end, begins[tp] + _FIRST_RECORDS) for tp, end in filled.items()}
    records = await _read_first(consumer, enough)
    return DeadLetters(
        sum(end - begins[tp] for tp, end in filled.items()),
        Counter(map(_code, records)),
        min((UnixMs(each.timestamp) for each in records), default=None),
    )


async def find_parked(
    settings: KafkaSettings, receipts: Iterable[Receipt], *, since: UnixMs
) -> dict[Receipt, str]:
    """Return the error codes of those events that are among the dead letters.

    Args:
        settings: names Kafka and the topic.
        receipts: of events that the authority has concluded.
        since: when the first was sent, by any clock that is at most a minute wrong.

    Raises:
        KafkaError: the topic cannot be read, for instance because of its ACLs.
        TimeoutError: Kafka does not answer.
    """
    asked = {*receipts}
    topic = settings.topics.dead_letters
    places = [
        TopicPartition(topic, each) for each in {each.partition for each in asked}
    ]
    consumer = new_consumer(settings, client_id="revocation-publish")
    try:
        async with asyncio.timeout(_FINDING_SECONDS):
            await consumer.start()
            from_then = dict.fromkeys(places, since - _CLOCKS_MS)
            begins = await consumer.offsets_for_times(from_then)
            ends = await consumer.end_offsets(places)
            filled = {tp: ends[tp] for tp, at in begins.items() if at is not None}
            consumer.assign([*filled])
            for tp in filled:
                consumer.seek(tp, begins[tp].offset)
            parked = {
                _receipt(each, settings.topics.events): _code(each)
                async for batch in _read(consumer, filled)
                for each in batch
            }
    finally:
        await consumer.stop()
    return {each: parked[each] for each in sorted(asked) if each in parked}


def _receipt(record: Any, topic: str) -> Receipt | None:
    """Return a dead letter's original position, if it came from this topic."""
    headers = dict(record.headers)
    if headers.get("dead-letter-topic") != topic.encode():
        return None
    place = (
        headers[f"dead-letter-{name}"].decode() for name in ("partition", "offset")
    )
    return Receipt.parse("-".join(place))


async def _read_first(
    consumer: AIOKafkaConsumer, enough: Mapping[TopicPartition, int]
) -> list[Any]:
    """Read up to an offset of each partition, or for one second."""
    records: list[Any] = []
    clock = asyncio.get_running_loop().time
    deadline = clock() + _READING_SECONDS
    async for batch in _read(consumer, enough):
        records += batch
        if clock() >= deadline:
            break
    return records


async def _read(
    consumer: AIOKafkaConsumer, enough: Mapping[TopicPartition, int]
) -> AsyncIterator[list[Any]]:
    """Read up to an offset of each partition."""
    left = [*enough]
    while left:
        batches = await consumer.getmany(*left, timeout_ms=200)
        yield [
            each
            for tp, batch in batches.items()
            for each in batch
            if each.offset < enough[tp]
        ]
        left = [tp for tp in left if await consumer.position(tp) < enough[tp]]


def _code(record: Any) -> str:
    """Return a dead letter's error code; of several such headers, the last is ours."""
    code: bytes = dict(record.headers).get(DEAD_LETTER_CODE) or b"unknown"
    return code.decode("ascii", "replace")
