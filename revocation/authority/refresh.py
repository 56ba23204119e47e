"""Emits every standing entry again, once per period, so that none ages out of the log.

A region rebuilt from the window then has seen each of them. The versions that the
ledger must remember travel along; entries that no living token can meet are dropped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Set as AbstractSet

from revocation import metrics
from revocation.authority.table import LedgerTable
from revocation.entries import Entry

_TICK_SECONDS = 1.0


class _Walk:
    """How a partition's rows are walked: so many each second, round and round."""

    __slots__ = ("credit", "per_tick")

    def __init__(self, rows: int, ticks: float) -> None:
        self.credit = 0.0
        self.per_tick = rows / ticks


class Refresher:
    """Walks the ledger's partitions evenly.

    Where a walk is, is kept in the table: else a worker that is restarted daily would
    never reach the last rows.
    """

    def __init__(
        self,
        table: LedgerTable,
        emit: Callable[[Entry], Awaitable[object]],
        *,
        period_seconds: float,
        relevance_ms: int,
    ) -> None:
        self._table = table
        self._emit = emit
        self._ticks = max(1.0, period_seconds / _TICK_SECONDS)
        self._relevance_ms = relevance_ms
        self._walks: dict[int, _Walk] = {}
        self.log_time_ms = 0
        """The latest broker time seen; entries are dropped by it, not by our clock."""

    async def run(self, owned: Callable[[], AbstractSet[int]]) -> None:
        """Refresh for ever the partitions that are owned."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            partitions = set(owned())
            for partition in self._walks.keys() - partitions:
                del self._walks[partition]
            for partition in partitions:
                await self._advance(partition)

    async def _advance(self, partition: int) -> None:
        walk = self._walks.get(partition)
        if walk is None:
            rows = self._table.count(partition)
            walk = self._walks[partition] = _Walk(rows, self._ticks)
        walk.credit += walk.per_tick
        share, walk.credit = int(walk.credit), walk.credit % 1
        entries = self._table.walk(partition, share)
        for entry in entries:
            await self._refresh(partition, entry)
        if len(entries) < share:
            del self._walks[partition]

    async def _refresh(self, partition: int, entry: Entry) -> None:
        until = entry.relevant_until(self._relevance_ms)
        if until is not None and until < self.log_time_ms and not entry.version:
            self._table.forget(partition, entry.target)
            return
        await self._emit(entry)
        metrics.REFRESHED.inc()
