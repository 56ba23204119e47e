"""Follows a region anew when its replica learns nothing although there is something.

The store is asked over another connection, and only when the replica has been still for
a while: pulses come several times a second. While the store does not answer, or knows
nothing newer either, nothing is wrong with the feed.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from revocation import metrics
from revocation.background import Background
from revocation.errors import StoreError
from revocation.store.contract import FeedReader
from revocation.verifier.replica_feed import Feed
from revocation.watchdog import ProgressExpectation, StallWatch

_log = structlog.get_logger()

_LOOK_SECONDS: Final = 1.0
_STILL_SECONDS: Final = 3.0
_STALL_SECONDS: Final = 5.0
_SILENT_SECONDS: Final = 10.0


class FeedWatch:
    """Watches a feed, from `start` to `stop`.

    `complaint` says what is wrong, until the replica moves on. `looks` grows about once
    a second, for as long as the event loop lives.
    """

    def __init__(self, feed: Feed, new_reader: Callable[[], FeedReader]) -> None:
        """Prepare; `new_reader` connects apart from the feed."""
        self._feed = feed
        self._new_reader = new_reader
        self._watch = StallWatch()
        self._reader: FeedReader | None = None
        self._known = feed.learnt
        self._moved_at = 0.0
        self._background = Background(
            "feed watch", self._run, silent_seconds=_SILENT_SECONDS
        )
        self.complaint = ""
        self.looks = 0

    async def start(self) -> None:
        """Watch from now on."""
        self._moved_at = time.monotonic()
        self._background.start()

    async def stop(self) -> None:
        """Watch no longer; may be called twice."""
        await self._background.stop()
        await self._disconnect()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._background.beat()
            self.looks += 1
            await self._look(time.monotonic())

    async def _look(self, now: float) -> None:
        feed = self._feed
        if feed.has_ended:
            await self._follow_anew("feed: its task ended")
            return
        learnt = feed.learnt
        if learnt != self._known:
            self._known, self._moved_at, self.complaint = learnt, now, ""
            await self._disconnect()
        is_still = not feed.is_resting and now - self._moved_at > _STILL_SECONDS
        is_due = is_still and await self._is_behind()
        expected = ProgressExpectation("feed", learnt, is_due, _STALL_SECONDS)
        if stall := self._watch.check(now, [expected]):
            await self._follow_anew(str(stall))
            self._watch.reset(time.monotonic())

    async def _is_behind(self) -> bool:
        """Ask the store whether it knows anything that the replica does not."""
        if self._reader is None:
            self._reader = self._new_reader()
        try:
            head = await self._reader.head()
        except StoreError:
            return False
        return head.freshness.ready and head.freshness != self._feed.replica.freshness

    async def _follow_anew(self, complaint: str) -> None:
        self.complaint = complaint
        metrics.STALLS.labels("feed").inc()
        _log.error("following anew", cause=complaint)
        await self._feed.restart()

    async def _disconnect(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.stop()
