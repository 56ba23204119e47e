"""Checks that a replica looks revocations up where its region stores them."""

import asyncio
import time
from typing import Final

import structlog

from revocation import metrics
from revocation.errors import DisagreementError
from revocation.identity import Expectation
from revocation.store.contract import FeedHead
from revocation.verifier.replica import Replica

_log = structlog.get_logger()

_COMPARE_SECONDS: Final = 2.0


class Agreement:
    """The result of comparing a region with what its verifier needs.

    `disagreement` is the reason why the region cannot be followed, if so. `settled` is
    set once that is known.
    """

    def __init__(self, region: str, expected: Expectation | None) -> None:
        """Prepare.

        Args:
            region: its name, for metrics and logs.
            expected: what the region must state about itself; None checks only its
                canaries.
        """
        self._region = region
        self._expected = expected
        self._compared_at = float("-inf")
        self.disagreement: DisagreementError | None = None
        self.settled = asyncio.Event()

    @property
    def is_due(self) -> bool:
        """Whether it is time to compare the region again."""
        return time.monotonic() - self._compared_at > _COMPARE_SECONDS

    def require_identity(self, head: FeedHead) -> None:
        """Require the settings that we need; a cold region states none.

        Raises:
            DisagreementError: names each setting, the region's value and ours.
        """
        self._compared_at = time.monotonic()
        if self._expected is not None and head.epoch is not None:
            self._expected.require(head.identity)

    def require_canary(self, replica: Replica, epoch: str) -> None:
        """Require that the replica finds the canaries of its epoch.

        Raises:
            DisagreementError: it does not.
        """
        if not replica.finds_canary(epoch):
            raise DisagreementError(
                f"the canaries of region {self._region} are not found, so no "
                "revocation would be found either: pepper, prefix or layout differ "
                "from the projector's; set the projector's values"
            )

    def note(self, disagreement: DisagreementError | None) -> None:
        """Record the result; a disagreement is logged once."""
        metrics.AGREEMENT.labels(self._region).set(disagreement is None)
        if disagreement is not None:
            metrics.FEED_RETRIES.labels(self._region, disagreement.code).inc()
            if str(disagreement) != str(self.disagreement):
                error = str(disagreement)
                _log.error("region disagrees", region=self._region, error=error)
        self.disagreement = disagreement
        self.settled.set()
