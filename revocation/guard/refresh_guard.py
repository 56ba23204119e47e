"""Guards an issuer's refresh tokens: may this one be exchanged for new tokens?

Every refresh checks the state of the user, session, grant, client and data again. The
use of a refresh token that was already replaced is reuse: two parties have it, and
which is the thief is unknown, so the whole family, the session, is ended (RFC 9700
section 4.14.2).

A region keeps revocations for as long as access tokens live. An older refresh token may
have been revoked before that, and is refused as unverifiable. `docs/refresh-guard.md`
says what issuers do about it, and which tokens they issue.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from revocation import metrics
from revocation.claims.claim_names import find_claim, put_claim
from revocation.decision import Reason, Verdict
from revocation.entries import UnixMs
from revocation.errors import RevocationError, SettingsError, StoreError
from revocation.guard.families import EventPublisher, Families, Family
from revocation.guard.refreshes import RefreshDecision, RefreshReason, RefreshRequest
from revocation.receipts import Receipt
from revocation.verifier.verification import TokenVerifier

__all__ = ["RefreshDecision", "RefreshGuard", "RefreshReason", "RefreshRequest"]

_log = structlog.get_logger()


_OF_VERDICTS: Final[Mapping[Reason, RefreshReason]] = {
    Reason.ACTIVE: RefreshReason.ALLOWED,
    Reason.NOT_READY: RefreshReason.STALE,
    Reason.STALE: RefreshReason.STALE,
    Reason.UNVERIFIABLE: RefreshReason.UNVERIFIABLE,
    Reason.EXPIRED: RefreshReason.UNVERIFIABLE,
    Reason.LIFETIME_EXCEEDED: RefreshReason.UNVERIFIABLE,
    Reason.TOKEN_REVOKED: RefreshReason.REUSED,
}
"""All others are `revoked`. `expired` concerns the lifetime that the check assumes."""


class RefreshGuard:
    """Judges refreshes by a region's state, and ends reused families.

    Usage:

        guard = RefreshGuard(verifier, publisher, longest_session_ms=86_400_000)
        decision = await guard.guard_refresh(RefreshRequest(issuer=..., ...))
        if not decision: ...
    """

    def __init__(  # noqa: PLR0913 - what an issuer may choose
        self,
        verifier: TokenVerifier,
        publisher: EventPublisher,
        *,
        longest_session_ms: int,
        longest_refresh_ms: int | None = None,
        grace_ms: int = 10_000,
        route: str = "write",
        source: str = "/refresh-guard",
        publish_timeout_seconds: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare.

        Args:
            verifier: of the issuer's region, running.
            publisher: started; it publishes the end of reused families.
            longest_session_ms: how long regions remember an ended session, the setting
                `max_session_seconds`.
            longest_refresh_ms: how long the issuer's refresh tokens live; if given, it
                is checked that regions remember as long.
            grace_ms: how long after its rotation a refresh token may still be used.
            route: the route class whose policy says what to do in a stale region.
            source: the CloudEvents `source` of events about reuse.
            publish_timeout_seconds: how long a refresh waits for Kafka.
            clock: seconds since the epoch.

        Raises:
            SettingsError: regions do not remember as long as refresh tokens live, or
                the grace is negative.
        """
        if grace_ms < 0:
            raise SettingsError(f"a grace of {grace_ms} ms is negative; 0 allows none")
        self._verifier = verifier
        self._publisher = publisher
        self._rules = verifier.rules
        self._remembered_ms = min(self._rules.longest_token_ms, longest_session_ms)
        if (longest_refresh_ms or 0) > self._remembered_ms:
            raise SettingsError(
                f"refresh tokens live {longest_refresh_ms} ms, regions remember "
                f"{self._remembered_ms} ms; {_WHAT_TO_SET}"
            )
        self._grace_ms = grace_ms
        self._route = route
        self._clock = clock
        self._families = Families(
            publisher, source=source, timeout_seconds=publish_timeout_seconds
        )

    async def guard_refresh(self, refresh: RefreshRequest) -> RefreshDecision:
        """Return whether the refresh token may be exchanged for new tokens.

        Call it after the issuer's own checks (client authentication, the binding to
        the client) and before any token is issued or stored.

        Raises:
            SettingsError: there is no policy for the route class, or a version is given
                and the issuer has no `version_claim`.
            NotRunningError: the verifier was not started.
        """
        now = UnixMs(int(self._clock() * 1_000))
        decision = await self._decide(refresh, now)
        metrics.REFRESHES.labels(decision.reason).inc()
        return decision

    async def _decide(self, refresh: RefreshRequest, now: UnixMs) -> RefreshDecision:
        rotated_at = refresh.rotated_at
        # First, since reuse does not depend on the region's state.
        if rotated_at is not None and now - rotated_at > self._grace_ms:
            return await self._end_family(refresh, now, None)
        refusal = self._refuse(refresh, now)
        if refusal is not None:
            return refusal
        verdict = await self._verifier.check_async(
            self._claims(refresh), route=self._route, resources=refresh.resources
        )
        reason = _OF_VERDICTS.get(verdict.reason, RefreshReason.REVOKED)
        if reason is RefreshReason.REUSED:
            return await self._end_family(refresh, now, verdict)
        if not verdict.active:
            return _refusal(reason, verdict.detail, verdict)
        refusal = await self._compare_version(refresh, verdict)
        if refusal is not None:
            return refusal
        if rotated_at is not None:
            reason = RefreshReason.CONCURRENT
        return RefreshDecision(
            allowed=True, reason=reason, verdict=verdict, version=refresh.version
        )

    def _refuse(self, refresh: RefreshRequest, now: UnixMs) -> RefreshDecision | None:
        """Refuse requests that can be judged without the region's state."""
        if refresh.expires_at <= now:
            return _refusal(RefreshReason.EXPIRED, "the refresh token has expired")
        rotated_at = refresh.rotated_at or 0
        if rotated_at > now + self._rules.clock_allowance_ms:
            return _refusal(
                RefreshReason.UNVERIFIABLE,
                "its rotation lies in the future; synchronise the issuer's clocks",
            )
        names = self._rules.names_of(refresh.issuer)
        if refresh.version is not None and names.version is None:
            raise SettingsError(
                "a refresh token has a version, and no version_claim is set for its "
                'issuer, so none would be compared; set it, for instance to "ver"'
            )
        age = now - refresh.issued_at
        remembered_ms = min(self._remembered_ms, self._rules.longest_of(names))
        if age > remembered_ms:
            return _refusal(
                RefreshReason.UNVERIFIABLE,
                f"it is {age // 1_000} s old, and regions remember what was revoked "
                f"for {remembered_ms // 1_000} s; the user must log in again. "
                f"{_WHAT_TO_SET.capitalize()}",
            )
        return None

    def _claims(self, refresh: RefreshRequest) -> dict[str, Any]:
        """Return claims of an access token to check in place of the refresh token.

        It has the same age, for cut-offs, and the longest lifetime: older refresh
        tokens were refused before. Whole seconds, as in every token, rounded down.
        """
        rules, names = self._rules, self._rules.names_of(refresh.issuer)
        issued_at = (refresh.issued_at - names.backdated_ms) // 1_000
        longest = (rules.longest_of(names) + names.backdated_ms) // 1_000
        # The members of the request take precedence over its further claims.
        claims: dict[str, Any] = {
            **refresh.claims,
            "iss": refresh.issuer,
            "iat": issued_at,
            "exp": issued_at + longest,
        }
        # Required claims that only access tokens have are irrelevant here.
        for name in names.required:
            if find_claim(refresh.claims, name) is None:
                put_claim(claims, name, True)  # noqa: FBT003 - the value of a claim
        put_claim(claims, names.user, refresh.user)
        put_claim(claims, names.token_id, refresh.token_id)
        for name in names.sessions:
            put_claim(claims, name, refresh.session)
        for name in names.clients:
            put_claim(claims, name, refresh.client)
        put_claim(claims, names.version, refresh.version)
        put_claim(claims, names.tenant, refresh.tenant)
        return claims

    async def _compare_version(
        self, refresh: RefreshRequest, verdict: Verdict
    ) -> RefreshDecision | None:
        """Refuse a version that is superseded in the store.

        The verdict may be older than the store. With the store's version, a revoked
        refresh token would then yield valid tokens.
        """
        if refresh.version is None:
            return None
        try:
            current = await self._verifier.current_version(refresh.issuer, refresh.user)
        except StoreError as error:
            return _refusal(RefreshReason.STALE, str(error), verdict)
        if current <= refresh.version:
            return None
        superseded = verdict._replace(active=False, reason=Reason.VERSION_SUPERSEDED)
        return _refusal(RefreshReason.REVOKED, None, superseded)

    async def _end_family(
        self, refresh: RefreshRequest, now: UnixMs, verdict: Verdict | None
    ) -> RefreshDecision:
        receipts: tuple[Receipt, ...] = ()
        failure: RevocationError | None = None
        family = Family(refresh.issuer, refresh.session, refresh.tenant)
        try:
            receipts = await self._families.end(family, now)
        except RevocationError as error:
            failure = error
            _log.error(
                "refresh token reused, session not ended",
                code=error.code,
                retriable=error.retriable,
            )
        else:
            _log.warning("refresh token reused", receipts=[*map(str, receipts)])
        return RefreshDecision(
            allowed=False,
            reason=RefreshReason.REUSED,
            verdict=verdict,
            receipts=receipts,
            error=failure,
            detail="end the session at the issuer too, and ask the user to log in",
        )


_WHAT_TO_SET: Final = (
    "set max_token_lifetime_seconds and max_session_seconds to how long a refresh "
    "token lives between two refreshes, for all processes"
)


def _refusal(
    reason: RefreshReason, detail: str | None, verdict: Verdict | None = None
) -> RefreshDecision:
    return RefreshDecision(allowed=False, reason=reason, verdict=verdict, detail=detail)
