"""Who may issue tokens, and when an issuer is asked for its keys because of a token."""

from collections.abc import Callable
from typing import Final, NamedTuple

from revocation.decision import Reason
from revocation.entries import UnixMs
from revocation.jwt.authenticator import Authenticated, Authenticator, Refusal
from revocation.jwt.jwks import KeyRing

_OTHER_KEYS_MAY_HELP: Final = frozenset({Reason.KEY_UNKNOWN, Reason.SIGNATURE_INVALID})
"""A `kid` may be new, or the issuer's for another key than it was."""


class Tokens(NamedTuple):
    """Who may issue tokens: the rules about them, and the keys that they sign with."""

    authenticator: Authenticator
    keys: KeyRing

    async def authenticate(
        self, token: str, now: Callable[[], UnixMs]
    ) -> Authenticated | Refusal:
        """Return what a token says; asks for the issuer's keys if others may help."""
        outcome = self.authenticator.authenticate(token, now())
        asked = self._doubted(outcome)
        if asked is not None and await self.keys.refresh(asked):
            outcome = self.authenticator.authenticate(token, now())
        return outcome

    def is_worth_asking(self, outcome: Authenticated | Refusal) -> bool:
        """Whether `authenticate` would ask because of this outcome."""
        asked = self._doubted(outcome)
        return asked is not None and not self.keys.too_soon(asked)

    def request_keys(self, outcome: Refusal) -> None:
        """Have the issuer's keys read if others may help; waits for nothing."""
        asked = self._doubted(outcome)
        if asked is not None:
            self.keys.request_refresh(asked)

    def drop_key(self, issuer: str, kid: str) -> None:
        """Never believe a revoked key again, and ask the issuer for its new ones.

        Once: whoever goes on presenting its `kid` must not make us ask again and again.
        """
        if (issuer, kid) in self.keys.known():
            self.keys.drop(issuer, kid)
            self.authenticator.forget(issuer, kid)

    @staticmethod
    def _doubted(outcome: Authenticated | Refusal) -> str | None:
        """Return the issuer whose keys at hand may be the old ones."""
        if isinstance(outcome, Refusal) and outcome.reason in _OTHER_KEYS_MAY_HELP:
            return outcome.issuer
        return None
