"""Restarts a feed whose replica stands still although the region has moved on.

The watch reads the store over another connection, and only when the replica has not
changed for a while: pulses come several times a second. If the store does not answer,
or has nothing newer either, the feed is healthy.
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

    `problem` says what is wrong, until the replica changes again. `looks` grows about
    once a second, as long as the event loop runs.
    """

    def __init__(self, feed: Feed, new_reader: Callable[[], FeedReader]) -> None:
        """Prepare; `new_reader` makes a reader with connections of its own."""
        self._feed = feed
        self._new_reader = new_reader
        self._watch = StallWatch()
        self._reader: FeedReader | None = None
        self._known = feed.learnt
        self._moved_at = 0.0
        self._background = Background(
            "feed watch", self._run, silent_seconds=_SILENT_SECONDS
        )
        self.problem = ""
        self.looks = 0

    async def start(self) -> None:
        """Begin to watch."""
        self._moved_at = time.monotonic()
        self._background.start()

    async def stop(self) -> None:
        """Stop watching; may be called twice."""
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
            await self._restart_feed("feed: its task ended")
            return
        learnt = feed.learnt
        if learnt != self._known:
            self._known, self._moved_at, self.problem = learnt, now, ""
            await self._disconnect()
        is_still = not feed.is_backing_off and now - self._moved_at > _STILL_SECONDS
        is_due = is_still and await self._is_behind()
        expected = ProgressExpectation("feed", learnt, is_due, _STALL_SECONDS)
        if stall := self._watch.check(now, [expected]):
            await self._restart_feed(str(stall))
            self._watch.reset(time.monotonic())

    async def _is_behind(self) -> bool:
        """Return whether the store has anything that the replica has not."""
        if self._reader is None:
            self._reader = self._new_reader()
        try:
            head = await self._reader.head()
        except StoreError:
            return False
        return head.freshness.ready and head.freshness != self._feed.replica.freshness

    async def _restart_feed(self, problem: str) -> None:
        self.problem = problem
        metrics.STALLS.labels("feed").inc()
        _log.error("restarting the feed", cause=problem)
        await self._feed.restart()

    async def _disconnect(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.stop()
