"""Maintains a replica: loads a snapshot of the region, then applies every change.

The protocol; comments in the code mark the steps by number:

1. Wait until the region is complete and has capacity, and record its feed's position.
2. Load every entry, reading the changes meanwhile: a page is newer than the changes
   before it, and the changes up to the feed's end after the last page are newer still.
3. Replace the replica in one assignment. Until then the old one answers, and its
   answers show its age.
4. Read change after change. Each names its predecessor; if that is not the last change
   read, something was missed, and the feed starts again at 1.

A slow or dead reader costs the region nothing, as the feed there is bounded. A thousand
readers that lose it together do not come back together: see `pacing.py`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from revocation import metrics
from revocation.background import end_task
from revocation.clock import find_clock_fault, now_ms
from revocation.decision import Freshness
from revocation.entries import UnixMs
from revocation.errors import (
    DisagreementError,
    ReplicaFullError,
    RevocationError,
    StoreColdError,
    StoreMovedBackError,
    StoreUnavailableError,
    StoreUnsuitableError,
)
from revocation.identity import Expectation
from revocation.store.contract import (
    START,
    Change,
    FeedHead,
    FeedReader,
    position_order,
)
from revocation.verifier.pacing import Backoff
from revocation.verifier.replica import Replica
from revocation.verifier.replica_agreement import Agreement
from revocation.verifier.snapshot_waiter import LoadProgress, SnapshotWaiter

_log = structlog.get_logger()

_WAIT_MS: Final = 500
_FIRST_BACKOFF_SECONDS: Final = 1.0
_LAST_BACKOFF_SECONDS: Final = 2.0
"""Short against the 5 s that writes tolerate: only the connection was lost."""

_LAST_LOAD_BACKOFF_SECONDS: Final = 30.0
"""Snapshots that fail repeatedly must not keep the region busy."""

_SETTLED_SECONDS: Final = 60.0
_PAGES_PER_READ: Final = 4
_EXPIRE_AT_ONCE: Final = 2_000
_MEASURE_SKEW_SECONDS: Final = 30.0


class Feed:
    """Follows one region, from `start` to `stop`.

    `replica` answers; it is consistent at any time, and not ready before the first
    snapshot or while the region's settings are not the ones that we need. `skew_ms` is
    the difference between the region's clock and ours. `is_backing_off` is true while
    it waits for the next attempt.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each bound
        self,
        reader: FeedReader,
        new_replica: Callable[[], Replica],
        *,
        region: str,
        max_entries: int,
        max_clock_skew_ms: int,
        expected: Expectation | None = None,
    ) -> None:
        """Prepare.

        Args:
            reader: the region.
            new_replica: makes an empty replica.
            region: its name, for metrics and logs.
            max_entries: the maximum, which bounds the memory used.
            max_clock_skew_ms: the maximum clock difference of a region to follow.
            expected: what the region must state about itself; None checks only its
                canaries.
        """
        self._reader = reader
        self._new_replica = new_replica
        self._region = region
        self._max_entries = max_entries
        self._max_clock_skew_ms = max_clock_skew_ms
        self._agreement = Agreement(region, expected)
        self._epoch: str | None = None
        self._position = ""
        self._head = FeedHead(None, Freshness(ready=False, as_of=UnixMs(0)), START)
        self._measured_at = float("-inf")
        self._admission = SnapshotWaiter(region, self._agreement, self._count_step)
        self._has_loaded = False
        # Kept across restarts: a region that is too large must not be loaded faster.
        self._reconnects = Backoff(_FIRST_BACKOFF_SECONDS, _LAST_BACKOFF_SECONDS)
        self._loads = Backoff(_FIRST_BACKOFF_SECONDS, _LAST_LOAD_BACKOFF_SECONDS)
        self._steps = 0
        self._task: asyncio.Task[None] | None = None
        self.skew_ms = 0
        self.is_backing_off = False
        self.replica = new_replica()
        self.progress = LoadProgress(0, 0)
        self.on_change: Callable[[Replica], None] = lambda _: None

    @property
    def disagreement(self) -> DisagreementError | None:
        """Why the replica would look entries up in the wrong place, if it would."""
        return self._agreement.disagreement

    @property
    def learnt(self) -> tuple[Freshness, int]:
        """Changes whenever the feed progresses, or has a good reason not to."""
        return self.replica.freshness, self._steps

    @property
    def has_ended(self) -> bool:
        """Whether the feed's task ended although it was not stopped."""
        return self._task is not None and self._task.done()

    def _count_step(self) -> None:
        self._steps += 1

    async def start(self) -> None:
        """Begin to follow; returns immediately."""
        if self._task is None:
            self._begin("start")

    async def restart(self) -> None:
        """Restart over another connection; the replica answers meanwhile."""
        await self.stop()
        self._reader, self._position = self._reader.another(), ""
        self._begin("stalled")

    async def stop(self) -> None:
        """Stop following and disconnect; the replica remains and ages."""
        task, self._task = self._task, None
        if task is not None:
            await end_task(task)
        await self._reader.stop()

    async def wait_ready(self) -> None:
        """Wait until the first snapshot is complete.

        Raises:
            DisagreementError: the region's settings are not the ones that we need.
        """
        await self._agreement.settled.wait()
        if self.disagreement is not None:
            raise self.disagreement

    def _begin(self, cause: str) -> None:
        self.is_backing_off, name = False, f"feed {self._region}"
        self._task = asyncio.create_task(self._run(cause), name=name)

    async def _run(self, cause: str) -> None:
        while True:
            began, self._has_loaded = time.monotonic(), False
            try:
                await self._follow(cause)
            except (StoreColdError, StoreMovedBackError) as error:
                self._position, cause = "", error.code
                self._steps += 1
                _log.warning("feed interrupted", region=self._region, error=str(error))
            except DisagreementError as error:
                # The old replica's answers prove nothing either.
                self._position, self.replica = "", self._new_replica()
                self._steps += 1
                self._agreement.note(error)
            except RevocationError as error:
                # An unreachable store is no progress: others may reach it.
                self._steps += not isinstance(error, StoreUnavailableError)
                metrics.FEED_RETRIES.labels(self._region, error.code).inc()
                _log.warning("feed lost", outage="store", error=str(error))
            except Exception:  # noqa: BLE001 - start over from a snapshot
                self._position = ""
                _log.exception("feed failed", region=self._region)
            if time.monotonic() - began > _SETTLED_SECONDS:
                self._reconnects.reset()
                self._loads.reset()
            backoff = self._loads if self._has_loaded else self._reconnects
            self.is_backing_off = True
            await asyncio.sleep(backoff.next())
            self.is_backing_off = False

    async def _follow(self, cause: str) -> None:
        await self._measure_skew()
        if not self._position:
            await self._load(cause)
        while True:
            self._expire()
            changes = await self._read(wait_ms=_WAIT_MS)  # 4.
            for change in changes:
                await self._apply(self.replica, change)
            if any(change.entries for change in changes):
                self._require_canary(self.replica)
                self.on_change(self.replica)
            if self._agreement.is_due:
                await self._admission.read_head(self._reader)
            if time.monotonic() - self._measured_at > _MEASURE_SKEW_SECONDS:
                await self._measure_skew()

    # Loading -------------------------------------------------------------------------

    async def _load(self, cause: str) -> None:
        head = await self._admission.wait(self._reader)  # 1.
        assert head.epoch is not None  # noqa: S101 - it is complete
        self._has_loaded = True
        self._epoch, self._position = head.epoch, head.position
        metrics.REPLICA_SNAPSHOTS.labels(self._region, cause).inc()
        replica = self._new_replica()
        began = time.monotonic()
        try:
            await self._load_pages(replica)  # 2.
            await self._catch_up(replica)
        except BaseException:
            self._position = ""
            raise
        self._require_canary(replica)
        self.replica = replica  # 3.
        self._agreement.note(None)
        self.on_change(replica)
        _log.info(
            "replica complete",
            region=self._region,
            entries=len(replica),
            seconds=round(time.monotonic() - began, 3),
        )

    async def _load_pages(self, replica: Replica) -> None:
        cursor, pages, run = "0", 0, None
        while True:
            page = await self._reader.page(cursor)
            self._expect_epoch(page.epoch)
            run = run or page.run
            if page.run != run:
                raise StoreMovedBackError(
                    f"another server now answers for {self._region}; reloading all"
                )
            replica.put(page.entries)
            self._refuse_too_many(replica)
            cursor, pages = page.cursor, pages + 1
            self._steps += 1
            loaded, is_last = len(replica), cursor == "0"
            total = loaded if is_last else max(page.keys, loaded)
            self.progress = LoadProgress(loaded, total)
            if is_last:
                return
            if pages % _PAGES_PER_READ == 0:
                for change in await self._read():
                    await self._apply(replica, change)

    async def _catch_up(self, replica: Replica) -> None:
        """Read the feed to its end, and adopt the freshness that belongs to it.

        Not the freshness from before the first page: that may come from another server,
        which knew more than the one that sent the pages.
        """
        while changes := await self._read():
            for change in changes:
                await self._apply(replica, change)
        replica.advance(self._head.freshness)

    def _require_canary(self, replica: Replica) -> None:
        self._agreement.require_canary(replica, self._epoch or "")

    # Following -----------------------------------------------------------------------

    async def _apply(self, replica: Replica, change: Change) -> None:
        self._expect_epoch(change.epoch)
        if change.after != self._position:
            raise StoreMovedBackError(
                f"the feed of {self._region} continues after {change.after!r}, but was "
                f"read up to {self._position}; reloading everything"
            )
        replica.put(change.entries)
        self._refuse_too_many(replica)
        replica.advance(change.freshness)
        self._position = change.position
        if change.entries:
            # Yield to other tasks: a record may hold a thousand entries.
            await asyncio.sleep(0)

    async def _read(self, *, wait_ms: int = 0) -> Sequence[Change]:
        """Return the next changes, or none if this is certainly the feed's end."""
        changes = await self._reader.changes(self._position, wait_ms=wait_ms)
        if changes or await self._is_at_end():
            return changes
        # Either a change was just added, or the next one was trimmed from the feed.
        changes = await self._reader.changes(self._position, wait_ms=0)
        if not changes:
            raise StoreMovedBackError(
                f"the feed of {self._region} has lost what follows {self._position}; "
                "reloading everything"
            )
        return changes

    async def _is_at_end(self) -> bool:
        """After a silence, check that this is still the feed that was read."""
        head = self._head = await self._admission.read_head(self._reader)
        self._expect_epoch(head.epoch)
        if position_order(head.position) < position_order(self._position):
            raise StoreMovedBackError(
                f"the feed of {self._region} is at {head.position}, but was read up to "
                f"{self._position}; reloading everything"
            )
        return head.position == self._position

    def _expect_epoch(self, epoch: str | None) -> None:
        if epoch != self._epoch:
            raise StoreColdError(
                f"the store of {self._region} is in epoch {epoch}, but the replica in "
                f"{self._epoch}; reloading everything"
            )

    def _refuse_too_many(self, replica: Replica) -> None:
        if len(replica) > self._max_entries:
            raise ReplicaFullError(
                f"the region {self._region} has more than {self._max_entries} entries; "
                "raise replica_max_entries, or use a RemoteVerifier"
            )

    def _expire(self) -> None:
        now = now_ms()
        self.replica.expire(now, limit=_EXPIRE_AT_ONCE)
        metrics.REPLICA_ENTRIES.labels(self._region).set(len(self.replica))

    async def _measure_skew(self) -> None:
        skew = await self._reader.clock_skew_ms()
        if fault := find_clock_fault(skew, self._max_clock_skew_ms):
            raise StoreUnsuitableError(f"the store of {self._region}: {fault}")
        self.skew_ms = abs(skew)
        self._measured_at = time.monotonic()
