"""From a request to a verification or a refusal: what every framework's part shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from revocation.verifier.verification import Verification
from revocation.web.bearer import Refusal, Refusals, lacks_scopes
from revocation.web.credentials import (
    CredentialRules,
    Headers,
    find_credentials,
)
from revocation.web.routes import WEBSOCKET, Asked

__all__ = ["Gate", "TokenVerifier"]

POLICY_VIOLATION: Final = 1008
"""What a WebSocket is closed with that may not open (RFC 6455 section 7.4.1)."""


class TokenVerifier(Protocol):
    """What is needed of a `Verifier`."""

    async def verify_async(
        self, token: str, *, route: str = "read", resources: Sequence[str] = ()
    ) -> Verification:
        """Return whether the token counts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Judges requests by the token they bring."""

    verifier: TokenVerifier
    credentials: CredentialRules
    refusals: Refusals

    async def judge(
        self, method: str, headers: Headers, asked: Asked
    ) -> Verification | Refusal:
        """Return the verification of a token that passes, or the answer to refuse with.

        Args:
            method: in upper case, or `WEBSOCKET`.
            headers: the request's header fields, the names in lower case.
            asked: what the request asks for; not public.

        Raises:
            SettingsError: the verifier has no policy for the route class.
        """
        websocket = method == WEBSOCKET
        token, fault = find_credentials(
            method, headers, self.credentials, websocket=websocket
        )
        if token is None:
            assert fault is not None  # noqa: S101 - one of the two is there
            return self.refusals.credentials(fault)
        verification = await self.verifier.verify_async(
            token, route=asked.route, resources=asked.resources
        )
        if not verification.verdict.active:
            return self.refusals.verdict(verification.verdict)
        if lacks_scopes(verification.claims, asked.scopes):
            return self.refusals.insufficient_scope(asked.scopes)
        return verification
