"""The verifier without a replica: it reads the region's store for each check."""

import asyncio
from typing import Final, Self

import structlog

from revocation import metrics
from revocation.claims.claims import Claims, Token
from revocation.clock import find_clock_fault
from revocation.decision import Freshness
from revocation.entries import UnixMs
from revocation.errors import (
    DisagreementError,
    StoreUnavailableError,
    StoreUnsuitableError,
)
from revocation.identity import Expectation
from revocation.settings import VerifierSettings
from revocation.store.contract import Answer
from revocation.store.store_agreement import require_agreement
from revocation.verifier.base_verifier import BaseVerifier, LookupResult, VerifierParts
from revocation.verifier.wiring import parts_from_settings

_log = structlog.get_logger()

_COMPARE_SECONDS: Final = 2.0
_UNKNOWN: Final = Answer({}, Freshness(ready=False, as_of=UnixMs(0)))


class RemoteVerifier(BaseVerifier):
    """Answers from one region's store; concurrent checks share calls.

    For processes that are too short-lived, or have too little memory, for a replica. An
    async context manager:

        async with RemoteVerifier.from_settings() as verifier:
            verdict = await verifier.check_async(claims)

    If the store is unreachable, not started, or has settings other than ours, the
    verdict is `not_ready`, never `active`: nothing is known then.
    """

    def __init__(
        self,
        parts: VerifierParts,
        *,
        max_clock_skew_ms: int = 2_000,
        expected: Expectation | None = None,
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            parts: `store` is read for each check.
            max_clock_skew_ms: `start` fails when the clocks differ by more.
            expected: what the region must state about itself, at start and every two
                seconds from then on; every check also looks up the canary.
        """
        super().__init__(parts)
        self._expected = expected
        self._disagrees = False
        self._comparing: asyncio.Task[None] | None = None
        self._max_clock_skew_ms = max_clock_skew_ms
        self._skew_ms = 0
        self._started = False
        self._latest = _UNKNOWN.freshness

    @classmethod
    def from_settings(cls, settings: VerifierSettings | None = None) -> Self:
        """Return a verifier for the settings' region.

        Raises:
            SettingsError: names what is missing or wrong.
        """
        settings = settings or VerifierSettings()
        parts = parts_from_settings(settings, coalesced=True)
        return cls(
            parts,
            max_clock_skew_ms=settings.max_clock_skew_ms,
            expected=settings.expectation,
        )

    async def start(self) -> None:
        """Connect, compare settings and measure the clocks' difference.

        Raises:
            DisagreementError: the region's settings are not the ones that we need.
            StoreUnavailableError: retry later.
            StoreUnsuitableError: the clocks differ too much to tell an answer's age.
        """
        await self._store.start()
        skew = await self._store.clock_skew_ms()
        if fault := find_clock_fault(skew, self._max_clock_skew_ms):
            raise StoreUnsuitableError(f"the store of {self.region}: {fault}")
        self._skew_ms = abs(skew)
        if self._expected is not None:
            await require_agreement(self._store, self._expected)
            compare = self._compare(self._expected)
            self._comparing = asyncio.create_task(compare, name="compare settings")
        await super().start()
        self._started = True

    async def stop(self) -> None:
        """Disconnect; may be called twice."""
        comparing, self._comparing = self._comparing, None
        if comparing is not None:
            comparing.cancel()
            await asyncio.wait({comparing})
        await super().stop()

    async def _compare(self, expected: Expectation) -> None:
        while True:
            await asyncio.sleep(_COMPARE_SECONDS)
            try:
                await require_agreement(self._store, expected)
            except DisagreementError as error:
                if not self._disagrees:
                    _log.error("region disagrees", region=self.region, error=str(error))
                self._disagrees = True
            except StoreUnavailableError:
                continue  # Every check reports it.
            except Exception:  # noqa: BLE001 - an unknown region may differ
                _log.exception("region cannot be compared", region=self.region)
                self._disagrees = True
            else:
                self._disagrees = False
            metrics.AGREEMENT.labels(self.region).set(not self._disagrees)

    async def _look_up(self, token: Token | str, claims: Claims) -> LookupResult:
        token = self._name_claims(token, claims)
        return token, *await self._ask(token)

    async def _ask(self, token: Token | str) -> Answer:
        if not self._started or self._disagrees:
            return _UNKNOWN
        try:
            if isinstance(token, str):
                answer = await self._store.find(())
            else:
                answer = await self._store.find_token(token)
        except StoreUnavailableError:
            return _UNKNOWN
        self._latest = answer.freshness
        return answer

    def _clock_skew_ms(self) -> int:
        return self._skew_ms

    def _freshness(self) -> Freshness:
        return self._latest
