"""Whether a replica looks for revocations where its region keeps them."""

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
    """What was found when a region was compared with what its verifier needs.

    `disagreement` is why the region is not followed, while it is not. `settled` is set
    as soon as it is known whether it can be.
    """

    def __init__(self, region: str, expected: Expectation | None) -> None:
        """Prepare.

        Args:
            region: its name, for metrics and logs.
            expected: what the region must say of itself; None asks for its canaries
                only.
        """
        self._region = region
        self._expected = expected
        self._compared_at = float("-inf")
        self.disagreement: DisagreementError | None = None
        self.settled = asyncio.Event()

    @property
    def is_due(self) -> bool:
        """Whether the region was not compared for a while."""
        return time.monotonic() - self._compared_at > _COMPARE_SECONDS

    def require_identity(self, head: FeedHead) -> None:
        """Compare the settings that a region states; a cold one states none.

        Raises:
            DisagreementError: names each setting, the region's value and ours.
        """
        self._compared_at = time.monotonic()
        if self._expected is not None and head.epoch is not None:
            self._expected.require(head.identity)

    def require_canary(self, replica: Replica, epoch: str) -> None:
        """Look for what a replica must hold, if it holds anything that it can find.

        Raises:
            DisagreementError: it is not found.
        """
        if not replica.finds_canary(epoch):
            raise DisagreementError(
                f"the canaries of the region {self._region} are not found, so no "
                "revocation would be: pepper, prefix or layout differ from the "
                "projector's"
            )

    def note(self, disagreement: DisagreementError | None) -> None:
        """Note how the region was found; what is wrong with it is logged once."""
        metrics.AGREEMENT.labels(self._region).set(disagreement is None)
        if disagreement is not None:
            metrics.FEED_RETRIES.labels(self._region, disagreement.code).inc()
            if str(disagreement) != str(self.disagreement):
                error = str(disagreement)
                _log.error("region disagrees", region=self._region, error=error)
        self.disagreement = disagreement
        self.settled.set()
