"""How much of the entries topic a restart can skip."""

from collections.abc import Callable, Iterable, Set as AbstractSet
from typing import Any

from revocation.authority.ledger_table import LedgerTable
from revocation.entries import Offset
from revocation.updates import Update


class OwnWrites:
    """Tracks the offset up to which only this worker has written to a partition.

    A paused worker may write again before it learns that another has taken over; its
    table then lacks what the other wrote.
    """

    def __init__(
        self, table: LedgerTable, owned: Callable[[], AbstractSet[int]]
    ) -> None:
        self._table = table
        self._owned = owned
        self._alone_until: dict[int, Offset | None] = {}

    def note(self, partition: int, delivery: Any) -> None:
        """Record the offset at which Kafka stored one of our updates."""
        if partition not in self._owned():
            return
        offset = Offset(delivery.result().offset)
        if partition not in self._alone_until:
            self._alone_until[partition] = self._table.holds_until(partition)
        before = self._alone_until[partition]
        follows = before is not None and offset == before + 1
        self._alone_until[partition] = offset if follows else None

    def reached(self, partition: int, pulse: Update, _: Any) -> None:
        """Let a restart continue from here, now that a pulse's update is delivered."""
        reached = self._alone_until.get(partition)
        if reached is not None:
            self._table.note_concluded(partition, [pulse])
            self._table.reached(partition, reached)

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget partitions that another worker now owns."""
        for partition in partitions:
            self._alone_until.pop(partition, None)
