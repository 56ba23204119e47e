"""Refreshes: what an issuer asks of the guard, and what it is told."""

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
    """Nothing known speaks against it."""
    CONCURRENT = "concurrent"
    """Allowed: replaced a moment ago, as when two requests of one client race."""
    REUSED = "reused"
    """Replaced or revoked before it was used: the session is ended for everybody."""
    REVOKED = "revoked"
    """The user, session, grant, client or data is: the verdict says which."""
    EXPIRED = "expired"
    """Past its own end."""
    UNVERIFIABLE = "unverifiable"
    """Older than what regions remember, or not to be named: log in again."""
    STALE = "stale"
    """The region is behind, not ready or away: nobody knows, try again later."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RefreshRequest:
    """A refresh token that was presented, as its issuer knows it. Times are in ms.

    `session`: the family, the `sid` of all tokens that came from one login. `token_id`:
    of this refresh token. `issued_at`: of this refresh token, not of the login.
    `rotated_at`: when it was first replaced by a newer one. `version`: the `ver` that
    it was issued with; None where tokens carry none. `claims`: further claims that its
    access tokens have, of which `revocable_claims` may name some. Its `repr` shows no
    identifier.
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
    """Whether to mint new tokens, and with what. True when allowed.

    `verdict`: what the region says, if it was asked. `version`: the `ver` of the new
    tokens. `receipts`: of the event that ends a reused family. `error`: why that event
    was not acknowledged: the session must be ended by other means. `detail`: what to
    do; names nobody.
    """

    allowed: bool
    reason: RefreshReason
    verdict: Verdict | None = None
    version: Version | None = None
    receipts: tuple[Receipt, ...] = ()
    error: RevocationError | None = None
    detail: str | None = None

    def __bool__(self) -> bool:
        """Return `allowed`: `if decision:` must not let everybody in."""
        return self.allowed

    @property
    def latest_iat(self) -> int | None:
        """The latest `iat`, in seconds, that the new tokens may bear, if allowed.

        As of then the region knew everything. A token dated later would survive what
        was revoked in between, by a cut-off that the region had not heard of.
        """
        if not self.allowed or self.verdict is None:
            return None
        return self.verdict.as_of // 1_000
