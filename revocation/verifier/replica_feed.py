"""Keeps a replica: a snapshot of the region, and from then on every change.

The protocol, with the same numbers in the code:

1. Wait until the region is complete and has time, and note where its feed is.
2. Load every entry, and read the changes meanwhile: a page is newer than the changes
   before it, and the changes up to the feed's end after the last page are newer still.
3. Take the new replica in one assignment. Until then the old one answers, and says how
   old it is.
4. Read change after change. Each names the one before it; when that is not the last one
   read, something was missed, and it starts again at 1.

A reader that is slow or dead costs the region nothing: the feed there is bounded. And a
thousand that lost it together do not come back together: `pacing.py`.
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
"""Small against the five seconds that writes tolerate: lost is the connection only."""

_LAST_LOAD_BACKOFF_SECONDS: Final = 30.0
"""Snapshots that are in vain, again and again, must not keep the region busy."""

_SETTLED_SECONDS: Final = 60.0
_PAGES_PER_READ: Final = 4
_EXPIRE_AT_ONCE: Final = 2_000
_MEASURE_SKEW_SECONDS: Final = 30.0


class Feed:
    """Follows one region, from `start` to `stop`.

    `replica` answers; it is whole at any time, and not ready before the first snapshot
    is, nor while the region has other settings than we need. `skew_ms` is how far the
    region's clock is from ours. `is_resting` while it waits before the next attempt.
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
            max_entries: more are refused, which bounds the memory used.
            max_clock_skew_ms: a region whose clock is further off is not followed.
            expected: what the region must say of itself; None asks for its canaries
                only.
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
        # Kept when it follows anew: a region too large is no reason to load it faster.
        self._reconnects = Backoff(_FIRST_BACKOFF_SECONDS, _LAST_BACKOFF_SECONDS)
        self._loads = Backoff(_FIRST_BACKOFF_SECONDS, _LAST_LOAD_BACKOFF_SECONDS)
        self._steps = 0
        self._task: asyncio.Task[None] | None = None
        self.skew_ms = 0
        self.is_resting = False
        self.replica = new_replica()
        self.progress = LoadProgress(0, 0)
        self.on_change: Callable[[Replica], None] = lambda _: None

    @property
    def disagreement(self) -> DisagreementError | None:
        """Why the replica would look in the wrong place, while it would."""
        return self._agreement.disagreement

    @property
    def learnt(self) -> tuple[Freshness, int]:
        """What changes whenever the feed has got on, or has good reason not to."""
        return self.replica.freshness, self._steps

    @property
    def has_ended(self) -> bool:
        """Whether the feed follows no longer, although it was not stopped."""
        return self._task is not None and self._task.done()

    def _count_step(self) -> None:
        self._steps += 1

    async def start(self) -> None:
        """Begin to follow; returns at once."""
        if self._task is None:
            self._begin("start")

    async def restart(self) -> None:
        """Follow anew, over another connection; the replica answers meanwhile."""
        await self.stop()
        self._reader, self._position = self._reader.another(), ""
        self._begin("stalled")

    async def stop(self) -> None:
        """Stop following and disconnect; the replica stays, and gets older."""
        task, self._task = self._task, None
        if task is not None:
            await end_task(task)
        await self._reader.stop()

    async def wait_ready(self) -> None:
        """Wait until the first snapshot is complete.

        Raises:
            DisagreementError: the region has other settings than we need.
        """
        await self._agreement.settled.wait()
        if self.disagreement is not None:
            raise self.disagreement

    def _begin(self, cause: str) -> None:
        self.is_resting, name = False, f"feed {self._region}"
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
                # It is no answer where to look for the rest.
                self._position, self.replica = "", self._new_replica()
                self._steps += 1
                self._agreement.note(error)
            except RevocationError as error:
                # Not if the store did not answer: it may answer others.
                self._steps += not isinstance(error, StoreUnavailableError)
                metrics.FEED_RETRIES.labels(self._region, error.code).inc()
                _log.warning("feed lost", outage="store", error=str(error))
            except Exception:  # noqa: BLE001 - whatever it was, start over from a snapshot
                self._position = ""
                _log.exception("feed failed", region=self._region)
            if time.monotonic() - began > _SETTLED_SECONDS:
                self._reconnects.reset()
                self._loads.reset()
            backoff = self._loads if self._has_loaded else self._reconnects
            self.is_resting = True
            await asyncio.sleep(backoff.next())
            self.is_resting = False

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
                await self._admission.ask(self._reader)
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
                    f"another server answers for {self._region} now; loading anew"
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
        """Read the feed to its end, and take the freshness that goes with it.

        Not that from before the first page: another server may have answered then, and
        known more than the one that the pages came from.
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
                f"the feed of {self._region} goes on after {change.after!r}, "
                f"and was read up to {self._position}; loading everything anew"
            )
        replica.put(change.entries)
        self._refuse_too_many(replica)
        replica.advance(change.freshness)
        self._position = change.position
        if change.entries:
            # Let others have their turn: a record may hold a thousand entries.
            await asyncio.sleep(0)

    async def _read(self, *, wait_ms: int = 0) -> Sequence[Change]:
        """Return what follows, or nothing when this surely is the feed's end."""
        changes = await self._reader.changes(self._position, wait_ms=wait_ms)
        if changes or await self._is_at_end():
            return changes
        # Something was added just now; or it is in the feed no longer.
        changes = await self._reader.changes(self._position, wait_ms=0)
        if not changes:
            raise StoreMovedBackError(
                f"the feed of {self._region} has lost what follows {self._position}; "
                "loading everything anew"
            )
        return changes

    async def _is_at_end(self) -> bool:
        """After a silence, see whether the feed still is the one that was read."""
        head = self._head = await self._admission.ask(self._reader)
        self._expect_epoch(head.epoch)
        if position_order(head.position) < position_order(self._position):
            raise StoreMovedBackError(
                f"the feed of {self._region} is at {head.position}, and was read up to "
                f"{self._position}; loading everything anew"
            )
        return head.position == self._position

    def _expect_epoch(self, epoch: str | None) -> None:
        if epoch != self._epoch:
            raise StoreColdError(
                f"the store of {self._region} is in epoch {epoch}, and the replica in "
                f"{self._epoch}; loading everything anew"
            )

    def _refuse_too_many(self, replica: Replica) -> None:
        if len(replica) > self._max_entries:
            raise ReplicaFullError(
                f"the region {self._region} has more than {self._max_entries} entries; "
                "raise replica_max_entries, or ask the store for each check"
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
