"""Counts every verdict, by what it says, and passes on which revoked tokens were used.

Each check ends here, so what is usual costs an addition and no more.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from revocation import metrics
from revocation.claims.claims import Token
from revocation.decision import Reason, Verdict
from revocation.verifier.reporting.version_watch import VersionWatch

_SOME: Final = 63
"""A mask: of so many tokens and one more, one's version is looked at."""
_OTHER: Final = "other"
"""Stands for issuers that are not configured: a stranger must not fill the memory."""


class Reporter(Protocol):
    """Told of each token that was used after its revocation."""

    def report(self, verdict: Verdict, *, route: str) -> None:
        """Take note of a verdict in which an entry rejects."""


class VerdictCounter:
    """The metrics about one verifier's verdicts. Thread-safe."""

    def __init__(
        self,
        routes: Iterable[str],
        *,
        trusts: Callable[[str], bool] | None,
        reporter: Reporter | None,
    ) -> None:
        """Prepare.

        Args:
            routes: the route classes.
            trusts: whether an issuer is configured; without it none is.
            reporter: told of each token that was used after its revocation.
        """
        self._trusts = trusts
        self._reporter = reporter
        self._versions = VersionWatch()
        stale = False
        self._fresh = {
            route: metrics.Tally(metrics.VERDICTS.labels(Reason.ACTIVE, route, stale))
            for route in routes
        }

    def count(
        self, verdict: Verdict, route: str, token: Token | str | None = None
    ) -> None:
        """Count a verdict.

        Args:
            verdict: what was said.
            route: the route class.
            token: what `read_token` returned; None where it was not asked.
        """
        if verdict.active and not verdict.stale:
            tally = self._fresh[route]
            tally.count += 1
            if not tally.count & _SOME and isinstance(token, Token):
                self._versions.note(token)
            return
        stale = verdict.stale and verdict.reason is not Reason.NOT_READY
        metrics.VERDICTS.labels(verdict.reason, route, stale).inc()
        if verdict.entry is not None:
            metrics.USE_AFTER_REVOCATION.labels(verdict.reason).inc()
            if self._reporter is not None:
                self._reporter.report(verdict, route=route)
        elif verdict.reason is Reason.UNVERIFIABLE and isinstance(token, Token):
            self._count_unverifiable(verdict, token)

    def _count_unverifiable(self, verdict: Verdict, token: Token) -> None:
        """Count a token from ahead: it could be read, so its date is what is wrong.

        Unless another sidecar says so, by its own settings; it tells no detail.
        """
        if verdict.detail is not None:
            known = self._trusts is not None and self._trusts(token.issuer)
            metrics.TOKENS_FROM_AHEAD.labels(token.issuer if known else _OTHER).inc()

    def flush(self) -> None:
        """Add to the metrics what was counted since they were last read."""
        for tally in self._fresh.values():
            tally.flush()
