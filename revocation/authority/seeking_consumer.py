"""Faust's consumer, made to seek before it reads, and to say what it has read.

Once tables are recovered, Faust 0.15.3 has streams' partitions fetched, then seeks them
to what was committed, one after the other, and then empties the streams' buffers. What
is fetched in between and not taken yet is lost: nothing seeks back to it.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from faust.types import TP

_LOOK_AGAIN_SECONDS: Final = 0.1


class SeekingConsumer(Consumer):
    """Fetches from partitions that are to be resumed when flow is: after the seek.

    Each message has `follows`: the offset of the message made before it from the same
    partition, or -1 if there was none since the last seek. The log itself may have
    holes; this chain has none.
    """

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def client(self) -> AIOKafkaConsumer | None:
        """The consumer in Faust's thread, once there is one."""
        return self._thread._consumer  # noqa: SLF001 - Faust does not show it

    def _reset_state(self) -> None:
        super()._reset_state()
        self._active_partitions = _Chosen()
        self._to_resume: frozenset[TP] = frozenset()
        self._latest: dict[TP, int] = {}

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """Stop fetching from partitions."""
        paused = frozenset(tps)
        self._to_resume -= paused
        super().pause_partitions(paused)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Have partitions fetched from when flow is resumed."""
        self._to_resume |= frozenset(tps)

    def resume_flow(self) -> None:
        """Fetch, also from the partitions to be resumed that are still assigned."""
        to_resume, self._to_resume = self._to_resume, frozenset()
        if to_resume:
            super().resume_partitions(to_resume & self.assignment())
        super().resume_flow()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to what was committed, but behind what is known to be concluded.

        So a new group does not replay the past: it would send events on and park bad
        records once more. Where nothing is known, seek to the beginning.
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
        # A fetch that waits is not told of partitions that are resumed meanwhile.
        if self.app.rebalancing:
            timeout = min(timeout, _LOOK_AGAIN_SECONDS)
        return await super()._getmany(active_partitions, timeout)

    def _to_message(self, tp: TP, record: Any) -> Any:
        message: Any = super()._to_message(tp, record)
        message.follows = self._latest.get(tp, -1)
        self._latest[tp] = message.offset
        return message


class _ConsumerThread(AIOKafkaConsumerThread):
    def on_crash(self, msg: str, *fmt: Any, **_: Any) -> None:
        """Log what ends the thread; by itself it would print it."""
        self.log.error("%s", msg.format(*fmt), exc_info=sys.exc_info())


class _Chosen(set[TP]):
    """The partitions to fetch from; none of them, when empty.

    aiokafka takes what is falsy for "all", also when it becomes so during a fetch.
    """

    def __bool__(self) -> bool:
        return True
