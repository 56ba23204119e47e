"""The verifier with a replica in memory, kept fresh by the region's feed."""

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Final, Self

import structlog

from revocation.claims.claims import Claims, Token, name_more, read_token
from revocation.clock import now_ms
from revocation.decision import Beyond, Freshness, Verdict, decide
from revocation.entries import Kind, Target, UnixMs
from revocation.identity import Expectation
from revocation.jwt.authenticator import Authenticated, Refusal
from revocation.settings import VerifierSettings
from revocation.store.contract import FeedReader
from revocation.store.redis_feed import RedisFeed
from revocation.verifier.base_verifier import (
    BaseVerifier,
    LookupResult,
    VerifierParts,
)
from revocation.verifier.claim_finder import ClaimFinder
from revocation.verifier.feed_watch import FeedWatch
from revocation.verifier.replica import Replica
from revocation.verifier.replica_feed import Feed
from revocation.verifier.snapshot_waiter import LoadProgress
from revocation.verifier.verification import Verification
from revocation.verifier.wiring import parts_from_settings

_log = structlog.get_logger()

_WRONG_PLACE: Final = (
    "the region's settings differ from this verifier's; its log and `disagreement` "
    "name them"
)


class Verifier(BaseVerifier):
    """Answers from a replica of one region's entries, in a few microseconds.

    An async context manager:

        async with Verifier.from_settings() as verifier:
            verdict = verifier.check(claims, route="write", resources=["dataset:42"])
            if not verdict: ...
            verification = await verifier.verify_async(token)

    Before the first snapshot is complete every verdict is `not_ready`, never `active`.
    While the region is unreachable the replica still answers, `staleness_ms` grows, and
    the policy of the route class decides. `check` and `verify` make no request and may
    be called from any thread.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each limit
        self,
        parts: VerifierParts,
        reader: FeedReader,
        *,
        peppers: Sequence[bytes],
        max_entries: int = 5_000_000,
        max_clock_skew_ms: int = 2_000,
        start_timeout_seconds: float = 10.0,
        expected: Expectation | None = None,
    ) -> None:
        """Prepare; nothing connects yet.

        Args:
            parts: `store` serves only `current_version` and `wait_applied`.
            reader: the feed of the same region.
            peppers: the keys of the digests, the one used for writing first.
            max_entries: the maximum number of entries in the replica.
            max_clock_skew_ms: the maximum clock difference of a region to follow.
            start_timeout_seconds: how long the context manager waits for the replica;
                after that it continues, and verdicts are `not_ready` until the replica
                is.
            expected: what the region must state about itself; see
                `identity.Expectation`.
        """
        super().__init__(parts)
        self._start_timeout_seconds = start_timeout_seconds
        known = self._claim_reader
        self._finder = None if known is None else ClaimFinder(known, peppers)
        self._feed = Feed(
            reader,
            partial(Replica, peppers),
            region=self.region,
            max_entries=max_entries,
            max_clock_skew_ms=max_clock_skew_ms,
            expected=expected,
        )
        self._feed.on_change = self._drop_revoked_keys
        self.feed_watch = FeedWatch(self._feed, reader.another)
        self._parts += [self._feed, self.feed_watch]

    @classmethod
    def from_settings(cls, settings: VerifierSettings | None = None) -> Self:
        """Return a verifier for the settings' region.

        Raises:
            SettingsError: names what is missing or wrong.
        """
        settings = settings or VerifierSettings()
        return cls(
            parts_from_settings(settings),
            RedisFeed.from_settings(settings),
            peppers=settings.peppers,
            max_entries=settings.replica_max_entries,
            max_clock_skew_ms=settings.max_clock_skew_ms,
            start_timeout_seconds=settings.start_timeout_seconds,
            expected=settings.expectation,
        )

    @property
    def ready(self) -> bool:
        """Whether the replica is complete; its verdicts state its age."""
        return self._feed.replica.freshness.ready

    @property
    def freshness(self) -> Freshness:
        """Whether the replica is complete, and as of when."""
        return self._feed.replica.freshness

    @property
    def disagreement(self) -> str | None:
        """Why the region is not followed: its settings differ from ours."""
        error = self._feed.disagreement
        return None if error is None else str(error)

    @property
    def problem(self) -> str:
        """Why the replica stands still although its store answers; else empty.

        The feed is then restarted. An unreachable store is not a problem in this sense.
        """
        return self.feed_watch.problem

    @property
    def progress(self) -> LoadProgress:
        """How many entries have been loaded, and about how many there are."""
        return self._feed.progress

    async def wait_ready(self) -> None:
        """Wait until the replica is complete.

        Raises:
            DisagreementError: the region's settings are not the ones that we need.
        """
        await self._feed.wait_ready()

    async def __aenter__(self) -> Self:
        """Start, and wait for the replica, up to `start_timeout_seconds`.

        Raises:
            DisagreementError: the region's settings are not the ones that we need.
        """
        await super().__aenter__()
        try:
            async with asyncio.timeout(self._start_timeout_seconds):
                await self.wait_ready()
        except TimeoutError:
            _log.warning("not ready yet", region=self.region, **self.progress._asdict())
        except BaseException:
            await self.stop()
            raise
        return self

    def check(
        self,
        claims: Claims,
        *,
        route: str = "read",
        resources: Sequence[str] = (),
        kid: str | None = None,
    ) -> Verdict:
        """Return whether a token with these claims still counts, immediately.

        Like `check_async`, but without the fallback: where the policy says
        `introspect`, a token that no entry rejects is `stale`.

        Raises:
            SettingsError: there is no policy for the route class.
        """
        token = read_token(claims, self._plain_rules, kid=kid, resources=resources)
        return self._judge(token, claims, route)

    def verify(
        self, token: str, *, route: str = "read", resources: Sequence[str] = ()
    ) -> Verification:
        """Return whether a compact JWT is genuine, meant for us, and still counts.

        Like `verify_async`, but with the cached keys: a token signed with a key that
        was published a moment ago is refused until the key set has been fetched again,
        which this requests.

        Raises:
            SettingsError: no issuers are configured, or the route class is unknown.
        """
        tokens = self._require_tokens()
        outcome = tokens.authenticator.authenticate(token, self._now())
        if isinstance(outcome, Refusal):
            tokens.request_keys(outcome)
        return self._conclude(outcome, route, resources)

    def check_or_await(
        self,
        claims: Claims,
        *,
        route: str = "read",
        resources: Sequence[str] = (),
        kid: str | None = None,
        introspect: bool = True,
    ) -> Verdict | Awaitable[Verdict]:
        """Return what `check_async` returns: immediately, unless it needs a request.

        For servers: an answer from memory needs no task. Arguments and errors are those
        of `check_async`.
        """
        if introspect and self._may_need_fallback(route):
            return self.check_async(claims, route=route, resources=resources, kid=kid)
        return self.check(claims, route=route, resources=resources, kid=kid)

    def verify_or_await(
        self, token: str, *, route: str = "read", resources: Sequence[str] = ()
    ) -> Verification | Awaitable[Verification]:
        """Return what `verify_async` returns: immediately, unless it needs a request.

        It does where a key may have to be fetched, and where the policy says
        `introspect` and the region is behind. Arguments and errors are those of
        `verify_async`.
        """
        tokens = self._require_tokens()
        outcome = tokens.authenticator.authenticate(token, self._now())
        is_refused = isinstance(outcome, Refusal)
        if (
            tokens.may_refresh(outcome)
            if is_refused
            else self._may_need_fallback(route)
        ):
            return self.verify_async(token, route=route, resources=resources)
        return self._conclude(outcome, route, resources)

    def _conclude(
        self, outcome: Authenticated | Refusal, route: str, resources: Sequence[str]
    ) -> Verification:
        if isinstance(outcome, Refusal):
            return self._refuse(outcome, route)
        verdict = self._judge(self._token(outcome, resources), outcome.claims, route)
        return Verification(verdict, outcome.claims, outcome.kid)

    def _may_need_fallback(self, route: str) -> bool:
        """Return whether a check of the route class may need the fallback now."""
        policy = self._policies.get(route) or self._policy(route)
        if self._fallback is None or policy.beyond is not Beyond.INTROSPECT:
            return False
        ready, as_of = self._feed.replica.freshness
        # A watermark in the future is no fresher than one in the past.
        return not ready or abs(self._now() - as_of) > policy.max_staleness_ms

    def _judge(self, token: Token | str, claims: Claims, route: str) -> Verdict:
        policy = self._policies.get(route) or self._policy(route)
        skew_ms = self._feed.skew_ms
        now = now_ms(skew_ms)
        token, found, freshness = self._find(token, claims, now)
        verdict = decide(
            token,
            found,
            freshness,
            policy=policy,
            rules=self.rules,
            now=now,
            skew_ms=skew_ms,
        )
        if not freshness.ready and self._feed.disagreement is not None:
            verdict = verdict._replace(detail=_WRONG_PLACE)
        self._counter.count(verdict, route, token)
        return verdict

    async def _look_up(self, token: Token | str, claims: Claims) -> LookupResult:
        return self._find(token, claims, self._now())

    def _find(self, token: Token | str, claims: Claims, now: UnixMs) -> LookupResult:
        replica = self._feed.replica
        # Read first, or it could cover entries that arrive after the lookup.
        freshness = replica.freshness
        finder = self._finder
        if replica.knows_claims and finder is not None and not isinstance(token, str):
            ids = finder.find(token.issuer, claims, replica.claims)
            if isinstance(ids, str):
                token = ids
            elif ids:
                token = name_more(token, Kind.CLAIMS, ids)
        return token, replica.find(token, now)[0], freshness

    def _clock_skew_ms(self) -> int:
        return self._feed.skew_ms

    def _freshness(self) -> Freshness:
        return self._feed.replica.freshness

    def _drop_revoked_keys(self, replica: Replica) -> None:
        # Otherwise each change would scan the keys of thousands of tenants.
        if self._tokens is None or not replica.knows_keys:
            return
        for issuer, kid in self._tokens.keys.known():
            if replica.holds(Target(Kind.KEY, issuer, kid)):
                self._drop_key(issuer, kid)
