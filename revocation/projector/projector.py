"""The projector of one region.

The commit protocol; comments in the code mark the steps by number:

1. Read a batch of updates.
2. Write its entries, the replicas' feed and the marks of its partitions in one call.
3. Only then read the next batch.

The store holds the marks beside the entries, so the two cannot disagree. A store that
was flushed, failed over or went back in time refuses the write, and the projector
continues from what the store does hold.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from revocation import metrics
from revocation.clock import now_ms
from revocation.entries import Entry, Offset, Position
from revocation.errors import (
    MalformedUpdateError,
    StoreColdError,
    StoreError,
    StoreMovedBackError,
)
from revocation.identity import require_authority
from revocation.kafka.clients import (
    FAILURES,
    KafkaClient,
    dead_letter_headers,
    dead_letter_value,
    new_consumer,
    new_producer,
)
from revocation.projector.epoch import Epochs
from revocation.projector.progress import Progress
from revocation.settings import ProjectorSettings
from revocation.store.contract import Batch, Mark, Store
from revocation.updates import Update, decode_update

_log = structlog.get_logger()

_MAX_RECORDS: Final = 2_000
_POLL_MS: Final = 500
_LOG_EVERY_MS: Final = 1_000
_RECENT_MS: Final = 2_000
_MIN_BACKOFF_SECONDS: Final = 0.05
_MAX_BACKOFF_SECONDS: Final = 2.0

Records = Mapping[TopicPartition, list[Any]]


class Projector(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Maintains one region's store; several may share the work or do it in parallel."""

    def __init__(
        self,
        settings: ProjectorSettings,
        store: Store,
        *,
        cluster_id: str | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._identity = settings.identity(cluster_id)
        self._epochs = Epochs(
            store,
            self._identity,
            rebuilds=settings.on_changed_settings == "rebuild",
        )
        self._topic = settings.topics.entries
        self._epoch = ""
        self._progress: dict[int, Progress] = {}
        self._written: dict[int, Mark] = {}
        self._resuming = False
        self._logged_ms = 0.0
        self._gaps: set[tuple[int, Offset]] = set()
        self._task: asyncio.Task[None] | None = None
        self.clients: dict[str, KafkaClient] = {}
        self.has_joined = False

    async def start(self) -> None:
        """Check the store, join the region's group and begin to project.

        Raises:
            StoreUnsuitableError: the store would lose revocations.
            StoreUnavailableError: the store cannot be reached.
            DisagreementError: the store has another owner or other settings.
        """
        settings = self._settings
        await self._store.start()
        await self._store.check_suitable()
        # Before it joins the group, where it would take partitions from working
        # members.
        await self._epochs.open()
        group_id = settings.group_id
        self._producer = new_producer(settings, client_id=group_id)
        self._consumer: AIOKafkaConsumer = new_consumer(
            settings,
            client_id=group_id,
            group_id=group_id,
            group_instance_id=settings.instance_id,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            # A store that is down for long is no reason to give partitions away.
            max_poll_interval_ms=24 * 3_600_000,
        )
        self._consumer.subscribe([self._topic], listener=self)
        self.clients = {"consumer": self._consumer, "producer": self._producer}
        await self._producer.start()
        await self._consumer.start()
        self._task = asyncio.create_task(self._run(), name="project")

    async def stop(self) -> None:
        """Stop; may be called twice. What was read but not written is read again."""
        task, self._task = self._task, None
        if task is None:
            return
        self.clients = {}
        task.cancel()
        await asyncio.wait({task})  # `wait` raises its failure, if any
        await self._consumer.stop()
        await self._producer.stop()
        await self._store.stop()

    async def wait(self) -> None:
        """Wait until the projector fails.

        Raises:
            Exception: the failure, after which the projector did nothing more.
        """
        if self._task is not None:
            await self._task

    @property
    def owned(self) -> frozenset[int]:
        """The partitions that it believes to be assigned to it; from any thread.

        For the watchdog, like `clients` and `held_back`.
        """
        consumer = self.clients.get("consumer")
        places = () if consumer is None else consumer.assignment()
        return frozenset(place.partition for place in places)

    @property
    def held_back(self) -> dict[int, Offset]:
        """The read offsets of partitions whose claims wait for other partitions."""
        progress = dict(self._progress)
        return {at: each.next_read for at, each in progress.items() if each.waiting}

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        """Drop partitions that another member now serves and measures."""
        for tp in revoked:
            self._progress.pop(tp.partition, None)
            for gauge in (metrics.WATERMARK, metrics.LAG):
                gauge.remove(self._settings.region, str(tp.partition))

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """Let the loop seek next: an unreachable store must not block the group."""
        for tp in assigned:
            self._progress.pop(tp.partition, None)
        self._resuming = self.has_joined = True

    async def _run(self) -> None:
        while True:
            if self._resuming:
                await self._retry(self._resume)
            records = await self._consumer.getmany(  # 1.
                timeout_ms=_POLL_MS, max_records=_MAX_RECORDS
            )
            if records and not self._resuming:
                await self._project(records)
                self._observe(records)

    async def _project(self, records: Records) -> None:
        entries: list[Entry] = []
        for tp, batch in records.items():
            progress = self._progress.get(tp.partition)
            if progress is None:
                continue
            gap = (tp.partition, progress.next_read)
            if batch[0].offset > progress.next_read and gap not in self._gaps:
                # The log was truncated meanwhile, or really has a gap: seek once to
                # find out.
                _log.error("records are missing", partition=gap[0], offset=gap[1])
                self._gaps.add(gap)
                self._resuming = True
                return
            latest: Update | None = None
            for record in batch:
                following = Offset(record.offset + 1)
                try:
                    update = decode_update(record.value or b"", tp.partition)
                except MalformedUpdateError as error:
                    await self._retry(partial(self._park, record, error))
                    progress.skip(following)
                else:
                    latest = update if update.stated else latest
                    entries.extend(update.entries)
                    progress.read(following, update)
            self._compare(latest)
        await self._settle()
        await self._retry(lambda: self._write(entries))

    def _compare(self, pulse: Update | None) -> None:
        """Compare settings with a running authority; old statements do not count."""
        if pulse is None or pulse.stated is None:
            return
        if pulse.source.time >= now_ms() - _RECENT_MS:
            require_authority(pulse.stated, self._identity)

    async def _settle(self) -> None:
        """Claim what waited for other partitions, our own or another member's."""
        waiting = [each for each in self._progress.values() if each.waiting]
        if not waiting:
            return
        with contextlib.suppress(StoreError):
            marks = dict((await self._store.region()).marks)
            marks |= {at: each.mark for at, each in self._progress.items()}
            for each in waiting:
                each.settle(marks)

    async def _write(self, entries: list[Entry]) -> None:
        moved = {
            at: progress.mark
            for at, progress in self._progress.items()
            if progress.mark != self._written.get(at)
        }
        expected = {
            at: self._written[at].next_offset for at in moved if at in self._written
        }
        try:
            await self._store.apply(self._epoch, Batch(entries, moved, expected))  # 2.
        except (StoreColdError, StoreMovedBackError) as error:
            _log.warning("store lost its place", code=error.code, error=str(error))
            self._resuming = True  # 3.
        else:
            self._written.update(moved)
            metrics.APPLIED.labels(self._settings.region).inc(len(entries))

    async def _retry(self, action: Callable[[], Awaitable[None]]) -> None:
        """Retry with backoff and jitter while store or broker is down; never skip."""
        delay = _MIN_BACKOFF_SECONDS
        while True:
            try:
                return await action()
            except StoreError as error:
                if not error.retriable:
                    raise
                region, code = self._settings.region, error.code
                metrics.STORE_RETRIES.labels(region, code).inc()
                _log.warning(
                    "store refused, retrying", outage="store", error=str(error)
                )
            except FAILURES as error:
                _log.warning(
                    "kafka does not answer, retrying",
                    outage="kafka",
                    error=repr(error),
                )
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
            delay = min(delay * 2, _MAX_BACKOFF_SECONDS)

    async def _resume(self) -> None:
        """Seek each partition to the store's mark, or to the beginning of the log.

        The log's retention is no longer than a rebuild needs. Starting at a point in
        time would miss standing entries that an authority could not refresh while it
        was down.
        """
        self._resuming = False
        assigned = list(self._consumer.assignment())
        first = await self._consumer.beginning_offsets(assigned)
        end = await self._consumer.end_offsets(assigned)
        region = await self._epochs.open()
        lost = [
            tp.partition
            for tp in assigned
            if tp.partition in region.marks
            and not first[tp] <= region.marks[tp.partition].next_offset <= end[tp]
        ]
        if lost:
            _log.error("the log no longer holds what the store needs", partitions=lost)
            region = await self._epochs.reopen(region)
        self._epoch = region.epoch or ""
        self._written.clear()
        for tp in assigned:
            mark = region.marks.get(tp.partition)
            if mark is None:
                mark = Mark.at(Offset(first[tp]))
                metrics.REBUILDS.labels(self._settings.region).inc()
                _log.info("rebuilding", partition=tp.partition, until=end[tp])
            else:
                self._written[tp.partition] = mark
            self._consumer.seek(tp, mark.next_offset)  # raises if revoked meanwhile
            self._progress[tp.partition] = Progress(mark, rebuilt_at=end[tp])

    async def _park(self, record: Any, error: MalformedUpdateError) -> None:
        at = Position(record.partition, Offset(record.offset), record.timestamp)
        headers = dead_letter_headers(error, self._topic, at)
        await self._producer.send_and_wait(
            self._settings.topics.dead_letters,
            dead_letter_value(record.key, record.value),
            key=record.key,
            partition=record.partition,
            headers=[*record.headers, *headers],
        )
        metrics.DEAD_LETTERS.labels(error.code).inc()
        _log.error("dead letter", receipt=at.receipt, code=error.code)

    def _observe(self, records: Records) -> None:
        region, now = self._settings.region, now_ms()
        for tp in records:
            progress = self._progress.get(tp.partition)
            if progress is None:
                continue
            mark, label = progress.mark, str(tp.partition)
            metrics.WATERMARK.labels(region, label).set(mark.as_of / 1_000)
            end = self._consumer.highwater(tp) or mark.next_offset
            metrics.LAG.labels(region, label).set(end - mark.next_offset)
            if mark.rebuilt:
                delay = max(0.0, now - mark.as_of) / 1_000
                metrics.PROPAGATION.labels(region).observe(delay)
            elif now - self._logged_ms > _LOG_EVERY_MS:
                self._logged_ms = now
                place = {"offset": mark.next_offset, "until": end}
                _log.info("rebuilding", partition=tp.partition, **place)
