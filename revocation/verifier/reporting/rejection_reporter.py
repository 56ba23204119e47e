"""Reports uses of revoked tokens to Kafka; a check never waits for it.

A check only appends to a queue; two tasks do the rest. One samples the queue, the other
connects to Kafka, retrying as long as necessary, and sends. On any failure rejections
are dropped and counted; verdicts are not affected.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer

from revocation import metrics
from revocation.background import Background
from revocation.clock import now_ms
from revocation.decision import Verdict
from revocation.entries import UnixMs
from revocation.errors import TopicError
from revocation.events import CONTENT_TYPE
from revocation.events.rejections import TokenRejected, encode
from revocation.kafka.clients import FAILURES, discard_producer, new_telemetry_producer
from revocation.lifecycle import Lifecycle
from revocation.settings import KafkaSettings
from revocation.store.layout import digest
from revocation.verifier.reporting.rejection_sampling import Rejection, Sample, Sampler

_AT_ONCE: Final = 64
"""How many rejections are sampled before yielding to other tasks."""

_FIRST_RETRY_SECONDS: Final = 0.5
_LAST_RETRY_SECONDS: Final = 30.0
_FLUSH_SECONDS: Final = 1.0
_UNACKNOWLEDGED_SECONDS: Final = 10.0
_SILENT_SECONDS: Final = 30.0

_NO_ROOM: Final = metrics.REJECTIONS_DROPPED.labels("no_room")
_UNSENT: Final = metrics.REJECTIONS_DROPPED.labels("not_acknowledged")
_STOPPED: Final = metrics.REJECTIONS_DROPPED.labels("stopped")

_log = structlog.get_logger()


class RejectionReporter(Lifecycle):
    """Reports rejections as events on the topic of rejections, sampled and bounded.

    An async context manager. Starting never fails and never waits for Kafka.
    """

    def __init__(  # noqa: PLR0913 - each has a safe default or must be given
        self,
        kafka: KafkaSettings,
        *,
        region: str,
        instance: str,
        pepper: bytes,
        per_second: int = 100,
        repeat_seconds: float = 60.0,
        queue_limit: int = 4_096,
        target_limit: int = 10_000,
        interval_seconds: float = 0.1,
        producer: Callable[..., AIOKafkaProducer] = new_telemetry_producer,
    ) -> None:
        """Prepare.

        Args:
            kafka: where Kafka is.
            region: the verifier's region.
            instance: distinguishes the region's verifiers; must name no person.
            pepper: the region's first, so that digests match its store's.
            per_second: the maximum number of events per second.
            repeat_seconds: the minimum time between two events about a target.
            queue_limit: how many rejections may wait to be sampled.
            target_limit: how many targets are remembered.
            interval_seconds: how long a rejection may wait to be sampled.
            producer: creates the producer, given `kafka` and `client_id`.
        """
        self._kafka = kafka
        self._topic = kafka.topics.rejections
        self._region = region
        self._source = f"{region}/{instance}"
        self._pepper = pepper
        self._interval = interval_seconds
        self._limit = queue_limit
        self._waiting: deque[tuple[Verdict, str, int]] = deque()
        self._sampler = Sampler(
            repeat_ms=round(repeat_seconds * 1_000),
            per_second=per_second,
            targets=target_limit,
        )
        self._new_producer = producer
        self._producer: AIOKafkaProducer | None = None
        self._sampling = Background(
            "rejections sampled", self._take_all, silent_seconds=_SILENT_SECONDS
        )
        self._sending = Background(
            "rejections told", self._send_all, silent_seconds=_SILENT_SECONDS
        )
        self._unacknowledged_since: float | None = None

    def report(self, verdict: Verdict, *, route: str) -> None:
        """Queue a verdict in which an entry rejects; from any thread.

        Takes less than a microsecond, never waits and never raises. If the queue is
        full, the rejection is counted as dropped.
        """
        if len(self._waiting) < self._limit:
            self._waiting.append((verdict, route, time.time_ns()))
        else:
            _NO_ROOM.inc()

    async def start(self) -> None:
        """Begin to sample and to connect."""
        self._sampling.start()
        self._sending.start()

    async def stop(self) -> None:
        """Send what is due, disconnect, and count the rest; may be called twice."""
        await self._sampling.stop()
        await self._sending.stop()
        while self._waiting:
            self._take()
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._send(producer)
            await discard_producer(producer)
        _STOPPED.inc(self._sampler.forget())

    # Sampling ------------------------------------------------------------------------

    async def _take_all(self) -> None:
        while True:
            self._sampling.beat()
            while self._waiting:
                self._take()
                await asyncio.sleep(0)
            await asyncio.sleep(self._interval)

    def _take(self) -> None:
        """Sample part of the queue."""
        for _ in range(min(_AT_ONCE, len(self._waiting))):
            verdict, route, at = self._waiting.popleft()
            if verdict.entry is None:
                continue
            seen_at = UnixMs(at // 1_000_000)
            rejection = Rejection(verdict.entry.target, verdict, route, seen_at)
            if not self._sampler.add(rejection):
                _NO_ROOM.inc()

    # Sending -------------------------------------------------------------------------

    async def _send_all(self) -> None:
        while True:
            await self._disconnect()
            producer = self._producer = await self._connected()
            while not self._is_unacknowledged():
                self._sending.beat()
                await self._send(producer)
                await asyncio.sleep(self._interval)
            _log.warning("rejections are not acknowledged, reconnecting")

    def _is_unacknowledged(self) -> bool:
        """Return whether Kafka has acknowledged nothing for too long."""
        since = self._unacknowledged_since
        return since is not None and time.monotonic() - since > _UNACKNOWLEDGED_SECONDS

    async def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        self._unacknowledged_since = None
        if producer is not None:
            await discard_producer(producer)

    async def _connected(self) -> AIOKafkaProducer:
        delay = _FIRST_RETRY_SECONDS
        while True:
            try:
                return await self._connect()
            except (*FAILURES, TopicError) as error:
                _log.warning(
                    "rejections cannot be reported",
                    outage="kafka",
                    error=repr(error),
                    retry_seconds=delay,
                )
            self._sending.beat(pause_seconds=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LAST_RETRY_SECONDS)

    async def _connect(self) -> AIOKafkaProducer:
        producer = self._new_producer(self._kafka, client_id="revocation-verifier")
        try:
            await producer.start()
            await self._require_topic(producer)
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def _require_topic(self, producer: AIOKafkaProducer) -> None:
        """Check once: with a missing topic aiokafka would wait on every send."""
        await producer.client.set_topics([self._topic])
        if not producer.client.cluster.partitions_for_topic(self._topic):
            raise TopicError(
                f"topic {self._topic} does not exist; run `revocation topics init`"
            )

    async def _send(self, producer: AIOKafkaProducer) -> None:
        for sample in self._sampler.due(now_ms()):
            event = self._event(sample)
            if self._unacknowledged_since is None:
                self._unacknowledged_since = time.monotonic()
            try:
                delivery = await producer.send(
                    self._topic,
                    encode(event),
                    key=event.data.digest.encode(),
                    headers=[("content-type", CONTENT_TYPE.encode())],
                )
            except FAILURES:
                _UNSENT.inc(sample.count)
            except asyncio.CancelledError:
                _UNSENT.inc(sample.count)
                raise
            else:
                delivery.add_done_callback(partial(self._delivered, sample.count))

    def _delivered(self, count: int, delivery: "asyncio.Future[Any]") -> None:
        if delivery.cancelled() or delivery.exception() is not None:
            _UNSENT.inc(count)
        else:
            self._unacknowledged_since = None
            metrics.REJECTION_EVENTS.inc()

    def _event(self, sample: Sample) -> TokenRejected:
        target, verdict, route, last_seen = sample.latest
        return TokenRejected.report(
            self._source,
            last_seen=last_seen,
            digest=digest(target, self._pepper).hex(),
            kind=target.kind,
            reason=verdict.reason,
            receipt=verdict.receipt,
            route=route,
            region=self._region,
            count=sample.count,
            first_seen=sample.first_seen,
            as_of=verdict.as_of,
        )
