"""Waits until a region is complete and its store has capacity for a snapshot."""

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
_NEAR_POLL_SECONDS: Final = 0.05
_FAR_POLL_SECONDS: Final = 0.5


class LoadProgress(NamedTuple):
    """The progress of a snapshot. `total` is an estimate: other keys count too."""

    loaded: int
    total: int


class SnapshotWaiter:
    """Reads a region's feed head, and decides when a snapshot may be loaded."""

    def __init__(
        self, region: str, agreement: Agreement, on_wait: Callable[[], None]
    ) -> None:
        """Prepare.

        Args:
            region: its name, for logs.
            agreement: checks every head.
            on_wait: called for each reply while waiting for a busy store.
        """
        self._region = region
        self._agreement = agreement
        self._on_wait = on_wait
        self._admission = LoadAdmission()

    async def read_head(self, reader: FeedReader) -> FeedHead:
        """Return the feed's head immediately.

        Raises:
            DisagreementError: the region's settings are not the ones that we need.
            StoreUnavailableError: retry later.
        """
        sent_at = time.monotonic()
        head = await reader.head()
        self._admission.note_reply(time.monotonic() - sent_at)
        self._agreement.require_identity(head)
        return head

    async def wait(self, reader: FeedReader) -> FeedHead:
        """Wait until the region is complete, and then for admission to load it.

        Raises like `read_head`.
        """
        await self._wait_complete(reader)
        began, is_logged = time.monotonic(), False
        self._admission.begin()
        while True:
            head = await self._wait_complete(reader)
            is_near = self._admission.count_reply(waited=time.monotonic() - began)
            if self._admission.is_admitted:
                return head
            if not (is_near or is_logged):
                _log.info("waiting for a busy store", region=self._region)
                is_logged = True
            self._on_wait()
            pause = _NEAR_POLL_SECONDS if is_near else _FAR_POLL_SECONDS
            await asyncio.sleep(around(pause))

    async def _wait_complete(self, reader: FeedReader) -> FeedHead:
        is_logged = False
        while True:
            head = await self.read_head(reader)
            if head.epoch is not None and head.freshness.ready:
                return head
            if not is_logged:
                _log.info("waiting for the region to be complete", region=self._region)
                is_logged = True
            await asyncio.sleep(around(_COLD_POLL_SECONDS))
