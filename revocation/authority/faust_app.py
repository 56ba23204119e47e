"""The authority's Faust application: one ordered path from events to entries.

The commit protocol, per partition; comments in the code mark the steps by number:

1. Take a record, conclude, and store the conclusion in the table.
2. Send the conclusion to the same partition number, through one idempotent producer, in
   the order of the records.
3. Acknowledge the record to Faust once Kafka has acknowledged everything sent for it
   and for the records before it. Faust commits acknowledged offsets only.

A forwarded record is not acknowledged: its update states that it is concluded, and a
recovered worker continues after the last record so marked.

A kill between 1 and 2 leaves the table ahead of the log: the record is taken again and
its entry emitted again. An output that fails permanently ends the process before 3.
"""

import asyncio
import traceback
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, cast

import faust
import structlog
from faust.types import EventT
from mode import Service

from revocation import metrics
from revocation.authority.conclude import Conclusion, Headers, Record, conclude, origin
from revocation.authority.conclusion_notes import note
from revocation.authority.faust_options import faust_options
from revocation.authority.forwarded_reader import ForwardedReader
from revocation.authority.ledger_table import LedgerTable
from revocation.authority.ordered_producer import (
    Delivery,
    InOrder,
    OrderedProducer,
    abort_process,
)
from revocation.authority.own_writes import OwnWrites
from revocation.authority.reemission import Reemitter
from revocation.authority.seeking_consumer import SeekingConsumer
from revocation.entries import Entry, Offset, Position, Target, UnixMs
from revocation.errors import ContractError, RevocationError
from revocation.events.lenient_reading import unframed
from revocation.kafka.clients import KafkaClient, dead_letter_headers
from revocation.settings import AuthoritySettings
from revocation.topics import PULSE_KEY
from revocation.updates import Update

_log = structlog.get_logger()


class _Held(NamedTuple):
    """A record taken, with the deliveries that the next update must wait for."""

    event: EventT[bytes]
    deliveries: list[Delivery]


class Authority(faust.App):
    """A worker of the authority."""

    has_joined = False
    """Whether it has ever joined its consumer group."""

    _pulses = 0

    def __init__(self, settings: AuthoritySettings) -> None:
        super().__init__(**faust_options(settings))
        self._settings = settings
        self._topics = settings.topics
        self._output = OrderedProducer(settings)
        self._in_order = InOrder()
        self._held: defaultdict[int, list[_Held]] = defaultdict(list)
        self._owned: set[int] = set()
        self._forwarded: defaultdict[int, Offset] = defaultdict(lambda: Offset(-1))
        self._latest: dict[int, int] = {}
        self._forwarded_reader = ForwardedReader(settings, self._take_forwarded)
        raw: dict[str, Any] = {
            "key_type": bytes,
            "value_type": bytes,
            "key_serializer": "raw",
            "value_serializer": "raw",
            "partitions": settings.partitions,
            "allow_empty": True,
        }
        changelog = self.topic(self._topics.entries, acks=False, internal=True, **raw)
        table = self.Table(
            "ledger",
            key_type=bytes,
            value_type=bytes,
            partitions=settings.partitions,
            changelog_topic=changelog,
        )
        self._ledger = cast("LedgerTable", table)
        self._own_writes = OwnWrites(self._ledger, lambda: self._owned)
        self._reemitter = Reemitter(
            self._ledger,
            self._emit_again,
            period_seconds=settings.refresh_period_seconds,
            limits=settings.limits,
        )
        events = self.topic(self._topics.events, **raw)
        self.agent(events, name="conclude")(self._consume)
        self.on_partitions_assigned.connect(self._assigned, weak=False)
        self.on_partitions_revoked.connect(self._revoked, weak=False)

    def _new_transport(self) -> Any:
        transport = cast("Any", super()._new_transport())
        transport.Consumer = SeekingConsumer
        return transport

    async def on_start(self) -> None:
        """Start the producer before anything is consumed."""
        await super().on_start()
        await self._output.start()
        await self._forwarded_reader.start()

    async def on_shutdown(self) -> None:
        """Flush and stop the producer after everything else has stopped."""
        await super().on_shutdown()
        await self._forwarded_reader.stop()
        await self._output.stop()

    def concluded(self, partition: int) -> Offset:
        """Return the events topic's offset up to which any authority has concluded."""
        return self._ledger.concluded(partition).events

    async def _assigned(self, *arguments: Any, **_: Any) -> None:
        _, assigned = arguments
        events = self._topics.events
        self._owned = {tp.partition for tp in assigned if tp.topic == events}
        self.has_joined = True

    async def _revoked(self, *arguments: Any, **_: Any) -> None:
        _, revoked = arguments
        partitions = {tp.partition for tp in revoked}
        self._owned -= partitions
        self._forwarded_reader.drop(partitions)
        self._in_order.drop(partitions)
        for partition in partitions:
            self._held.pop(partition, None)
            self._latest.pop(partition, None)
        self._own_writes.drop(partitions)

    # For the watchdog, from any thread ------------------------------------------------

    @property
    def owned(self) -> frozenset[int]:
        """The partitions that it is assigned."""
        return frozenset(self._owned)

    @property
    def turns(self) -> dict[str, int]:
        """How many iterations each of its loops has made."""
        return {"pulses": self._pulses, "refresh": self._reemitter.turns}

    @property
    def recovered(self) -> tuple[int, ...]:
        """How far its table is recovered: grows before it concludes anything."""
        # The public property creates a missing recovery, which is not thread-safe.
        recovery = cast("Any", self.tables)._recovery  # noqa: SLF001
        return () if recovery is None else tuple(dict(recovery.active_offsets).values())

    @property
    def following_forwarded(self) -> dict[int, Offset]:
        """The next offset to take from each partition of the forwarded topic."""
        return self._forwarded_reader.following

    @property
    def clients(self) -> dict[str, KafkaClient]:
        """Its started Kafka clients."""
        clients = {
            "consumer": self._consumer and cast("Any", self._consumer).client,
            "producer": self._output.client,
            "forwarded consumer": self._forwarded_reader.client,
        }
        return {kind: client for kind, client in clients.items() if client is not None}

    @Service.task
    async def _pulse(self) -> None:
        while not self.should_stop:
            await self.sleep(self._settings.pulse_interval_ms / 1_000)
            self._pulses += 1
            for partition in sorted(self._owned):
                await self._output.pulse(partition)

    @Service.task
    async def _refresh(self) -> None:
        await self._reemitter.run(self._recovered)

    def _recovered(self) -> set[int]:
        """Return the partitions that have delivered records, so have recovered."""
        return self._owned & self._latest.keys()

    @Service.task
    async def _conclude_forwarded(self) -> None:
        await self._forwarded_reader.run()

    async def _emit_again(self, partition: int, entry: Entry) -> None:
        """Emit a standing entry; its update claims no position."""
        await self._send(partition, Update(entries=(entry,)))

    async def _consume(self, stream: faust.StreamT[bytes]) -> None:
        # Acknowledged by `InOrder`, not when the loop body ends.
        async for event in cast("Any", stream).noack().events():
            if event.message.partition not in self._latest:
                self._read_forwarded(event.message.partition)
            self._require_no_gap(event.message)
            await self._take(event)

    def _read_forwarded(self, partition: int) -> None:
        """Begin after what any authority has concluded; the ledger has recovered."""
        self._forwarded[partition] = self._ledger.concluded(partition).forwarded
        self._forwarded_reader.begin(partition, Offset(self._forwarded[partition] + 1))

    def _require_no_gap(self, message: Any) -> None:
        """End the process if the record fetched before this one never arrived.

        Nothing after it was acknowledged, so the partition's next owner reads it again.
        """
        latest = self._latest.get(message.partition, -1)
        if latest < message.follows < message.offset:
            missed = f"{message.partition}@{message.follows}"
            abort_process("a fetched record never arrived", LookupError(missed))
        self._latest[message.partition] = message.offset

    async def _take(self, event: EventT[bytes]) -> None:
        message = event.message
        time = UnixMs(round(message.timestamp * 1_000))
        at = Position(message.partition, Offset(message.offset), time)
        self._reemitter.log_time_ms = max(self._reemitter.log_time_ms, at.time)
        if message.key == PULSE_KEY:
            await self._take_pulse(event, at)
            return
        conclusion = self._conclude(message, lambda _: at)
        if isinstance(conclusion, RevocationError):
            parked = [await self._park(message, at, conclusion)]
            self._held[at.partition].append(_Held(event, parked))
            return
        self._remember(at, conclusion)
        sent = [await self._output.forward(*each) for each in conclusion.forwards]
        self._held[at.partition].append(_Held(event, sent))
        if conclusion.entries:
            await self._emit(Update(at, conclusion.entries))

    async def _take_forwarded(self, record: Any) -> None:
        """Conclude immediately: the update claims nothing about earlier events."""
        partition, offset = record.partition, Offset(record.offset)
        at = Position(partition, offset, UnixMs(record.timestamp))
        entries: tuple[Entry, ...] = ()
        conclusion = self._conclude(record, partial(origin, partition=partition))
        if isinstance(conclusion, RevocationError):
            # The update below claims that everything up to here is concluded or parked.
            await (await self._park(record, at, conclusion))
        else:
            self._remember(at, conclusion)
            entries = conclusion.entries
        await self._send(partition, Update(entries=entries, forwarded=offset))
        self._forwarded[partition] = offset

    def _conclude(
        self, message: Any, published: Callable[[Headers], Position]
    ) -> Conclusion | RevocationError:
        """Conclude on a record, or return why it belongs in the dead letters."""
        headers, partition = message.headers or (), message.partition
        framed = self._settings.events_framing == "confluent"
        value = unframed(message.value) if framed else message.value
        try:
            record = Record(partition, value, headers, published(headers))
            recall, settings = partial(self._recall, partition), self._settings
            terms = settings.limits, settings.partitions, settings.revocable_claims
            return conclude(record, recall, *terms)
        except ContractError as error:
            return error
        except Exception as error:  # noqa: BLE001 - no record may stop the others
            # Not the error's message: it may quote the record's content.
            where = traceback.format_tb(error.__traceback__)
            kind, place = type(error).__name__, f"{partition}-{message.offset}"
            _log.error("conclusion failed", receipt=place, kind=kind, where=where)
            return RevocationError(kind)

    def _recall(self, partition: int, target: Target) -> Entry | None:
        try:
            return self._ledger.recall(partition, target)
        except Exception as error:  # noqa: BLE001 - a broken disk is not a bad record
            abort_process("the ledger cannot be read", error)

    def _remember(self, at: Position, conclusion: Conclusion) -> None:
        note(conclusion, at, self._settings.issuers)
        for entry in conclusion.changed:
            self._ledger.remember(at.partition, entry)  # 1.

    async def _emit(self, update: Update) -> Delivery:
        """Send an update that also covers the records held before it.

        Waits until Kafka has acknowledged those in the topics that they were forwarded
        to or parked in: an update states "all before me is here, or at the positions
        that I name".
        """
        partition = update.source.partition
        held = self._held.pop(partition, ())
        places: dict[int, Offset] = {}
        for each in held:
            for metadata in await asyncio.gather(*each.deliveries):
                if metadata.topic == self._topics.forwarded:
                    places[metadata.partition] = metadata.offset
        update = replace(update, awaits=tuple(places.items()))
        delivery = await self._send(partition, update)  # 2.
        for each in held:
            self._in_order.take(partition, each.event.ack, [delivery])  # 3.
        return delivery

    async def _take_pulse(self, event: EventT[bytes], at: Position) -> None:
        partition, stated = at.partition, self._settings.stated
        update = Update(at, forwarded=self._forwarded[partition], stated=stated)
        self._held[partition].append(_Held(event, []))
        delivery = await self._emit(update)
        delivery.add_done_callback(partial(self._own_writes.reached, partition, update))

    async def _send(self, partition: int, update: Update) -> Delivery:
        delivery = await self._output.update(partition, update)
        delivery.add_done_callback(partial(self._own_writes.note, partition))
        return delivery

    async def _park(
        self, message: Any, at: Position, error: RevocationError
    ) -> Delivery:
        headers = dead_letter_headers(error, message.topic, at)
        delivery = await self._output.dead_letter(
            at.partition,
            message.key,
            message.value,
            [*(message.headers or ()), *headers],
        )
        metrics.DEAD_LETTERS.labels(error.code).inc()
        _log.error("dead letter", receipt=at.receipt, code=error.code)
        return delivery
