"""A region's store: what projectors write and verifiers read.

`RedisStore` implements it, `BatchingReader` batches checks on top, and `RedisFeed`
follows its changes; `MemoryStore` in the tests passes the same contract suite. Marks
live beside the entries and are written in the same call, so the two cannot disagree.
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

    `next_offset`: in the entries topic, the next to read. `source_offset`: in the
    events topic, everything up to and including it has been applied, also what was
    forwarded to other partitions. `as_of`: its broker time. `applied_offset`: like
    `source_offset`, but for this partition alone. `rebuilt`: the partition's window was
    read to its end. `forwarded`: in the forwarded topic, everything up to and including
    it has been applied. All of them only grow.
    """

    next_offset: Offset
    source_offset: Offset
    as_of: UnixMs
    applied_offset: Offset
    rebuilt: bool
    forwarded: Offset = Offset(-1)

    @classmethod
    def at(cls, next_offset: Offset) -> Self:
        """Return the mark of a partition that is to be read from this offset."""
        return cls(next_offset, Offset(-1), UnixMs(0), Offset(-1), rebuilt=False)


class Batch(NamedTuple):
    """What one projector writes in one call.

    `expected` holds, by partition, the `next_offset` that the store must have reached
    already; a partition just (re)built is left out.
    """

    entries: Sequence[Entry]
    marks: Mapping[int, Mark]
    expected: Mapping[int, Offset]


class Keep(StrEnum):
    """What a region keeps when another epoch begins."""

    NOTHING = "nothing"
    """Entries of other or unknown settings are useless; `clear` follows."""
    ENTRIES = "entries"
    """The entries are valid, but the log no longer has what follows the marks."""
    ALL = "all"
    """Entries and marks stay valid: the settings changed compatibly."""


@dataclass(frozen=True, slots=True)
class Region:
    """A store's state. `epoch` is None while it is cold.

    `identity`: the settings of the epoch; None if it states none that this version
    knows. `clearing`: the epoch accepts entries only after `Store.clear`.
    """

    epoch: str | None
    freshness: Freshness
    marks: Mapping[int, Mark]
    identity: Identity | None = None
    clearing: bool = False


class Answer(NamedTuple):
    """The entries found for some targets, and their freshness at the same instant."""

    found: Mapping[Target, Entry]
    freshness: Freshness


class StoreReader(Protocol):
    """A store as verifiers and operators need it."""

    async def start(self) -> None:
        """Connect.

        Raises:
            StoreUnavailableError: retry later.
        """

    async def stop(self) -> None:
        """Disconnect; may be called twice."""

    async def find(self, targets: Sequence[Target]) -> Answer:
        """Look targets up, with the freshness of the same instant.

        A cold store finds nothing and is not ready; nor is a store in which the same
        lookup does not find the canary of its epoch (`canary.py`).

        Raises:
            StoreUnavailableError: retry later, or apply the policy.
        """

    def find_token(self, token: Token) -> Awaitable[Answer]:
        """Look up every entry about a token; otherwise like `find`."""

    async def region(self) -> Region:
        """Return epoch, freshness and marks.

        Raises:
            StoreUnavailableError: retry later.
        """

    async def clock_skew_ms(self) -> int:
        """Return the store's clock minus ours."""


START: Final = "0-0"
"""The position before the first record of a feed."""


def position_order(position: str) -> tuple[int, int]:
    """Return a sort key for positions in a feed: milliseconds, then a number."""
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number)


StoredEntries = Mapping[bytes, bytes]
"""Entries as a region sends them: `expires_at value`, by name in the store."""


class FeedHead(NamedTuple):
    """Where a region's feed is. `epoch` is None while the region is cold."""

    epoch: str | None
    freshness: Freshness
    position: str
    identity: Identity | None = None


class Page(NamedTuple):
    """A page of a snapshot. `cursor` leads to the next page; `"0"` after the last.

    `keys`: how many keys the server has, for a progress bar. `run`: the server's
    `run_id`; pages of different runs do not make up a snapshot.
    """

    epoch: str | None
    cursor: str
    keys: int
    entries: StoredEntries
    run: str = ""


class Change(NamedTuple):
    """One record of the feed: what a call changed, and the freshness after it.

    `after`: the previous record's position, so that a missed record is noticed.
    """

    position: str
    after: str
    epoch: str
    freshness: Freshness
    entries: StoredEntries


class FeedReader(Protocol):
    """A feed as a verifier needs it to keep a replica of a region."""

    def another(self) -> Self:
        """Return a reader of the same region with connections of its own."""

    async def stop(self) -> None:
        """Disconnect; may be called twice."""

    async def head(self) -> FeedHead:
        """Return epoch, freshness and position at one instant.

        Raises:
            StoreUnavailableError: retry later.
        """

    async def page(self, cursor: str) -> Page:
        """Return some entries, from the cursor `"0"` on.

        Every entry that exists from the first page to the last is returned at least
        once, unless the connection is lost in between; then start again.

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
    """A store as projectors need it."""

    async def begin(
        self,
        epoch: str,
        identity: Identity,
        *,
        replacing: str | None = None,
        keep: Keep = Keep.ENTRIES,
    ) -> str:
        """Open an epoch if the store is cold, or in the epoch `replacing`.

        Returns the epoch in force afterwards: `epoch`, or another if someone else was
        first. The epoch has canaries of its own, and states its identity.
        """

    async def clear(self, epoch: str) -> None:
        """Delete the entries that a `Keep.NOTHING` epoch found; any projector may help.

        Raises:
            StoreColdError: the store is not in this epoch.
            StoreMovedBackError: another server answers now; try again.
            StoreUnavailableError: back off, retry.
        """

    async def apply(self, epoch: str, batch: Batch) -> None:
        """Merge entries, move marks forward and feed replicas, all or nothing.

        An entry that can affect no living token only updates an existing one.

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
