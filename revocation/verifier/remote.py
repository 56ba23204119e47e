"""The verifier that keeps nothing: the region's store is asked for each check."""

from typing import Final, Self

from revocation.claims import Token
from revocation.decision import Freshness
from revocation.entries import UnixMs
from revocation.errors import StoreUnavailableError, StoreUnsuitableError
from revocation.settings import VerifierSettings
from revocation.store import Answer
from revocation.verifier.parts import parts_from_settings
from revocation.verifier.verification import BaseVerifier, Parts

_UNKNOWN: Final = Answer({}, Freshness(ready=False, as_of=UnixMs(0)))


class RemoteVerifier(BaseVerifier):
    """Answers from one region's store; concurrent checks share their calls.

    For what runs too shortly, or has too little memory, for a replica. An async context
    manager:

        async with RemoteVerifier.from_settings() as verifier:
            verdict = await verifier.check_async(claims)

    A store that cannot be reached, or was not started, gives `not_ready`, never
    `active`: nothing is known then.
    """

    def __init__(self, parts: Parts, *, max_clock_skew_ms: int = 2_000) -> None:
        """Prepare; nothing connects yet.

        Args:
            parts: `store` is asked for each check.
            max_clock_skew_ms: start is refused when the clocks differ by more.
        """
        super().__init__(parts)
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
        return cls(parts, max_clock_skew_ms=settings.max_clock_skew_ms)

    async def start(self) -> None:
        """Connect and measure the clocks' difference.

        Raises:
            StoreUnavailableError: retry later.
            StoreUnsuitableError: the clocks differ too much to tell an answer's age.
        """
        await self._store.start()
        skew = await self._store.clock_skew_ms()
        if abs(skew) > self._max_clock_skew_ms:
            raise StoreUnsuitableError(
                f"the store's clock differs by {skew} ms from ours, at most "
                f"{self._max_clock_skew_ms} ms are allowed; synchronise the clocks"
            )
        self._skew_ms = abs(skew)
        await super().start()
        self._started = True

    async def _look_up(self, token: Token | str) -> Answer:
        if not self._started:
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
