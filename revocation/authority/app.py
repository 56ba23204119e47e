"""The authority's Faust application: one ordered path from events to entries.

The commit protocol, per partition; the numbers stand in the code below:

1. Take a record, conclude, and keep the conclusion in the table.
2. Send what was concluded to the same partition number, through one idempotent
   producer, in the order of the records.
3. Acknowledge the record to Faust once Kafka has acknowledged everything sent for it
   and for the records before it. Faust commits acknowledged offsets only.

A kill between 1 and 2 leaves the table ahead of the log: the record is taken again and
its entry emitted again. An output that fails for good ends the process before 3.
"""

import asyncio
import traceback
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, cast

import faust
import structlog
from faust.types import EventT
from mode import Service

from revocation import metrics
from revocation.authority.conclude import Conclusion, Record, conclude
from revocation.authority.consumer import SeekingConsumer
from revocation.authority.outlet import Delivery, InOrder, Outlet, give_up
from revocation.authority.refresh import Refresher
from revocation.authority.table import LedgerTable
from revocation.entries import Entry, Offset, Position, Target, UnixMs, Update
from revocation.errors import ContractError, RevocationError
from revocation.kafka import KafkaClient, dead_letter_headers
from revocation.settings import AuthoritySettings
from revocation.topics import PULSE_KEY

_log = structlog.get_logger()


class _Held(NamedTuple):
    """A record taken, and where it was sent on to or parked, for the next update."""

    event: EventT[bytes]
    deliveries: list[Delivery]


class Authority(faust.App):
    """A worker of the authority."""

    has_joined = False
    """Whether it has been a member of its group."""

    _pulses = 0

    def __init__(self, settings: AuthoritySettings) -> None:
        super().__init__(**_faust_options(settings))
        self._settings = settings
        self._outlet = Outlet(settings)
        self._in_order = InOrder()
        self._held: defaultdict[int, list[_Held]] = defaultdict(list)
        self._owned: set[int] = set()
        self._emitted: dict[int, Offset] = {}
        self._latest: dict[int, int] = {}
        self._alone_until: dict[int, Offset | None] = {}
        raw: dict[str, Any] = {
            "key_type": bytes,
            "value_type": bytes,
            "key_serializer": "raw",
            "value_serializer": "raw",
            "partitions": settings.partitions,
            "allow_empty": True,
        }
        changelog = self.topic(
            settings.topics.entries, acks=False, internal=True, **raw
        )
        table = self.Table(
            "ledger",
            key_type=bytes,
            value_type=bytes,
            partitions=settings.partitions,
            changelog_topic=changelog,
        )
        self._ledger = cast("LedgerTable", table)
        self._refresher = Refresher(
            self._ledger,
            self._emit_again,
            period_seconds=settings.refresh_period_seconds,
            relevance_ms=settings.relevance_ms,
        )
        self.agent(self.topic(settings.topics.events, **raw), name="conclude")(
            self._consume
        )
        self.on_partitions_assigned.connect(self._assigned, weak=False)
        self.on_partitions_revoked.connect(self._revoked, weak=False)

    def _new_transport(self) -> Any:
        transport = cast("Any", super()._new_transport())
        transport.Consumer = SeekingConsumer
        return transport

    async def on_start(self) -> None:
        """Open the way out before anything is consumed."""
        await super().on_start()
        await self._outlet.start()

    async def on_shutdown(self) -> None:
        """Flush and close the way out after everything else has stopped."""
        await super().on_shutdown()
        await self._outlet.stop()

    async def _assigned(self, *arguments: Any, **_: Any) -> None:
        _, assigned = arguments
        topic = self._settings.topics.events
        self._owned = {tp.partition for tp in assigned if tp.topic == topic}
        self.has_joined = True

    async def _revoked(self, *arguments: Any, **_: Any) -> None:
        _, revoked = arguments
        partitions = {tp.partition for tp in revoked}
        self._owned -= partitions
        self._in_order.drop(partitions)
        for partition in partitions:
            self._held.pop(partition, None)
            self._emitted.pop(partition, None)
            self._latest.pop(partition, None)
            self._alone_until.pop(partition, None)

    # For whoever watches it, from any thread -----------------------------------------

    @property
    def owned(self) -> frozenset[int]:
        """The partitions that it concludes on."""
        return frozenset(self._owned)

    @property
    def turns(self) -> dict[str, int]:
        """How often each of its loops has gone round."""
        return {"pulses": self._pulses, "refresh": self._refresher.turns}

    @property
    def recovered(self) -> tuple[int, ...]:
        """How far its table is read back: grows before it concludes on anything."""
        # Faust makes what is missing when it is asked for, and not from any thread.
        recovery = cast("Any", self.tables)._recovery  # noqa: SLF001
        return () if recovery is None else tuple(dict(recovery.active_offsets).values())

    @property
    def clients(self) -> dict[str, KafkaClient]:
        """Its clients of Kafka that were started."""
        consumer = cast("SeekingConsumer | None", self._consumer)
        clients = {
            "consumer": consumer and consumer.client,
            "producer": self._outlet.client,
        }
        return {kind: client for kind, client in clients.items() if client is not None}

    # ---------------------------------------------------------------------------------

    @Service.task
    async def _pulse(self) -> None:
        while not self.should_stop:
            await self.sleep(self._settings.pulse_interval_ms / 1_000)
            self._pulses += 1
            for partition in sorted(self._owned):
                await self._outlet.pulse(partition)

    @Service.task
    async def _refresh(self) -> None:
        await self._refresher.run(lambda: self._owned & self._emitted.keys())

    async def _emit_again(self, entry: Entry) -> None:
        """Emit a standing entry, unless its own update is still to come.

        Its place, said before that, would claim records that were not emitted yet.
        """
        if entry.source.offset <= self._emitted.get(entry.source.partition, -1):
            delivery = await self._outlet.standing(entry)
            delivery.add_done_callback(partial(self._note, entry.source.partition))

    async def _consume(self, stream: faust.StreamT[bytes]) -> None:
        # Acknowledged by `InOrder`, not when the loop body ends.
        async for event in cast("Any", stream).noack().events():
            self._miss_none(event.message)
            await self._take(event)

    def _miss_none(self, message: Any) -> None:
        """End the process if a record was fetched before this one, but never came.

        Nothing behind it was acknowledged, so whoever takes the partition next reads it
        again.
        """
        latest = self._latest.get(message.partition, -1)
        if latest < message.follows < message.offset:
            missed = f"{message.partition}@{message.follows}"
            give_up("a record was fetched and not taken", LookupError(missed))
        self._latest[message.partition] = message.offset

    async def _take(self, event: EventT[bytes]) -> None:
        message = event.message
        time = UnixMs(round(message.timestamp * 1_000))
        at = Position(message.partition, Offset(message.offset), time)
        self._refresher.log_time_ms = max(self._refresher.log_time_ms, time)
        if message.key == PULSE_KEY:
            await self._forward_pulse(event, at)
            return
        headers = cast("list[tuple[str, bytes]]", message.headers or [])
        record = Record(message.key, message.value, headers, at)
        try:
            conclusion = conclude(
                record,
                partial(self._recall, at.partition),
                self._settings.limits,
                self._settings.partitions,
            )
        except ContractError as error:
            await self._park(event, record, error)
        except Exception as error:  # noqa: BLE001 - no record may stop the others
            # Not the message, which may quote what the record is about.
            where = traceback.format_tb(error.__traceback__)
            kind = type(error).__name__
            _log.error("conclusion failed", receipt=at.receipt, kind=kind, where=where)
            await self._park(event, record, RevocationError(type(error).__name__))
        else:
            await self._carry_out(event, record, conclusion)

    def _recall(self, partition: int, target: Target) -> Entry | None:
        try:
            return self._ledger.recall(partition, target)
        except Exception as error:  # noqa: BLE001 - a broken disk is not a bad record
            give_up("the ledger cannot be read", error)

    async def _carry_out(
        self, event: EventT[bytes], record: Record, conclusion: Conclusion
    ) -> None:
        _count(conclusion)
        at = record.at
        sent_on = [
            await self._outlet.event(*reroute) for reroute in conclusion.reroutes
        ]
        for entry in conclusion.changed:
            self._ledger.remember(at.partition, entry)  # 1.
        self._held[at.partition].append(_Held(event, sent_on))
        if conclusion.entries:
            await self._emit(Update(at, conclusion.entries))

    async def _emit(self, update: Update) -> Delivery:
        """Send an update that also answers for the records held before it.

        Waits until those are acknowledged where they were sent on to or parked: an
        update says "all before me is here, or in the places that I name".
        """
        partition = update.source.partition
        held = self._held.pop(partition, ())
        places: dict[int, Offset] = {}
        for each in held:
            for metadata in await asyncio.gather(*each.deliveries):
                if metadata.topic == self._settings.topics.events:
                    places[metadata.partition] = metadata.offset
        update = replace(update, rerouted=tuple(places.items()))
        delivery = await self._outlet.update(update)  # 2.
        delivery.add_done_callback(partial(self._note, partition))
        self._emitted[partition] = update.source.offset
        for each in held:
            self._in_order.take(partition, each.event.ack, [delivery])  # 3.
        return delivery

    async def _forward_pulse(self, event: EventT[bytes], at: Position) -> None:
        self._held[at.partition].append(_Held(event, []))
        delivery = await self._emit(Update(at))
        delivery.add_done_callback(partial(self._note_reached, at.partition))

    def _note(self, partition: int, delivery: Delivery) -> None:
        """Know up to where nobody else has written to the partition of entries.

        A worker that was paused may write here again before it learns that another took
        over meanwhile; its table then lacks what that one wrote.
        """
        if partition not in self._owned:
            return
        offset = Offset(delivery.result().offset)
        if partition not in self._alone_until:
            self._alone_until[partition] = self._ledger.holds_until(partition)
        before = self._alone_until[partition]
        follows = before is not None and offset == before + 1
        self._alone_until[partition] = offset if follows else None

    def _note_reached(self, partition: int, _: Delivery) -> None:
        """Bound what a restart reads again, at the pace of pulses."""
        reached = self._alone_until.get(partition)
        if reached is not None:
            self._ledger.reached(partition, reached)

    async def _park(
        self, event: EventT[bytes], record: Record, error: RevocationError
    ) -> None:
        at = record.at
        headers = dead_letter_headers(error, self._settings.topics.events, at)
        delivery = await self._outlet.dead_letter(
            at.partition, record.key, record.value, [*record.headers, *headers]
        )
        metrics.DEAD_LETTERS.labels(error.code).inc()
        _log.error("dead letter", receipt=at.receipt, code=error.code)
        self._held[at.partition].append(_Held(event, [delivery]))


def _count(conclusion: Conclusion) -> None:
    for result, times in conclusion.results.items():
        metrics.EVENTS.labels(conclusion.event_type, result).inc(times)
    if conclusion.clamped:
        metrics.CLAMPED.inc(conclusion.clamped)
    if conclusion.reroutes:
        metrics.REROUTED.inc(len(conclusion.reroutes))


def _faust_options(settings: AuthoritySettings) -> dict[str, Any]:
    """Return Faust's settings; those not named keep Faust's defaults.

    Static membership, a short session and a RocksDB table that survives the process:
    a killed worker is back in about two seconds. Faust's own session lasts 60 s.
    """
    session = settings.session_timeout_ms / 1_000
    return {
        "id": settings.authority_id,
        "broker": [f"kafka://{each}" for each in _servers(settings)],
        "Table": LedgerTable,
        "store": "rocksdb://?driver=rocksdict",
        "datadir": settings.data_dir,
        "topic_partitions": settings.partitions,
        "topic_replication_factor": settings.replication_factor,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "consumer_auto_offset_reset": "earliest",
        "consumer_group_instance_id": settings.instance_id,
        "broker_session_timeout": session,
        "broker_heartbeat_interval": settings.heartbeat_interval_ms / 1_000,
        "broker_request_timeout": max(30.0, session),
        "broker_commit_interval": 1.0,
        "stream_wait_empty": False,
        "web_enabled": False,
    }


def _servers(settings: AuthoritySettings) -> list[str]:
    return settings.bootstrap_servers.split(",")
