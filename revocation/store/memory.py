"""The store as plain Python, for tests of the stations. Passes the same contract suite.

It keeps what Redis would keep and no more: values pass through the same encoding.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from revocation.decision import Freshness
from revocation.entries import Entry, Offset, Target, UnixMs, merge
from revocation.errors import (
    StoreColdError,
    StoreMovedBackError,
    StoreUnavailableError,
    StoreUnsuitableError,
)
from revocation.store import Answer, Batch, Mark, Region
from revocation.store.layout import decode_value, encode_value


class _Kept(NamedTuple):
    entry: Entry
    until: UnixMs | None


class MemoryStore:
    """One region's state in this process. `available = False` is an outage."""

    def __init__(self, *, longest_token_ms: int, clock: Callable[[], UnixMs]) -> None:
        """Make a cold store.

        Args:
            longest_token_ms: how long a subject entry matters after its cut-off.
            clock: decides what has expired.
        """
        self.available = True
        self._longest_token_ms = longest_token_ms
        self._clock = clock
        self._kept: dict[Target, _Kept] = {}
        self._epoch: str | None = None
        self._partitions = 0
        self._marks: dict[int, Mark] = {}

    async def start(self) -> None:
        """See whether the store answers."""
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

    async def region(self) -> Region:
        """Return epoch, freshness and marks."""
        self._refuse_if_away()
        return Region(self._epoch, self._freshness(), dict(self._marks))

    async def clock_skew_ms(self) -> int:
        """Return 0: the clock is ours."""
        self._refuse_if_away()
        return 0

    async def check_suitable(self) -> None:
        """Find nothing wrong."""
        self._refuse_if_away()

    async def begin(
        self, epoch: str, *, partitions: int, replacing: str | None = None
    ) -> str:
        """Open an epoch if the store is cold, or in the epoch `replacing`."""
        self._refuse_if_away()
        if self._epoch is None or self._epoch == replacing:
            self._epoch, self._partitions, self._marks = epoch, partitions, {}
        return self._epoch

    async def apply(self, epoch: str, batch: Batch) -> None:
        """Merge entries and move marks forward, all or nothing."""
        self._refuse_if_away()
        self._refuse_if_elsewhere(epoch, batch)
        for entry in batch.entries:
            self._keep(entry)
        for partition, mark in batch.marks.items():
            known = self._marks.get(partition, mark)
            self._marks[partition] = _join_marks(known, mark)

    def lose_everything(self) -> None:
        """Become cold, as a server that was flushed."""
        self._kept, self._marks, self._epoch = {}, {}, None

    def _refuse_if_away(self) -> None:
        if not self.available:
            raise StoreUnavailableError("the store in memory was told to be away")

    def _refuse_if_elsewhere(self, epoch: str, batch: Batch) -> None:
        if self._epoch != epoch:
            raise StoreColdError(f"the epoch is {self._epoch}, not {epoch}")
        beyond = max((*batch.marks, *batch.expected), default=-1)
        if beyond >= self._partitions:
            raise StoreUnsuitableError(
                f"the epoch has {self._partitions} partitions and no partition {beyond}"
            )
        for partition, expected in batch.expected.items():
            mark = self._marks.get(partition, Mark.at(Offset(-1)))
            if mark.next_offset < expected:
                raise StoreMovedBackError(
                    f"partition {partition} is at {mark.next_offset}, "
                    f"expected {expected}"
                )

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

    def _keep(self, entry: Entry) -> None:
        held = self._alive(entry.target)
        if held is not None:
            entry = merge(held.entry, entry)
        until = entry.relevant_until(self._longest_token_ms)
        value = encode_value(entry)
        stored = decode_value(entry.target, value, -1 if until is None else until)
        self._kept[entry.target] = _Kept(stored, until)
        self._alive(entry.target)


def _join_marks(one: Mark, other: Mark) -> Mark:
    return Mark(
        max(one.next_offset, other.next_offset),
        max(one.source_offset, other.source_offset),
        max(one.as_of, other.as_of),
        max(one.applied_offset, other.applied_offset),
        one.rebuilt or other.rebuilt,
    )
