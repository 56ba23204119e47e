"""The authority's only producer, and the order of its acknowledgements."""

import asyncio
import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple, NoReturn

import structlog
from aiokafka import AIOKafkaProducer

from revocation.kafka.clients import dead_letter_value, new_producer
from revocation.settings import AuthoritySettings
from revocation.topics import MAX_UPDATE_BYTES, PULSE_KEY, PULSE_VALUE, record_key
from revocation.updates import Update, encode_update

Delivery = Any
"""A future that becomes the record's metadata once Kafka has acknowledged it."""

_log = structlog.get_logger()
_EXIT_UNSENT: Final = 70
_MAX_WAITING: Final = 2_000
_MAX_UPDATE_VALUE: Final = MAX_UPDATE_BYTES - 8_192
"""Leaves room for the key and Kafka's own bytes."""


class _Waiting(NamedTuple):
    topic: str
    value: bytes | None
    key: bytes | None
    partition: int
    headers: Sequence[tuple[str, bytes]]
    delivery: Delivery


class OrderedProducer:
    """Sends through one idempotent producer: per partition, in the order of the calls.

    Records are handed over at most once per `batch_interval_ms`: aiokafka then sends
    one request for all partitions, and every projector wakes up once for all of them. A
    single record is not delayed.

    A failed delivery ends the process at once (exit code 70): a later record in that
    partition would claim that everything before it is present. The records are not
    committed, so the partition's next owner concludes on them again.
    """

    _producer: AIOKafkaProducer
    _handing_over: asyncio.Task[None]

    def __init__(self, settings: AuthoritySettings) -> None:
        self._settings = settings
        self._topics = settings.topics
        self._interval_seconds = settings.batch_interval_ms / 1_000
        self._waiting: list[_Waiting] = []
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._stopping = False

    @property
    def client(self) -> AIOKafkaProducer | None:
        """The producer, for the watchdog; None before `start`."""
        return getattr(self, "_producer", None)

    async def start(self) -> None:
        """Connect."""
        self._producer = new_producer(
            self._settings, client_id=self._settings.authority_id
        )
        await self._producer.start()
        self._handing_over = asyncio.create_task(self._hand_over())

    async def stop(self) -> None:
        """Flush and disconnect."""
        self._stopping = True
        self._filled.set()
        # Not cancelled: there must be no gap between two records of a partition.
        await self._handing_over
        await self._producer.stop()

    async def update(self, partition: int, update: Update) -> Delivery:
        """Send an update to the partition number of its source records.

        An update that is too large is split; only the last part carries its claims.
        """
        value, entries = encode_update(update), update.entries
        if len(value) > _MAX_UPDATE_VALUE and len(entries) > 1:
            half = len(entries) // 2
            await self.update(partition, Update(entries=entries[:half]))
            return await self.update(partition, replace(update, entries=entries[half:]))
        key = record_key(entries[0].target) if entries else PULSE_KEY
        return await self._send(self._topics.entries, value, key, partition)

    async def forward(
        self,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> Delivery:
        """Forward an event to the partition of its target."""
        return await self._send(self._topics.forwarded, value, key, partition, headers)

    async def pulse(self, partition: int) -> Delivery:
        """Mark the current position and time in a partition of the events topic."""
        return await self._send(self._topics.events, PULSE_VALUE, PULSE_KEY, partition)

    async def dead_letter(
        self,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> Delivery:
        """Park a record in its original bytes."""
        value = dead_letter_value(key, value)
        return await self._send(
            self._topics.dead_letters, value, key, partition, headers
        )

    async def _send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Delivery:
        delivery: Delivery = asyncio.get_running_loop().create_future()
        waiting = _Waiting(topic, value, key, partition, headers, delivery)
        self._waiting.append(waiting)
        self._filled.set()
        while len(self._waiting) > _MAX_WAITING:
            self._emptied.clear()
            await self._emptied.wait()
        return delivery

    async def _hand_over(self) -> None:
        handed_over = 0.0
        while self._waiting or not self._stopping:
            await self._filled.wait()
            ahead = handed_over + self._interval_seconds - time.perf_counter()
            await asyncio.sleep(max(0.0, ahead))
            handed_over = time.perf_counter()
            await self._hand_over_all()

    async def _hand_over_all(self) -> None:
        self._filled.clear()
        records, self._waiting = self._waiting, []
        self._emptied.set()
        for record in records:
            try:
                sent = await self._producer.send(
                    record.topic,
                    record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                )
            except Exception as error:  # noqa: BLE001 - no record may follow a lost one
                abort_process("record could not be sent", error)
            sent.add_done_callback(partial(_pass_on, record.delivery))


def _pass_on(delivery: Delivery, sent: Delivery) -> None:
    if sent.cancelled():
        delivery.cancel()
    elif sent.exception() is not None:
        abort_process("record was not acknowledged", sent.exception())
    elif not delivery.cancelled():
        delivery.set_result(sent.result())


def abort_process(what: str, error: BaseException) -> NoReturn:
    """End the process now, before anything else is sent."""
    _log.critical(what, error=repr(error), exit_code=_EXIT_UNSENT)
    os._exit(_EXIT_UNSENT)


class _Taken:
    """A record taken, and how many of its outputs are still in flight."""

    __slots__ = ("acknowledge", "waiting")

    def __init__(self, acknowledge: Callable[[], object], waiting: int) -> None:
        self.acknowledge = acknowledge
        self.waiting = waiting


class InOrder:
    """Acknowledges records in the order taken, each once all before it are delivered.

    Faust may commit past a record that is acknowledged out of order (faust #312).
    """

    def __init__(self) -> None:
        self._taken: defaultdict[int, deque[_Taken]] = defaultdict(deque)

    def take(
        self,
        partition: int,
        acknowledge: Callable[[], object],
        deliveries: Iterable[Delivery] = (),
    ) -> None:
        """Acknowledge a record after its deliveries and all records before it."""
        pending = [delivery for delivery in deliveries if not delivery.done()]
        taken = _Taken(acknowledge, len(pending))
        self._taken[partition].append(taken)
        for delivery in pending:
            delivery.add_done_callback(partial(self._delivered, partition, taken))
        if not pending:
            self._settle(partition)

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget partitions that another worker now owns."""
        for partition in partitions:
            self._taken.pop(partition, None)

    def _delivered(self, partition: int, taken: _Taken, _: Delivery) -> None:
        taken.waiting -= 1
        self._settle(partition)

    def _settle(self, partition: int) -> None:
        queue = self._taken[partition]
        while queue and not queue[0].waiting:
            queue.popleft().acknowledge()
