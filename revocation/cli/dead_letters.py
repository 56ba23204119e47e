"""The dead letters, as `revocation status` finds them."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from revocation.cli.status_report import DeadLetters
from revocation.entries import UnixMs
from revocation.kafka import DEAD_LETTER_CODE

_FIRST_RECORDS: Final = 100
"""How many first records of a partition are read, at most: what is parked may be large,
and the first say since when."""
_READING_SECONDS: Final = 1.0


async def find_dead_letters(
    consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]
) -> DeadLetters:
    """Count what lies in the topic by its offsets, and read the first of it.

    Args:
        consumer: a started one, which is assigned other partitions.
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


async def _read_first(
    consumer: AIOKafkaConsumer, enough: Mapping[TopicPartition, int]
) -> list[Any]:
    """Read up to an offset of each partition, or what comes in a second."""
    records: list[Any] = []
    clock = asyncio.get_running_loop().time
    deadline, left = clock() + _READING_SECONDS, [*enough]
    while left and clock() < deadline:
        batches = await consumer.getmany(*left, timeout_ms=200)
        for tp, batch in batches.items():
            records += [each for each in batch if each.offset < enough[tp]]
        left = [tp for tp in left if await consumer.position(tp) < enough[tp]]
    return records


def _code(record: Any) -> str:
    """Return the error code of a dead letter: the last header of that name is ours."""
    code: bytes = dict(record.headers).get(DEAD_LETTER_CODE) or b"unknown"
    return code.decode("ascii", "replace")
