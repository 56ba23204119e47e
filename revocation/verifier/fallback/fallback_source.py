"""Somebody who may know more than a region that is behind, and how to ask in safety.

Whoever is asked may be slow, down or wrong, and the reason why we ask may be its reason
to be down as well. So each question has a time limit, only so many are under way at
once, and who failed again and again is left alone for a moment: else every check would
wait out the whole limit. Whatever goes wrong, the answer is None, and counted.
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
"""How long a check waits for an answer, all who are asked together."""
MAX_CONCURRENT: Final = 32
"""How many questions one source is asked at once; more wait, within their limit."""

_FAILURES_IN_A_ROW: Final = 5
_PAUSE_SECONDS: Final = 2.0
_UNDECIDED: Final = frozenset({Reason.STALE, Reason.NOT_READY})


class CheckRequest(NamedTuple):
    """What a check was about. `token`: the compact JWT, where the verifier saw it."""

    claims: Claims
    kid: str | None = None
    resources: Sequence[str] = ()
    token: str | None = None
    route: str = "read"

    def __repr__(self) -> str:
        """Return nothing of the token: this may end up in a log."""
        return f"<CheckRequest about a token, route class {self.route!r}>"


class Fallback(Protocol):
    """Asked where a policy says `introspect` and the region is too far behind."""

    async def start(self) -> None:
        """Prepare; never fails because who is to be asked is away."""

    async def stop(self) -> None:
        """Disconnect; may be called twice."""

    async def ask(
        self,
        question: CheckRequest,
        *,
        policy: StalenessPolicy,
        rules: Rules,
        now: Callable[[], UnixMs],
        skew_ms: int = 0,
    ) -> Verdict | None:
        """Return a verdict that is fresh enough for the policy, or None. Never raises.

        Compare with None: a verdict that rejects is false.

        Args:
            question: what the check was about.
            policy: what the route class tolerates.
            rules: what the installation asks of its tokens.
            now: the latest that it may be, by the verifier's clock.
            skew_ms: how far that clock may be off; see `decide`.
        """


class Result(StrEnum):
    """What became of a question: the label of `metrics.INTROSPECTIONS`."""

    ACTIVE = "active"
    REJECTED = "rejected"
    UNANSWERED = "unanswered"
    """Behind itself, not able to tell, or left alone because it failed lately."""
    TIMEOUT = "timeout"
    ERROR = "error"


class Terms(NamedTuple):
    """By what a question is judged; see `Fallback.ask`."""

    policy: StalenessPolicy
    rules: Rules
    now: Callable[[], UnixMs]
    skew_ms: int = 0

    def judge(self, question: CheckRequest, as_of: UnixMs) -> Verdict:
        """Return the verdict if, as of then, nothing is known against the token."""
        token = read_token(
            question.claims, self.rules, kid=question.kid, resources=question.resources
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
    """Tells when to leave somebody alone who fails.

    After some failures in a row it admits nobody for a while, then one question at a
    time until one succeeds. The while is random, or all verifiers would come back at
    once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Admit everybody. The clock is in seconds."""
        self._clock = clock
        self._failures = 0
        self._closed_until = 0.0

    @property
    def tripped(self) -> bool:
        """Whether there were so many failures that a pause is due."""
        return self._failures >= _FAILURES_IN_A_ROW

    def admits(self) -> bool:
        """Tell whether to ask now."""
        if not self.tripped:
            return True
        if self._clock() < self._closed_until:
            return False
        self._pause()  # For all but this one, whose outcome decides.
        return True

    def succeeded(self) -> None:
        """Admit everybody again."""
        self._failures = 0

    def failed(self) -> None:
        """Note a failure."""
        self._failures += 1
        if self.tripped:
            self._pause()

    def _pause(self) -> None:
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        self._closed_until = self._clock() + _PAUSE_SECONDS * jitter


class Source(abc.ABC):
    """A `Fallback` that asks one place. Subclasses only say how."""

    name: ClassVar[str]
    """For logs."""

    def __init__(
        self, *, timeout_ms: int = TIMEOUT_MS, max_concurrent: int = MAX_CONCURRENT
    ) -> None:
        """Prepare.

        Args:
            timeout_ms: the longest that `ask` takes.
            max_concurrent: how many questions are under way at once.
        """
        self._timeout_seconds = timeout_ms / 1_000
        self._max_concurrent = max_concurrent
        self._slots = asyncio.Semaphore(max_concurrent)
        self._breaker = Breaker()

    @abc.abstractmethod
    async def start(self) -> None:
        """Prepare; never fails because who is to be asked is away."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Disconnect; may be called twice."""

    async def ask(
        self,
        question: CheckRequest,
        *,
        policy: StalenessPolicy,
        rules: Rules,
        now: Callable[[], UnixMs],
        skew_ms: int = 0,
    ) -> Verdict | None:
        """Return a verdict that is fresh enough for the policy, or None. Never raises.

        Args:
            question: what the check was about.
            policy: what the route class tolerates.
            rules: what the installation asks of its tokens.
            now: the latest that it may be, by the verifier's clock.
            skew_ms: how far that clock may be off; see `decide`.
        """
        return await self.ask_within(
            self._timeout_seconds, question, Terms(policy, rules, now, skew_ms)
        )

    async def ask_within(
        self, seconds: float, question: CheckRequest, terms: Terms
    ) -> Verdict | None:
        """Do as `ask`, within this time as well."""
        if terms.policy.beyond is Beyond.ALLOW:
            # What is too old is no answer here, or asking would be a way around.
            strict = replace(terms.policy, beyond=Beyond.DENY)
            terms = terms._replace(policy=strict)
        seconds = min(seconds, self._timeout_seconds)
        result, verdict = await self._try(seconds, question, terms)
        metrics.INTROSPECTIONS.labels(result).inc()
        return verdict

    @abc.abstractmethod
    async def _answer(self, question: CheckRequest, terms: Terms) -> Verdict | None:
        """Return a verdict, or None if this source cannot tell.

        Anything raised counts as a failure. The message of a plain ValueError is
        logged, so it must not quote the token.
        """

    async def _try(
        self, seconds: float, question: CheckRequest, terms: Terms
    ) -> tuple[Result, Verdict | None]:
        if not self._breaker.admits():
            return Result.UNANSWERED, None
        began = False
        try:
            async with asyncio.timeout(seconds), self._slots:
                began = True
                verdict = await self._answer(question, terms)
        except TimeoutError:
            if began:  # To have waited for one's turn only is no failure of theirs.
                self._fail("no answer in time")
            return Result.TIMEOUT, None
        except Exception as error:  # noqa: BLE001 - a check goes on, whatever it is
            # Messages of others may quote what was sent.
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
            _log.warning("fallback fails, left alone", source=self.name, cause=cause)
