"""Faust's consumer, changed to seek before it reads and to link its messages.

After recovery, Faust 0.15.3 starts to fetch the streams' partitions, then seeks them to
the committed offsets, one after the other, and then empties the streams' buffers.
Records fetched in between and not yet taken are lost: nothing seeks back to them.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from faust.types import TP

_RECHECK_SECONDS: Final = 0.1


class SeekingConsumer(Consumer):
    """Resumes partitions only when the flow resumes: after the seek.

    Each message has `follows`: the offset of the previous message from the same
    partition, or -1 if it is the first since the last seek. The log itself may have
    gaps; this chain has none.
    """

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def client(self) -> AIOKafkaConsumer | None:
        """The consumer in Faust's thread; None before it starts."""
        return self._thread._consumer  # noqa: SLF001 - Faust has no public way

    def _reset_state(self) -> None:
        super()._reset_state()
        self._active_partitions = _ActivePartitions()
        self._to_resume: frozenset[TP] = frozenset()
        self._latest: dict[TP, int] = {}

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """Stop fetching from partitions."""
        paused = frozenset(tps)
        self._to_resume -= paused
        super().pause_partitions(paused)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch from partitions once the flow resumes."""
        self._to_resume |= frozenset(tps)

    def resume_flow(self) -> None:
        """Resume the flow, with the marked partitions that are still assigned."""
        to_resume, self._to_resume = self._to_resume, frozenset()
        if to_resume:
            super().resume_partitions(to_resume & self.assignment())
        super().resume_flow()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to the committed offsets, or past what is known to be concluded.

        A new group thus does not replay the past, which would forward events and park
        bad records again. Where nothing is known, seek to the beginning.
        """
        self._latest.clear()
        offsets = dict(await super().seek_to_committed())
        concluded = cast("Any", self.app).concluded
        fresh, behind = [], {}
        for tp, committed in offsets.items():
            if self._is_changelog_tp(tp):
                continue
            following = concluded(tp.partition) + 1
            if following > (committed or 0):
                behind[tp] = following
            elif not committed:
                fresh.append(tp)
        if fresh:  # aiokafka leaves these where they are
            await self._thread.seek_to_beginning(*fresh)
        if behind:
            await self._thread.seek_wait(behind)
        return offsets | behind

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - Faust's name for it
    ) -> Any:
        # A waiting fetch does not notice partitions that resume meanwhile.
        if self.app.rebalancing:
            timeout = min(timeout, _RECHECK_SECONDS)
        return await super()._getmany(active_partitions, timeout)

    def _to_message(self, tp: TP, record: Any) -> Any:
        message: Any = super()._to_message(tp, record)
        message.follows = self._latest.get(tp, -1)
        self._latest[tp] = message.offset
        return message


class _ConsumerThread(AIOKafkaConsumerThread):
    def on_crash(self, msg: str, *fmt: Any, **_: Any) -> None:
        """Log what ends the thread; Faust would print it to stderr."""
        self.log.error("%s", msg.format(*fmt), exc_info=sys.exc_info())


class _ActivePartitions(set[TP]):
    """The partitions to fetch from; truthy even when empty.

    aiokafka takes a falsy value as "all", also when it becomes empty during a fetch.
    """

    def __bool__(self) -> bool:
        return True
