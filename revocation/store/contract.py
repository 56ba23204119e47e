"""A region's store: what projectors write and verifiers read.

`RedisStore` is the real one, `BatchingReader` asks it for many checks in one call, and
`RedisFeed` keeps up with it; `MemoryStore` passes the same contract suite. Positions
and watermarks live beside the entries and are written in the same call, so that store
and position cannot disagree.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, Self

from revocation.claims.claims import Token
from revocation.decision import Freshness
from revocation.entries import Entry, Offset, Target, UnixMs
from revocation.identity import Identity


class Mark(NamedTuple):
    """How far a region has applied one partition.

    `next_offset`: in the entries topic, where to read on. `source_offset`: in the
    events topic, everything up to and including it has been applied, also what was
    forwarded to other partitions. `as_of`: its broker time. `applied_offset`: the same
    as `source_offset`, but for this partition alone. `rebuilt`: the partition's window
    was read to its end. `forwarded`: in the forwarded topic, everything up to and
    including it has been applied. All of them only ever grow.
    """

    next_offset: Offset
    source_offset: Offset
    as_of: UnixMs
    applied_offset: Offset
    rebuilt: bool
    forwarded: Offset = Offset(-1)

    @classmethod
    def at(cls, next_offset: Offset) -> Self:
        """Return the mark of a partition that is about to be read from here."""
        return cls(next_offset, Offset(-1), UnixMs(0), Offset(-1), rebuilt=False)


class Batch(NamedTuple):
    """What one projector writes in one call.

    `expected` holds, per partition, the `next_offset` that the store must have reached
    already; a partition just (re)built is left out.
    """

    entries: Sequence[Entry]
    marks: Mapping[int, Mark]
    expected: Mapping[int, Offset]


class Keep(StrEnum):
    """What stays in a region when another epoch begins."""

    NOTHING = "nothing"
    """Entries of unknown or other settings: they mean nothing now. `clear` follows."""
    ENTRIES = "entries"
    """Entries are right, but the log no longer has what follows the marks."""
    ALL = "all"
    """Entries and marks: only the settings have changed, in a way that both allow."""


@dataclass(frozen=True, slots=True)
class Region:
    """A store's state. `epoch` is None while it is cold.

    `identity`: the settings of the epoch; None if it states none that are known here.
    `clearing`: the epoch takes entries only after `Store.clear`.
    """

    epoch: str | None
    freshness: Freshness
    marks: Mapping[int, Mark]
    identity: Identity | None = None
    clearing: bool = False


class Answer(NamedTuple):
    """The entries found for some targets, and how fresh that is; from one instant."""

    found: Mapping[Target, Entry]
    freshness: Freshness


class StoreReader(Protocol):
    """What verifiers and operators need."""

    async def start(self) -> None:
        """Connect.

        Raises:
            StoreUnavailableError: retry later.
        """

    async def stop(self) -> None:
        """Disconnect; may be called twice."""

    async def find(self, targets: Sequence[Target]) -> Answer:
        """Look targets up, with the freshness of the same instant.

        A cold store finds nothing and is not ready. Nor is one in which the canary of
        its epoch is not found in the same way (`canary.py`).

        Raises:
            StoreUnavailableError: retry later, or do what the policy says.
        """

    def find_token(self, token: Token) -> Awaitable[Answer]:
        """Look up whatever is about a token; else as `find`."""

    async def region(self) -> Region:
        """Return epoch, freshness and marks.

        Raises:
            StoreUnavailableError: retry later.
        """

    async def clock_skew_ms(self) -> int:
        """Return the store's clock minus ours."""


START: Final = "0-0"
"""The position in a feed before all others."""


def position_order(position: str) -> tuple[int, int]:
    """Return what sorts positions in a feed: milliseconds, then a number."""
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number)


StoredEntries = Mapping[bytes, bytes]
"""What a region tells of entries: by their name there, `expires_at value`."""


class FeedHead(NamedTuple):
    """Where a region's feed is. `epoch` is None while the region is cold."""

    epoch: str | None
    freshness: Freshness
    position: str
    identity: Identity | None = None


class Page(NamedTuple):
    """A part of all entries. `cursor` leads to the next, `"0"` after the last.

    `keys`: how many keys the server has, for a progress bar. `run`: which run of which
    server it was; pages of different ones do not add up.
    """

    epoch: str | None
    cursor: str
    keys: int
    entries: StoredEntries
    run: str = ""


class Change(NamedTuple):
    """One record of the feed: what one call changed, and how fresh it left the region.

    `after`: the position before it, so that nothing can be missed unnoticed.
    """

    position: str
    after: str
    epoch: str
    freshness: Freshness
    entries: StoredEntries


class FeedReader(Protocol):
    """What a verifier needs that keeps a copy of a region."""

    def another(self) -> Self:
        """Return a reader of the same region that shares no connection with this."""

    async def stop(self) -> None:
        """Disconnect; may be called twice."""

    async def head(self) -> FeedHead:
        """Return epoch, freshness and position, of one instant.

        Raises:
            StoreUnavailableError: retry later.
        """

    async def page(self, cursor: str) -> Page:
        """Return some entries, from the cursor `"0"` on.

        Every entry that is there from the first page to the last comes at least once,
        unless the connection was lost in between; then it begins again.

        Raises:
            StoreUnavailableError: retry later, from the first page.
        """

    async def changes(self, position: str, *, wait_ms: int) -> Sequence[Change]:
        """Return what follows a position; empty if nothing comes within `wait_ms`.

        Raises:
            StoreUnavailableError: retry later, from the same position.
        """

    async def clock_skew_ms(self) -> int:
        """Return the store's clock minus ours."""


class Store(StoreReader, Protocol):
    """What projectors need on top."""

    async def begin(
        self,
        epoch: str,
        identity: Identity,
        *,
        replacing: str | None = None,
        keep: Keep = Keep.ENTRIES,
    ) -> str:
        """Open an epoch if the store is cold, or in the epoch `replacing`.

        Returns the epoch in force afterwards: `epoch`, or that of whoever was first.
        The epoch has canaries of its own, and states its identity.
        """

    async def clear(self, epoch: str) -> None:
        """Delete what an epoch that keeps nothing found; whoever sees it may help.

        Raises:
            StoreColdError: the store is not in this epoch.
            StoreMovedBackError: another server answers now; try again.
            StoreUnavailableError: back off, retry.
        """

    async def apply(self, epoch: str, batch: Batch) -> None:
        """Merge entries, move marks forward and feed replicas, all or nothing.

        An entry that no living token can be touched by changes only what is there.

        Raises:
            StoreColdError: the store is not in this epoch; rebuild it.
            StoreMovedBackError: a mark is behind `expected`; read marks and seek.
            StoreUnavailableError: down, read-only or out of memory; back off, retry.
            StoreUnsuitableError: the epoch was begun for fewer partitions.
        """

    async def check_suitable(self) -> None:
        """Refuse a store that would lose revocations.

        Raises:
            StoreUnsuitableError: says what is wrong and what to set.
        """
