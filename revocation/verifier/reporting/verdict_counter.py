"""Counts every verdict, and passes uses of revoked tokens on to a reporter.

Every check ends here, so the usual case costs one addition and no more.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from revocation import metrics
from revocation.claims.claims import Token
from revocation.decision import Reason, Verdict
from revocation.verifier.reporting.version_watch import VersionWatch

_SAMPLE_MASK: Final = 63
"""The version of one in 64 tokens is examined."""
_OTHER: Final = "other"
"""Stands for issuers that are not configured, so that strangers cannot fill memory."""


class Reporter(Protocol):
    """Receives each use of a revoked token."""

    def report(self, verdict: Verdict, *, route: str) -> None:
        """Receive a verdict in which an entry rejects."""


class VerdictCounter:
    """Maintains the metrics of one verifier's verdicts. Thread-safe."""

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
            trusts: returns whether an issuer is configured; None if none is.
            reporter: receives each use of a revoked token.
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
            verdict: the verifier's.
            route: the route class.
            token: what `read_token` returned; None if it was not called.
        """
        if verdict.active and not verdict.stale:
            tally = self._fresh[route]
            tally.count += 1
            if not tally.count & _SAMPLE_MASK and isinstance(token, Token):
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
        """Count a token from the future: it was readable, so its date is at fault.

        Another sidecar's verdict, by its own settings, has no detail and is skipped.
        """
        if verdict.detail is not None:
            known = self._trusts is not None and self._trusts(token.issuer)
            metrics.TOKENS_FROM_AHEAD.labels(token.issuer if known else _OTHER).inc()

    def flush(self) -> None:
        """Add what was counted since the last flush to the metrics."""
        for tally in self._fresh.values():
            tally.flush()
