"""The sources to ask when a region is too far behind: the policy `introspect`.

- `RegionFallback`: the store of another region, which may be fresher.
- `SidecarFallback`: a sidecar of another region, for when its store is unreachable.
- `IssuerFallback`: the token's issuer (RFC 7662).
- `FirstOf`: several of these, in order.

None of this weakens a rejection: a source is asked only when no entry of the region
rejects the token, and must be as fresh as the policy demands. `fallback_source.py`
keeps failures from spreading.
"""

import time
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

import structlog

from revocation.claims.claims import Rules, read_token
from revocation.clock import find_clock_fault
from revocation.decision import StalenessPolicy, Verdict, decide
from revocation.entries import UnixMs
from revocation.errors import DisagreementError, StoreError
from revocation.identity import Expectation
from revocation.store.contract import StoreReader
from revocation.verifier.fallback.fallback_source import (
    MAX_CONCURRENT,
    TIMEOUT_MS,
    CheckRequest,
    Source,
    Terms,
)

_log = structlog.get_logger()

_MEASURE_SKEW_SECONDS: Final = 30.0


class RegionFallback(Source):
    """Asks another region's store, which must be fresh enough itself."""

    name: ClassVar[str] = "region"

    def __init__(
        self,
        store: StoreReader,
        *,
        max_clock_skew_ms: int = 2_000,
        timeout_ms: int = TIMEOUT_MS,
        max_concurrent: int = MAX_CONCURRENT,
        expected: Expectation | None = None,
    ) -> None:
        """Prepare; `start` and `stop` connect and disconnect the store.

        Args:
            store: the other region's store; with a pepper of its own, if any.
            max_clock_skew_ms: the clock difference above which it is not trusted.
            timeout_ms: the maximum duration of `ask`.
            max_concurrent: how many requests may be in flight at once.
            expected: what the region must state about itself, whatever its name is.
        """
        super().__init__(timeout_ms=timeout_ms, max_concurrent=max_concurrent)
        self._store = store
        self._expected = expected
        self._max_clock_skew_ms = max_clock_skew_ms
        self._skew_ms = 0
        self._measured_at: float | None = None

    async def start(self) -> None:
        """Connect, or leave it to the first request."""
        try:
            await self._store.start()
        except StoreError as error:
            _log.warning("fallback store unavailable", code=error.code)

    async def stop(self) -> None:
        """Disconnect; may be called twice."""
        await self._store.stop()

    async def _answer(self, request: CheckRequest, terms: Terms) -> Verdict | None:
        claims, kid, resources, *_ = request
        token = read_token(claims, terms.rules, kid=kid, resources=resources)
        await self._measure_skew()
        targets = () if isinstance(token, str) else token.targets()
        answer = await self._store.find(targets)
        await self._require_agreement()
        # The brokers' clock may be ahead by the skew; overestimate the staleness.
        return decide(
            token,
            *answer,
            policy=terms.policy,
            rules=terms.rules,
            now=UnixMs(terms.now() + self._skew_ms),
            skew_ms=terms.skew_ms + self._skew_ms,
        )

    async def _require_agreement(self) -> None:
        """Refuse a region whose settings differ from the ones that we need."""
        if self._expected is None:
            return
        identity = (await self._store.region()).identity
        if identity is None:
            raise ValueError("its region states no settings that this version knows")
        try:
            self._expected._replace(region=identity.region).require(identity)
        except DisagreementError as error:
            raise ValueError(str(error)) from None

    async def _measure_skew(self) -> None:
        """Require that no entry can expire there before the token does here."""
        now = time.monotonic()
        measured_at = self._measured_at
        if measured_at is not None and now - measured_at < _MEASURE_SKEW_SECONDS:
            return
        skew = await self._store.clock_skew_ms()
        if fault := find_clock_fault(skew, self._max_clock_skew_ms):
            raise ValueError(fault)
        self._skew_ms, self._measured_at = abs(skew), now


class FirstOf:
    """Asks its sources in order; the first that can decide does.

    The caller sets the order, so that the outcome never depends on which source is
    faster: where two differ, their order decides rather than luck. Each gets an equal
    share of the remaining time, so one that hangs leaves some for the next.
    """

    def __init__(
        self, sources: Sequence[Source], *, timeout_ms: int = TIMEOUT_MS
    ) -> None:
        """Prepare.

        Args:
            sources: in the order in which to ask them.
            timeout_ms: the maximum duration of `ask`, all sources together.
        """
        self._sources = tuple(sources)
        self._timeout_seconds = timeout_ms / 1_000

    async def start(self) -> None:
        """Start each."""
        for source in self._sources:
            await source.start()

    async def stop(self) -> None:
        """Stop each; may be called twice."""
        for source in self._sources:
            await source.stop()

    async def ask(
        self,
        request: CheckRequest,
        *,
        policy: StalenessPolicy,
        rules: Rules,
        now: Callable[[], UnixMs],
        skew_ms: int = 0,
    ) -> Verdict | None:
        """Return the first verdict that is fresh enough, or None. Never raises.

        Args:
            request: the check to decide.
            policy: what the route class tolerates.
            rules: the installation's requirements of its tokens.
            now: returns the latest possible time, by the verifier's clock.
            skew_ms: how far that clock may be off; see `decide`.
        """
        terms = Terms(policy, rules, now, skew_ms)
        deadline = time.monotonic() + self._timeout_seconds
        for place, source in enumerate(self._sources):
            left = max(0.0, deadline - time.monotonic())
            share = left / (len(self._sources) - place)
            verdict = await source.ask_within(share, request, terms)
            if verdict is not None:
                return verdict
        return None
