"""The verifier library: from claims to a verdict."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from revocation import metrics
from revocation.decision import (
    DEFAULT_POLICIES,
    Claims,
    Freshness,
    Reason,
    Rules,
    StalenessPolicy,
    Verdict,
    decide,
    targets_of,
)
from revocation.entries import UnixMs
from revocation.errors import (
    SettingsError,
    StoreUnavailableError,
    StoreUnsuitableError,
)
from revocation.settings import VerifierSettings
from revocation.store import Answer, Region, StoreReader
from revocation.store.redis import RedisStore

_UNKNOWN: Final = Answer({}, Freshness(ready=False, as_of=UnixMs(0)))


class Verifier:
    """Answers from one region's store, one round trip for each check.

    An async context manager. Usage:

        settings = VerifierSettings(region="eu", store_url=..., pepper_file=...)
        async with Verifier.from_settings(settings) as verifier:
            verdict = await verifier.check(claims, route="write")
            if not verdict.active: ...

    A store that cannot be reached, or was not started, gives `not_ready`, never
    `active`: nothing is known then. The signature of the token must have been verified
    before.
    """

    def __init__(
        self,
        store: StoreReader,
        rules: Rules,
        policies: Mapping[str, StalenessPolicy] = DEFAULT_POLICIES,
        *,
        max_clock_skew_ms: int = 2_000,
    ) -> None:
        """Prepare.

        Args:
            store: the region's store.
            rules: what the installation asks of its tokens.
            policies: the staleness policy of each route class.
            max_clock_skew_ms: start is refused when the clocks differ by more.
        """
        self._store = store
        self._rules = rules
        self._policies = policies
        self._max_clock_skew_ms = max_clock_skew_ms
        self._skew_ms: int | None = None

    @classmethod
    def from_settings(cls, settings: VerifierSettings | None = None) -> Self:
        """Return a verifier for the settings' region.

        Raises:
            SettingsError: names what is missing or wrong.
        """
        settings = settings or VerifierSettings()
        return cls(
            RedisStore.from_settings(settings),
            settings.rules,
            settings.policies,
            max_clock_skew_ms=settings.max_clock_skew_ms,
        )

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

    async def stop(self) -> None:
        """Disconnect; may be called twice."""
        await self._store.stop()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    async def check(
        self,
        claims: Claims,
        *,
        route: str = "read",
        kid: str | None = None,
        resources: Sequence[str] = (),
    ) -> Verdict:
        """Return whether a token with these claims still counts.

        Args:
            claims: the token's claims set, signature verified.
            route: the route class, `read` or `write` or one of your policies.
            kid: the `kid` of the token's header, so that a revoked key is noticed.
            resources: what the request touches, each `type:id`.

        Raises:
            SettingsError: there is no policy for the route class.
        """
        policy = self._policies.get(route)
        if policy is None:
            known = ", ".join(sorted(self._policies))
            raise SettingsError(f"no policy for route class {route!r}; known: {known}")
        found, freshness = await self._find(claims, kid, resources)
        # The brokers' clock may be ahead of ours by the skew: rather too stale.
        now = UnixMs(time.time_ns() // 1_000_000 + (self._skew_ms or 0))
        verdict = decide(
            claims,
            found,
            freshness,
            policy=policy,
            rules=self._rules,
            now=now,
            kid=kid,
            resources=resources,
        )
        stale = verdict.stale and verdict.reason is not Reason.NOT_READY
        metrics.VERDICTS.labels(verdict.reason, route, stale).inc()
        return verdict

    async def region(self) -> Region:
        """Return the region's state; not ready before the clocks were compared.

        Raises:
            StoreUnavailableError: retry later.
        """
        region = await self._store.region()
        if self._skew_ms is None:
            return replace(region, freshness=_UNKNOWN.freshness)
        return region

    async def _find(
        self, claims: Claims, kid: str | None, resources: Sequence[str]
    ) -> Answer:
        if self._skew_ms is None:
            return _UNKNOWN
        targets = targets_of(claims, self._rules, kid=kid, resources=resources)
        try:
            return await self._store.find(targets)
        except StoreUnavailableError:
            return _UNKNOWN
