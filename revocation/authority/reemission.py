"""Emits every standing entry again, once per period, so that none ages out of the log.

A region rebuilt from the window then has seen each of them. The versions that the
ledger must remember travel along; entries that no living token can meet are dropped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Set as AbstractSet

from revocation import metrics
from revocation.authority.ledger_table import LedgerTable
from revocation.entries import Entry, Limits

_TICK_SECONDS = 1.0


class Reemitter:
    """Walks the ledger's partitions evenly, so many entries each second.

    Where a walk is, is kept in the table: else a worker that is restarted daily would
    never reach the last rows.
    """

    def __init__(
        self,
        table: LedgerTable,
        emit: Callable[[int, Entry], Awaitable[object]],
        *,
        period_seconds: float,
        limits: Limits,
    ) -> None:
        self._table = table
        self._emit = emit
        self._ticks = max(1.0, period_seconds / _TICK_SECONDS)
        self._limits = limits
        self._credits: dict[int, float] = {}
        """How many entries of a partition are due by now, and the part of a next."""
        self.turns = 0
        """How often it has looked for what is due; grows once a second."""
        self.log_time_ms = 0
        """The latest broker time seen; entries are dropped by it, not by our clock."""

    async def run(self, owned: Callable[[], AbstractSet[int]]) -> None:
        """Refresh for ever the partitions that are owned."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self.turns += 1
            partitions = set(owned())
            for partition in self._credits.keys() - partitions:
                del self._credits[partition]
            for partition in partitions:
                await self._advance(partition)

    async def _advance(self, partition: int) -> None:
        rows = self._table.count(partition)
        # Begins with one, or a worker restarted often would never come to the next.
        credit = self._credits.get(partition, 1.0) + rows / self._ticks
        self._credits[partition] = credit % 1
        entries = self._table.walk(partition, min(int(credit), rows))
        # Before the first wait: what is in the table may have changed after it.
        standing = [entry for entry in entries if not self._forget(partition, entry)]
        for entry in standing:
            await self._emit(partition, entry)
            metrics.REFRESHED.inc()

    def _forget(self, partition: int, entry: Entry) -> bool:
        """Drop an entry that no living token can meet; a version is never dropped.

        Regions keep theirs by their own limits: what is dropped too early for them was
        emitted before, and an event about its target leads to an entry that joins it.
        """
        until = entry.relevant_until(self._limits)
        if until is None or until >= self.log_time_ms or entry.version:
            return False
        self._table.forget(partition, entry.target)
        return True
