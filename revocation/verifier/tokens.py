"""Authenticates tokens, and decides when a token triggers a fetch of its keys."""

from collections.abc import Callable
from typing import Final, NamedTuple

from revocation.decision import Reason
from revocation.entries import UnixMs
from revocation.jwt.authenticator import Authenticated, Authenticator, Refusal
from revocation.jwt.jwks import KeyRing

_NEWER_KEYS_MAY_HELP: Final = frozenset({Reason.KEY_UNKNOWN, Reason.SIGNATURE_INVALID})
"""The `kid` may be new, or the issuer may have reused it for another key."""


class Tokens(NamedTuple):
    """The rules about trusted issuers' tokens, and the issuers' keys."""

    authenticator: Authenticator
    keys: KeyRing

    async def authenticate(
        self, token: str, now: Callable[[], UnixMs]
    ) -> Authenticated | Refusal:
        """Authenticate a token; fetches the issuer's keys if newer ones may help."""
        outcome = self.authenticator.authenticate(token, now())
        issuer = self._issuer_in_doubt(outcome)
        if issuer is not None and await self.keys.refresh(issuer):
            outcome = self.authenticator.authenticate(token, now())
        return outcome

    def may_refresh(self, outcome: Authenticated | Refusal) -> bool:
        """Return whether `authenticate` would fetch keys because of this outcome."""
        issuer = self._issuer_in_doubt(outcome)
        return issuer is not None and not self.keys.too_soon(issuer)

    def request_keys(self, outcome: Refusal) -> None:
        """Request a fetch of the issuer's keys if newer ones may help; never waits."""
        issuer = self._issuer_in_doubt(outcome)
        if issuer is not None:
            self.keys.request_refresh(issuer)

    def drop_key(self, issuer: str, kid: str) -> None:
        """Never trust a revoked key again, and fetch the issuer's new ones.

        Only once: a client that keeps presenting its `kid` must not cause more fetches.
        """
        if (issuer, kid) in self.keys.known():
            self.keys.drop(issuer, kid)
            self.authenticator.forget(issuer, kid)

    @staticmethod
    def _issuer_in_doubt(outcome: Authenticated | Refusal) -> str | None:
        """Return the issuer whose cached keys may be outdated."""
        if isinstance(outcome, Refusal) and outcome.reason in _NEWER_KEYS_MAY_HELP:
            return outcome.issuer
        return None
