"""A source that may know more than a region that is behind, and limits for asking it.

A source may be slow, down or wrong, possibly for the very reason that the region is
behind. So each request has a timeout, only so many are in flight at once, and a circuit
breaker pauses requests to a source that keeps failing: otherwise every check would wait
for the whole timeout. On any failure the answer is None, and a metric counts it.
"""

import abc
import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import ClassVar, Final, NamedTuple, Protocol

import structlog

from revocation import metrics
from revocation.claims.claims import Claims, Rules, read_token
from revocation.decision import (
    Beyond,
    Freshness,
    Reason,
    StalenessPolicy,
    Verdict,
    decide,
)
from revocation.entries import UnixMs

_log = structlog.get_logger()

TIMEOUT_MS: Final = 500
"""How long a check waits for an answer, all sources together."""
MAX_CONCURRENT: Final = 32
"""The maximum of requests in flight to one source; more wait, within their timeout."""

_FAILURES_IN_A_ROW: Final = 5
_PAUSE_SECONDS: Final = 2.0
_UNDECIDED: Final = frozenset({Reason.STALE, Reason.NOT_READY})


class CheckRequest(NamedTuple):
    """The check to decide. `token`: the compact JWT, if the verifier has it."""

    claims: Claims
    kid: str | None = None
    resources: Sequence[str] = ()
    token: str | None = None
    route: str = "read"

    def __repr__(self) -> str:
        """Show nothing of the token, as this may end up in a log."""
        return f"<CheckRequest about a token, route class {self.route!r}>"


class Fallback(Protocol):
    """Consulted where a policy says `introspect` and the region is too far behind."""

    async def start(self) -> None:
        """Prepare; never fails because a source is unavailable."""

    async def stop(self) -> None:
        """Disconnect; may be called twice."""

    async def ask(
        self,
        request: CheckRequest,
        *,
        policy: StalenessPolicy,
        rules: Rules,
        now: Callable[[], UnixMs],
        skew_ms: int = 0,
    ) -> Verdict | None:
        """Return a verdict that is fresh enough for the policy, or None. Never raises.

        Compare with None: a rejecting verdict is falsy.

        Args:
            request: the check to decide.
            policy: what the route class tolerates.
            rules: the installation's requirements of its tokens.
            now: returns the latest possible time, by the verifier's clock.
            skew_ms: how far that clock may be off; see `decide`.
        """


class Result(StrEnum):
    """The outcome of a request: the label of `metrics.INTROSPECTIONS`."""

    ACTIVE = "active"
    REJECTED = "rejected"
    UNANSWERED = "unanswered"
    """Itself behind, unable to decide, or paused after failures."""
    TIMEOUT = "timeout"
    ERROR = "error"


class Terms(NamedTuple):
    """What a request is judged by; see `Fallback.ask`."""

    policy: StalenessPolicy
    rules: Rules
    now: Callable[[], UnixMs]
    skew_ms: int = 0

    def judge(self, request: CheckRequest, as_of: UnixMs) -> Verdict:
        """Return the verdict if, as of that time, no entry rejects the token."""
        token = read_token(
            request.claims, self.rules, kid=request.kid, resources=request.resources
        )
        fresh = Freshness(ready=True, as_of=as_of)
        return decide(
            token,
            {},
            fresh,
            policy=self.policy,
            rules=self.rules,
            now=self.now(),
            skew_ms=self.skew_ms,
        )


class Breaker:
    """A circuit breaker: pauses requests to a source that keeps failing.

    After some failures in a row it admits no request for a while, then one at a time
    until one succeeds. The pause is random, or all verifiers would return at once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare, closed. The clock is in seconds."""
        self._clock = clock
        self._failures = 0
        self._closed_until = 0.0

    @property
    def tripped(self) -> bool:
        """Whether enough requests in a row have failed."""
        return self._failures >= _FAILURES_IN_A_ROW

    def admits(self) -> bool:
        """Return whether to send a request now."""
        if not self.tripped:
            return True
        if self._clock() < self._closed_until:
            return False
        self._pause()  # For all but this request, whose outcome decides.
        return True

    def succeeded(self) -> None:
        """Record a success: admit every request again."""
        self._failures = 0

    def failed(self) -> None:
        """Record a failure."""
        self._failures += 1
        if self.tripped:
            self._pause()

    def _pause(self) -> None:
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        self._closed_until = self._clock() + _PAUSE_SECONDS * jitter


class Source(abc.ABC):
    """A `Fallback` with one source. Subclasses implement the request."""

    name: ClassVar[str]
    """For logs."""

    def __init__(
        self, *, timeout_ms: int = TIMEOUT_MS, max_concurrent: int = MAX_CONCURRENT
    ) -> None:
        """Prepare.

        Args:
            timeout_ms: the maximum duration of `ask`.
            max_concurrent: how many requests may be in flight at once.
        """
        self._timeout_seconds = timeout_ms / 1_000
        self._max_concurrent = max_concurrent
        self._slots = asyncio.Semaphore(max_concurrent)
        self._breaker = Breaker()

    @abc.abstractmethod
    async def start(self) -> None:
        """Prepare; never fails because the source is unavailable."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Disconnect; may be called twice."""

    async def ask(
        self,
        request: CheckRequest,
        *,
        policy: StalenessPolicy,
        rules: Rules,
        now: Callable[[], UnixMs],
        skew_ms: int = 0,
    ) -> Verdict | None:
        """Return a verdict that is fresh enough for the policy, or None. Never raises.

        Args:
            request: the check to decide.
            policy: what the route class tolerates.
            rules: the installation's requirements of its tokens.
            now: returns the latest possible time, by the verifier's clock.
            skew_ms: how far that clock may be off; see `decide`.
        """
        return await self.ask_within(
            self._timeout_seconds, request, Terms(policy, rules, now, skew_ms)
        )

    async def ask_within(
        self, seconds: float, request: CheckRequest, terms: Terms
    ) -> Verdict | None:
        """Like `ask`, but also within the given seconds."""
        if terms.policy.beyond is Beyond.ALLOW:
            # A stale answer must not bypass the region's own staleness limit.
            strict = replace(terms.policy, beyond=Beyond.DENY)
            terms = terms._replace(policy=strict)
        seconds = min(seconds, self._timeout_seconds)
        result, verdict = await self._try(seconds, request, terms)
        metrics.INTROSPECTIONS.labels(result).inc()
        return verdict

    @abc.abstractmethod
    async def _answer(self, request: CheckRequest, terms: Terms) -> Verdict | None:
        """Return a verdict, or None if this source cannot decide.

        Any exception counts as a failure. The message of a plain ValueError is logged,
        so it must not quote the token.
        """

    async def _try(
        self, seconds: float, request: CheckRequest, terms: Terms
    ) -> tuple[Result, Verdict | None]:
        if not self._breaker.admits():
            return Result.UNANSWERED, None
        began = False
        try:
            async with asyncio.timeout(seconds), self._slots:
                began = True
                verdict = await self._answer(request, terms)
        except TimeoutError:
            if began:  # Only waiting for a slot is not the source's failure.
                self._fail("no answer in time")
            return Result.TIMEOUT, None
        except Exception as error:  # noqa: BLE001 - no failure may stop a check
            # Other libraries' messages may quote what was sent.
            ours = type(error) is ValueError
            self._fail(str(error) if ours else type(error).__name__)
            return Result.ERROR, None
        self._breaker.succeeded()
        if verdict is None or verdict.reason in _UNDECIDED:
            return Result.UNANSWERED, None
        return Result.ACTIVE if verdict.active else Result.REJECTED, verdict

    def _fail(self, cause: str) -> None:
        before = self._breaker.tripped
        self._breaker.failed()
        if self._breaker.tripped and not before:
            _log.warning(
                "fallback keeps failing, paused", source=self.name, cause=cause
            )
