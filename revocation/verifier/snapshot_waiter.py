"""Waiting until a region is complete, and its store has time for a snapshot."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from revocation.store.contract import FeedHead, FeedReader
from revocation.verifier.pacing import LoadAdmission, around
from revocation.verifier.replica_agreement import Agreement

_log = structlog.get_logger()

_COLD_POLL_SECONDS: Final = 0.25
_TURN_NEAR_SECONDS: Final = 0.05
_TURN_FAR_SECONDS: Final = 0.5


class LoadProgress(NamedTuple):
    """How far a snapshot is. `total` is a guess: the server may have other keys."""

    loaded: int
    total: int


class SnapshotWaiter:
    """Asks where a region's feed is, and tells when everything may be loaded."""

    def __init__(
        self, region: str, agreement: Agreement, on_wait: Callable[[], None]
    ) -> None:
        """Prepare.

        Args:
            region: its name, for logs.
            agreement: every answer is compared with it.
            on_wait: called while a store that is busy answers, and is waited for.
        """
        self._region = region
        self._agreement = agreement
        self._on_wait = on_wait
        self._turn = LoadAdmission()

    async def ask(self, reader: FeedReader) -> FeedHead:
        """Return where the feed is, at once.

        Raises:
            DisagreementError: the region has other settings than we need.
            StoreUnavailableError: retry later.
        """
        asked_at = time.monotonic()
        head = await reader.head()
        self._turn.note_reply(time.monotonic() - asked_at)
        self._agreement.require_identity(head)
        return head

    async def wait(self, reader: FeedReader) -> FeedHead:
        """Wait until the region is complete, and then for the turn to load it.

        Raises: as `ask`.
        """
        await self._wait_complete(reader)
        began, told = time.monotonic(), False
        self._turn.begin()
        while True:
            head = await self._wait_complete(reader)
            is_near = self._turn.count_reply(waited=time.monotonic() - began)
            if self._turn.has_come:
                return head
            if not (is_near or told):
                _log.info("waiting for a store that is busy", region=self._region)
                told = True
            self._on_wait()
            pause = _TURN_NEAR_SECONDS if is_near else _TURN_FAR_SECONDS
            await asyncio.sleep(around(pause))

    async def _wait_complete(self, reader: FeedReader) -> FeedHead:
        told = False
        while True:
            head = await self.ask(reader)
            if head.epoch is not None and head.freshness.ready:
                return head
            if not told:
                _log.info("waiting for the region to be complete", region=self._region)
                told = True
            await asyncio.sleep(around(_COLD_POLL_SECONDS))
