"""The progress that the watchdog expects of a projector, seen from outside.

The watch reads what a region has applied from its store, and what there is to apply
from Kafka, both over its own connections. It trusts the projector's own state only for
what waits for other partitions.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from revocation.errors import StoreColdError, StoreError
from revocation.kafka.clients import LogState, ask_log
from revocation.projector.projector import Projector
from revocation.settings import ProjectorSettings
from revocation.store.contract import Batch
from revocation.store.redis_store import RedisStore
from revocation.watchdog import (
    FIRST_SECONDS,
    ProgressExpectation,
    client_expectations,
    stopping,
)

PARTITION_SECONDS: Final = 60.0
"""For a single partition: a projector that is behind on many takes them in turn."""

_NO_EPOCH: Final = "none: tests whether the store accepts writes"


class ProjectorWatch:
    """Lists what a watchdog can expect of a projector."""

    def __init__(self, projector: Projector, settings: ProjectorSettings) -> None:
        """Prepare."""
        self._projector = projector
        self._settings = settings
        self.is_stopping = False

    def always(self) -> list[ProgressExpectation]:
        """Return what must progress even while neither Kafka nor the store answers."""
        return [stopping(is_stopping=self.is_stopping)]

    async def if_answered(self) -> list[ProgressExpectation] | None:
        """Return what must progress; None if Kafka or the store does not answer."""
        settings = self._settings
        log = await ask_log(settings, settings.topics.entries, settings.group_id)
        reached = None if log is None else await self._ask_store()
        if log is None or reached is None or self.is_stopping:
            return None
        return [
            *self._learning(log, reached),
            *client_expectations(
                self._projector.clients, seconds=settings.stall_seconds
            ),
        ]

    async def _ask_store(self) -> dict[int, int] | None:
        """Return the next offset by partition; None if the store accepts no writes."""
        store = RedisStore.from_settings(self._settings)
        try:
            await store.start()
            region = await store.region()
            with suppress(StoreColdError):
                await store.apply(_NO_EPOCH, Batch((), {}, {}))
        except StoreError:
            return None
        finally:
            await store.stop()
        return {at: mark.next_offset for at, mark in region.marks.items()}

    def _learning(
        self, log: LogState, marks: dict[int, int]
    ) -> Iterable[ProgressExpectation]:
        read = self._projector.held_back
        reached = {at: max(marks.get(at, -1), read.get(at, -1)) for at in log.ends}
        behind = {at for at, end in log.ends.items() if reached[at] < end}
        # One without partitions is a spare, or a hang has cost it its partitions.
        owned = self._projector.owned or frozenset(log.ends)
        yield ProgressExpectation(
            "entries",
            tuple(reached[at] for at in sorted(owned)),
            bool(behind & owned),
            self._settings.stall_seconds,
            first_seconds=FIRST_SECONDS,
        )
        for at, place in reached.items():
            yield ProgressExpectation(
                "partition", place, at in behind, PARTITION_SECONDS, detail=str(at)
            )
