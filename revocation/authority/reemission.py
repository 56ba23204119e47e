"""Emits every standing entry again once per period, so that none ages out of the log.

A region rebuilt from the log's window thus sees each of them. The versions that the
ledger must remember travel along; entries that can affect no living token are dropped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Set as AbstractSet

from revocation import metrics
from revocation.authority.ledger_table import LedgerTable
from revocation.entries import Entry, Limits

_TICK_SECONDS = 1.0


class Reemitter:
    """Walks through the ledger's partitions at an even rate.

    The table keeps the position of each walk: otherwise a worker that restarts daily
    would never reach the last rows.
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
        """By partition, how many entries are due, with the fraction of the next."""
        self.turns = 0
        """How often it has looked for due entries; grows once a second."""
        self.log_time_ms = 0
        """The latest broker time seen; decides, not our clock, which entries expire."""

    async def run(self, owned: Callable[[], AbstractSet[int]]) -> None:
        """Re-emit the entries of the owned partitions forever."""
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
        # Starts at 1, or a worker that restarts often would never advance.
        credit = self._credits.get(partition, 1.0) + rows / self._ticks
        self._credits[partition] = credit % 1
        entries = self._table.walk(partition, min(int(credit), rows))
        # Before the first await: the table may change during it.
        standing = [entry for entry in entries if not self._forget(partition, entry)]
        for entry in standing:
            await self._emit(partition, entry)
            metrics.REFRESHED.inc()

    def _forget(self, partition: int, entry: Entry) -> bool:
        """Drop an entry that can affect no living token; never drop a version.

        Regions expire entries by their own limits: an entry dropped too early for them
        was emitted before, and a new event about its target leads to an entry that
        merges with it.
        """
        until = entry.relevant_until(self._limits)
        if until is None or until >= self.log_time_ms or entry.version:
            return False
        self._table.forget(partition, entry.target)
        return True
