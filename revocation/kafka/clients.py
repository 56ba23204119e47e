"""Creates all Kafka clients, with the options without which revocations could be lost.

aiokafka's own defaults are `acks=1`, no idempotence, `auto_offset_reset="latest"` and
automatic commits; each of them can lose records.
"""
# ruff: noqa: SLF001 - aiokafka's tasks are private; a test fails if one is renamed.

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.group_coordinator import NoGroupCoordinator
from aiokafka.errors import KafkaConnectionError, KafkaError

from revocation.entries import Position
from revocation.errors import RevocationError
from revocation.settings import KafkaSettings

KafkaClient: TypeAlias = AIOKafkaConsumer | AIOKafkaProducer

_MAX_REQUEST_BYTES = 2 * 1_048_576 + 65_536
"""A dead letter of the largest record, with its headers."""

DEAD_LETTER_CODE: Final = "dead-letter-code"
"""The header that holds a dead letter's error code."""

_ASK_SECONDS: Final = 3.0
_NOTHING_COMMITTED: Final = -1

FAILURES: Final = (KafkaError, OSError, RuntimeError)
"""Errors that a client may raise while a broker is unavailable. The last is uvloop's,
for a write on a closed transport; aiokafka does not expect it, and its metadata task
ends. `docs/upstream/aiokafka-runtime-error.md` has the report."""


def new_producer(
    settings: KafkaSettings, *, client_id: str, request_timeout_ms: int = 60_000
) -> AIOKafkaProducer:
    """Return a producer whose acknowledged records are in the log once, in order.

    `request_timeout_ms` is also how long a record may wait for an unavailable broker.
    """
    return AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        max_request_size=_MAX_REQUEST_BYTES,
        request_timeout_ms=request_timeout_ms,
        retry_backoff_ms=100,
    )


def new_telemetry_producer(
    settings: KafkaSettings, *, client_id: str
) -> AIOKafkaProducer:
    """Return a producer of records that may be lost: short timeouts, `acks=1`."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=client_id,
        acks=1,
        linger_ms=20,
        request_timeout_ms=3_000,
        retry_backoff_ms=250,
    )


def new_consumer(
    settings: KafkaSettings, *topics: str, client_id: str, **options: Any
) -> AIOKafkaConsumer:
    """Return a consumer that starts at the beginning and never commits by itself."""
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=settings.bootstrap_servers,
        client_id=client_id,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        retry_backoff_ms=100,
        **options,
    )


def dead_letter_value(key: bytes | None, value: bytes | None) -> bytes | None:
    """Return the original value; empty if there is no key either.

    aiokafka cannot send a record with neither, although other clients can.
    """
    return b"" if key is None and value is None else value


def dead_letter_headers(
    error: RevocationError, topic: str, at: Position
) -> list[tuple[str, bytes]]:
    """Return the headers that a dead letter has in addition to its original ones."""
    described = {
        "code": error.code,
        "message": error,
        "topic": topic,
        "partition": at.partition,
        "offset": at.offset,
        "timestamp": at.time,
    }
    return [
        (f"dead-letter-{name}", str(value).encode("ascii", "backslashreplace"))
        for name, value in described.items()
    ]


class LogState(NamedTuple):
    """One topic's end offsets and a group's committed offsets, by partition.

    `committed` is -1 where the group has committed nothing. `beside_ends`: the end
    offsets of a second topic, if one was given.
    """

    ends: Mapping[int, int]
    committed: Mapping[int, int]
    beside_ends: Mapping[int, int] = MappingProxyType({})


async def ask_log(
    settings: KafkaSettings,
    topic: str,
    group: str | None = None,
    *,
    beside: str | None = None,
) -> LogState | None:
    """Return the state of a topic and a consumer group; None if Kafka does not answer.

    It uses a client of its own, so that a fault in the station's clients cannot hide
    that Kafka answers. Takes some milliseconds, and at most 6 s.
    """
    consumer = new_consumer(
        settings,
        client_id="revocation-watchdog",
        group_id=group,
        request_timeout_ms=round(_ASK_SECONDS * 1_000),
    )
    numbers = range(settings.partitions)
    partitions = [TopicPartition(topic, number) for number in numbers]
    others = [TopicPartition(beside, number) for number in numbers if beside]
    found: Mapping[TopicPartition, Any] = {}
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            await consumer.start()
            ends = await consumer.end_offsets([*partitions, *others])
            if group is not None:
                # One request for all; the public method takes one for each partition.
                found = await consumer._coordinator.fetch_committed_offsets(partitions)
    except (*FAILURES, TimeoutError):
        return None
    finally:
        await _stop_in_time(consumer)
    committed = {each.partition: known.offset for each, known in found.items()}
    return LogState(
        {each.partition: ends[each] for each in partitions},
        {at: committed.get(at, _NOTHING_COMMITTED) for at in numbers},
        {each.partition: ends[each] for each in others},
    )


async def discard_producer(producer: AIOKafkaProducer) -> None:
    """Disconnect a producer that may hang, and fail its pending sends.

    Records that it does not send within some seconds are not acknowledged.
    """
    await _stop_in_time(producer)
    ended = KafkaConnectionError("the producer hung and was replaced")
    pending = metadata_wait(producer)
    if pending is not None and not pending.done():
        pending.set_exception(ended)
    producer._message_accumulator.fail_all(ended)
    for _, task in _tasks(producer):
        if task is not None:
            task.cancel()


async def _stop_in_time(client: KafkaClient) -> None:
    """Stop a client, or at least disconnect it."""
    for stop in (client.stop, _client_of(client).close):
        with suppress(*FAILURES, TimeoutError):
            async with asyncio.timeout(_ASK_SECONDS):
                await stop()
                return


# aiokafka's background tasks ----------------------------------------------------------


def ended_tasks(client: KafkaClient) -> list[str]:
    """Return the names of a started client's background tasks that have ended.

    aiokafka does not restart them, and the loss of some goes unnoticed for hours.
    """
    return [name for name, task in _tasks(client) if task is not None and task.done()]


def metadata_wait(client: KafkaClient) -> asyncio.Future[Any] | None:
    """Return the future of a pending metadata update, if there is one.

    If the task hangs, it stays the same for ever.
    """
    pending: asyncio.Future[Any] | None = _client_of(client)._md_update_fut
    return pending


def _tasks(
    client: KafkaClient,
) -> Iterator[tuple[str, "asyncio.Task[Any] | None"]]:
    yield "metadata", _client_of(client)._sync_task
    if isinstance(client, AIOKafkaProducer):
        yield "sender", client._sender.sender_task
        return
    if client._fetcher is None or client._coordinator is None:
        return
    yield "fetcher", client._fetcher._fetch_task
    coordinator, subscription = client._coordinator, client._subscription.subscription
    if isinstance(coordinator, NoGroupCoordinator):
        yield "coordinator", coordinator._reset_committed_task
        return
    yield "coordinator", coordinator._coordination_task
    # These two end normally: outside of the group, and when partitions are revoked.
    if coordinator.member_id:
        yield "heartbeat", coordinator._heartbeat_task
    assignment = subscription and subscription.assignment
    if assignment is not None and assignment.active:
        yield "commit refresh", coordinator._commit_refresh_task


def _client_of(client: KafkaClient) -> AIOKafkaClient:
    return client.client if isinstance(client, AIOKafkaProducer) else client._client
