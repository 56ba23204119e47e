"""The guard's request and decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from revocation.decision import Verdict
from revocation.entries import UnixMs, Version
from revocation.errors import RevocationError
from revocation.receipts import Receipt


class RefreshReason(StrEnum):
    """Why a refresh is allowed or not. The codes are stable."""

    ALLOWED = "allowed"
    """Nothing is known to revoke it."""
    CONCURRENT = "concurrent"
    """Allowed: replaced a moment ago, as when two requests of one client race."""
    REUSED = "reused"
    """Replaced or revoked before it was used: the session is ended for everybody."""
    REVOKED = "revoked"
    """The user, session, grant, client or data is revoked; see the verdict."""
    EXPIRED = "expired"
    """The refresh token has expired."""
    UNVERIFIABLE = "unverifiable"
    """Older than regions remember, or without a usable id: log in again."""
    STALE = "stale"
    """The region is behind, not ready or unavailable: try again later."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RefreshRequest:
    """A refresh token that was presented, as its issuer knows it. Times are in ms.

    `session`: the family, the `sid` of all tokens from one login. `token_id`: of this
    refresh token. `issued_at`: of this refresh token, not of the login. `rotated_at`:
    when it was first replaced by a newer one. `version`: the `ver` with which it was
    issued; None if tokens have none. `claims`: further claims of its access tokens, for
    `revocable_claims`. Its `repr` shows no identifier.
    """

    issuer: str
    user: str
    client: str
    session: str
    token_id: str
    issued_at: UnixMs
    expires_at: UnixMs
    version: Version | None = None
    rotated_at: UnixMs | None = None
    tenant: str | None = None
    resources: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshDecision:
    """Whether to issue new tokens, and with which version. True when allowed.

    `verdict`: by the region's state, if it was checked. `version`: the `ver` of the new
    tokens. `receipts`: of the event that ends a reused family. `error`: why that event
    was not acknowledged: the session must be ended by other means. `detail`: what to
    do; it contains no identifier.
    """

    allowed: bool
    reason: RefreshReason
    verdict: Verdict | None = None
    version: Version | None = None
    receipts: tuple[Receipt, ...] = ()
    error: RevocationError | None = None
    detail: str | None = None

    def __bool__(self) -> bool:
        """Return `allowed`: without it, `if decision:` would admit every refresh."""
        return self.allowed

    @property
    def latest_iat(self) -> int | None:
        """The latest `iat`, in seconds, that the new tokens may have, if allowed.

        The region's state is complete up to then. A token dated later would survive a
        cut-off in between that the region had not yet applied.
        """
        if not self.allowed or self.verdict is None:
            return None
        return self.verdict.as_of // 1_000
