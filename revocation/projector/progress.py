"""What a region may claim to have applied of one partition. Pure.

An update may name places in other partitions where events before its source were
forwarded to. Nothing from there on is claimed until those places are applied as well:
an event acknowledged in the wrong partition is then known as surely as any other.
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
    """Of one partition: what was read, and how much of that may be claimed."""

    def __init__(self, mark: Mark, *, rebuilt_at: Offset) -> None:
        """Start.

        Args:
            mark: what the store holds, or `Mark.at` the place where a rebuild begins.
            rebuilt_at: the partition is complete from this offset of the entries topic.
        """
        self._mark = mark
        self._rebuilt_at = rebuilt_at
        self._next_read = mark.next_offset
        self._waiting: deque[_Read] = deque()

    @property
    def mark(self) -> Mark:
        """What may be written to the store, once all that was read is in it."""
        return self._mark

    @property
    def waiting(self) -> bool:
        """Whether something read may not be claimed yet."""
        return bool(self._waiting)

    @property
    def next_read(self) -> Offset:
        """The offset that the next record read should have."""
        return self._next_read

    def read(self, next_offset: Offset, update: Update) -> None:
        """Note that an update was read, and where to read on."""
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
        """Note that a record that is no update was read and parked."""
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
    """Tell whether everything that an update awaits is applied."""
    return all(
        partition in marks and marks[partition].forwarded >= offset
        for partition, offset in update.awaits
    ) and all(
        partition in marks and marks[partition].applied_offset >= offset
        for partition, offset in update.rerouted
    )
