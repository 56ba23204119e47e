"""What a region may claim to have applied from one partition. Pure.

An update may name positions in other partitions to which events before its source were
forwarded. The region claims neither that update nor anything after it until those
positions are applied too: an event acknowledged in the wrong partition is then known as
surely as any other.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from revocation.entries import Offset
from revocation.store.contract import Mark
from revocation.updates import Update


class _Read(NamedTuple):
    next_offset: Offset
    update: Update


class Progress:
    """What was read of one partition, and how much of it may be claimed."""

    def __init__(self, mark: Mark, *, rebuilt_at: Offset) -> None:
        """Start.

        Args:
            mark: what the store holds, or `Mark.at` the offset where a rebuild begins.
            rebuilt_at: the partition is complete from this offset of the entries topic.
        """
        self._mark = mark
        self._rebuilt_at = rebuilt_at
        self._next_read = mark.next_offset
        self._waiting: deque[_Read] = deque()

    @property
    def mark(self) -> Mark:
        """The mark to write to the store together with everything read so far."""
        return self._mark

    @property
    def waiting(self) -> bool:
        """Whether something that was read may not be claimed yet."""
        return bool(self._waiting)

    @property
    def next_read(self) -> Offset:
        """The offset that the next record read should have."""
        return self._next_read

    def read(self, next_offset: Offset, update: Update) -> None:
        """Record an update that was read, and the offset to read next."""
        self._next_read = next_offset
        mark = self._mark
        self._mark = mark._replace(
            applied_offset=max(mark.applied_offset, update.source.offset),
            forwarded=max(mark.forwarded, update.forwarded),
        )
        read = _Read(next_offset, replace(update, entries=()))
        if self._waiting or update.awaits or update.rerouted:
            self._waiting.append(read)
        else:
            self._claim(read)

    def skip(self, next_offset: Offset) -> None:
        """Record that an invalid update was read and parked."""
        self.read(next_offset, Update())

    def settle(self, marks: Mapping[int, Mark]) -> None:
        """Claim what waited for other partitions, given their marks."""
        while self._waiting and _applied(self._waiting[0].update, marks):
            self._claim(self._waiting.popleft())

    def _claim(self, read: _Read) -> None:
        mark, source = self._mark, read.update.source
        self._mark = mark._replace(
            next_offset=max(mark.next_offset, read.next_offset),
            source_offset=max(mark.source_offset, source.offset),
            as_of=max(mark.as_of, source.time),
            rebuilt=mark.rebuilt or read.next_offset >= self._rebuilt_at,
        )


def _applied(update: Update, marks: Mapping[int, Mark]) -> bool:
    """Return whether everything that an update awaits is applied."""
    return all(
        partition in marks and marks[partition].forwarded >= offset
        for partition, offset in update.awaits
    ) and all(
        partition in marks and marks[partition].applied_offset >= offset
        for partition, offset in update.rerouted
    )
