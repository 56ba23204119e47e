"""The verifier's interface and its result, for callers."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from revocation.claims.claims import Claims, Rules
from revocation.decision import Verdict
from revocation.entries import Version


class Verification(NamedTuple):
    """The result of verifying a compact JWT. True when the token counts.

    `claims`: set only when the signature and every rule of the authenticator are
    satisfied, whether the token counts or not; check `verdict.active` first.
    """

    verdict: Verdict
    claims: Claims | None = None
    kid: str | None = None

    def __bool__(self) -> bool:
        """Return `verdict.active`."""
        return self.verdict.active

    def __repr__(self) -> str:
        """Leave out the claims and the key, as logs and tracebacks show this."""
        known = "no" if self.claims is None else len(self.claims)
        return f"Verification({self.verdict!r}, {known} claims)"


class TokenVerifier(Protocol):
    """A verifier as services and issuers need it: `Verifier` or `RemoteVerifier`."""

    @property
    def rules(self) -> Rules:
        """The installation's requirements of its tokens."""
        ...

    @property
    def max_token_bytes(self) -> int:
        """The maximum length of a token."""
        ...

    async def check_async(
        self, claims: Claims, *, route: str = "read", resources: Sequence[str] = ()
    ) -> Verdict:
        """Return whether a token with these claims still counts."""
        ...

    async def verify_async(
        self, token: str, *, route: str = "read", resources: Sequence[str] = ()
    ) -> Verification:
        """Return whether a compact JWT is genuine, meant for us, and still counts."""
        ...

    async def current_version(self, issuer: str, user: str) -> Version:
        """Return a user's version from the region's store."""
        ...
