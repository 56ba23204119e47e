"""The store in plain Python, for tests of the stations. Passes the same contract suite.

It keeps exactly what Redis would keep: values pass through the same encoding.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Final, NamedTuple, Self

from revocation.claims.claims import Token
from revocation.decision import Freshness
from revocation.entries import (
    DENYLIST_KINDS,
    Entry,
    Limits,
    Offset,
    Target,
    UnixMs,
    merge,
)
from revocation.errors import (
    StoreColdError,
    StoreMovedBackError,
    StoreUnavailableError,
    StoreUnsuitableError,
)
from revocation.identity import Identity
from revocation.store import canary
from revocation.store.contract import (
    START,
    Answer,
    Batch,
    Change,
    FeedHead,
    Keep,
    Mark,
    Page,
    Region,
    StoredEntries,
)
from revocation.store.layout import decode_value, encode_value, name

_FEED_RECORDS: Final = 1_024
_CHANGES_PER_READ: Final = 16
_PAGE_ENTRIES: Final = 1_000
_NEVER: Final = -1
_NOT_READY: Final = Freshness(ready=False, as_of=UnixMs(0))
_PEPPER: Final = b"no secret: nothing leaves here"


class _Kept(NamedTuple):
    entry: Entry
    until: UnixMs | None
    serial: int


class MemoryStore:
    """One region's state in this process. `available = False` is an outage."""

    def __init__(
        self,
        *,
        limits: Limits,
        clock: Callable[[], UnixMs],
        pepper: bytes = _PEPPER,
    ) -> None:
        """Make a cold store.

        Args:
            limits: the lifetimes of tokens and sessions, so those of entries.
            clock: decides which entries have expired.
            pepper: the key of the digests in pages and changes.
        """
        self.pepper = pepper
        self.available = True
        self._limits = limits
        self._clock = clock
        self._kept: dict[Target, _Kept] = {}
        self._epoch: str | None = None
        self._identity: Identity | None = None
        self._clearing = False
        self._marks: dict[int, Mark] = {}
        self._serials = count(1)
        self._positions = count(1)
        self._fed = ""
        self._feed: deque[Change] = deque(maxlen=_FEED_RECORDS)
        self._fed_more = asyncio.Event()

    async def start(self) -> None:
        """Check that the store answers."""
        self._refuse_if_away()

    async def stop(self) -> None:
        """Do nothing: the state stays, as a server's would."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def find(self, targets: Sequence[Target]) -> Answer:
        """Look targets up, with the freshness of the same instant."""
        self._refuse_if_away()
        kept = {target: self._alive(target) for target in targets}
        found = {target: each.entry for target, each in kept.items() if each}
        return Answer(found, self._freshness())

    def another(self) -> Self:
        """Return the same: there are no connections."""
        return self

    def find_token(self, token: Token) -> Awaitable[Answer]:
        """Look up the entries about a token."""
        return self.find(token.targets())

    async def region(self) -> Region:
        """Return epoch, freshness and marks."""
        self._refuse_if_away()
        return Region(
            self._epoch,
            self._freshness(),
            dict(self._marks),
            self._identity,
            clearing=self._clearing,
        )

    async def clock_skew_ms(self) -> int:
        """Return 0: the clock is ours."""
        self._refuse_if_away()
        return 0

    async def check_suitable(self) -> None:
        """Find no problem."""
        self._refuse_if_away()

    async def begin(
        self,
        epoch: str,
        identity: Identity,
        *,
        replacing: str | None = None,
        keep: Keep = Keep.ENTRIES,
    ) -> str:
        """Open an epoch if the store is cold, or in the epoch `replacing`."""
        self._refuse_if_away()
        if self._epoch is None or self._epoch == replacing:
            self._epoch, self._identity = epoch, identity
            if keep is not Keep.ALL:
                self._marks = {}
            self._clearing = keep is Keep.NOTHING
            self._keep_canaries(epoch)
            self._append(self._freshness(), {})
        return self._epoch

    async def clear(self, epoch: str) -> None:
        """Delete what an epoch that keeps nothing found."""
        self._refuse_if_away()
        if self._epoch != epoch:
            raise StoreColdError(f"the epoch is {self._epoch}, not {epoch}")
        if self._clearing:
            self._kept, self._clearing = {}, False
            self._keep_canaries(epoch)

    def _keep_canaries(self, epoch: str) -> None:
        for entry in canary.entries(epoch):
            self._kept[entry.target] = _Kept(entry, None, next(self._serials))

    async def apply(self, epoch: str, batch: Batch) -> None:
        """Merge entries and move marks forward, all or nothing."""
        self._refuse_if_away()
        self._refuse_if_elsewhere(epoch, batch)
        before = self._freshness()
        stored: dict[bytes, bytes] = {}
        for entry in batch.entries:
            stored |= self._keep(entry)
        for partition, mark in batch.marks.items():
            known = self._marks.get(partition, mark)
            self._marks[partition] = _join_marks(known, mark)
        if stored or self._freshness() != before:
            self._append(self._freshness(), stored)

    async def head(self) -> FeedHead:
        """Return epoch, freshness and position."""
        self._refuse_if_away()
        if self._epoch is None:
            return FeedHead(None, _NOT_READY, START)
        return FeedHead(self._epoch, self._freshness(), self._fed, self._identity)

    async def page(self, cursor: str) -> Page:
        """Return some entries, from the cursor `"0"` on."""
        self._refuse_if_away()
        alive = [(target, self._alive(target)) for target in list(self._kept)]
        following = [
            (target, kept)
            for target, kept in alive
            if kept is not None and kept.serial > int(cursor)
        ]
        page, rest = following[:_PAGE_ENTRIES], following[_PAGE_ENTRIES:]
        stored: dict[bytes, bytes] = {}
        for target, kept in page:
            stored |= self._stored(target, kept)
        cursor = str(page[-1][1].serial) if rest else "0"
        return Page(self._epoch, cursor, len(self._kept), stored)

    async def changes(self, position: str, *, wait_ms: int) -> Sequence[Change]:
        """Return the changes after a position; empty if none comes within `wait_ms`."""
        self._refuse_if_away()
        if not self._following(position) and wait_ms:
            self._fed_more.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_ms / 1_000):
                    await self._fed_more.wait()
            self._refuse_if_away()
        return self._following(position)

    def lose_everything(self) -> None:
        """Become cold, like a flushed server."""
        self._kept, self._marks, self._epoch = {}, {}, None
        self._identity, self._clearing = None, False
        self._feed.clear()
        self._fed = ""

    def _following(self, position: str) -> list[Change]:
        last = int(position.partition("-")[0])
        following = [
            each for each in self._feed if int(each.position.partition("-")[0]) > last
        ]
        return following[:_CHANGES_PER_READ]

    def _append(self, freshness: Freshness, stored: StoredEntries) -> None:
        assert self._epoch is not None
        after, self._fed = self._fed, f"{next(self._positions)}-0"
        self._feed.append(Change(self._fed, after, self._epoch, freshness, stored))
        self._fed_more.set()

    def _stored(self, target: Target, kept: _Kept) -> StoredEntries:
        until = _NEVER if kept.until is None else kept.until
        value = b"%d %b" % (until, encode_value(kept.entry))
        return {name(target, self.pepper): value}

    def _refuse_if_away(self) -> None:
        if not self.available:
            raise StoreUnavailableError("the store in memory is set to be unavailable")

    def _refuse_if_elsewhere(self, epoch: str, batch: Batch) -> None:
        if self._epoch != epoch:
            raise StoreColdError(f"the epoch is {self._epoch}, not {epoch}")
        if self._clearing:
            raise StoreColdError(f"the region is being emptied for epoch {epoch}")
        partitions = self._partitions
        beyond = max((*batch.marks, *batch.expected), default=-1)
        if beyond >= partitions:
            raise StoreUnsuitableError(
                f"the epoch has {partitions} partitions and no partition {beyond}"
            )
        for partition, expected in batch.expected.items():
            mark = self._marks.get(partition, Mark.at(Offset(-1)))
            if mark.next_offset < expected:
                raise StoreMovedBackError(
                    f"partition {partition} is at {mark.next_offset}, "
                    f"expected {expected}"
                )

    @property
    def _partitions(self) -> int:
        return 0 if self._identity is None else self._identity.partitions

    def _freshness(self) -> Freshness:
        if self._epoch is None or len(self._marks) < self._partitions:
            return Freshness(ready=False, as_of=UnixMs(0))
        return Freshness(
            ready=all(mark.rebuilt for mark in self._marks.values()),
            as_of=min(mark.as_of for mark in self._marks.values()),
        )

    def _alive(self, target: Target) -> _Kept | None:
        kept = self._kept.get(target)
        if kept is not None and kept.until is not None and kept.until <= self._clock():
            del self._kept[target]
            return None
        return kept

    def _keep(self, entry: Entry) -> StoredEntries:
        """Merge an entry; return its stored form for the feed, empty if unchanged."""
        held = self._alive(entry.target)
        until = entry.relevant_until(self._limits)
        if held is not None:
            entry = merge(held.entry, entry)
            if entry.target.kind not in DENYLIST_KINDS:
                until = entry.relevant_until(self._limits)
            elif until is not None and held.until is not None:
                until = max(held.until, until)
        expires_at = _NEVER if until is None else until
        stored = decode_value(entry.target, encode_value(entry), expires_at)
        serial = next(self._serials) if held is None else held.serial
        kept = self._kept[entry.target] = _Kept(stored, until, serial)
        alive = self._alive(entry.target) is not None
        changed = kept != held if held is not None else alive
        return self._stored(entry.target, kept) if changed else {}


def _join_marks(one: Mark, other: Mark) -> Mark:
    return Mark(
        max(one.next_offset, other.next_offset),
        max(one.source_offset, other.source_offset),
        max(one.as_of, other.as_of),
        max(one.applied_offset, other.applied_offset),
        one.rebuilt or other.rebuilt,
        max(one.forwarded, other.forwarded),
    )
