"""From a request to a verification or a refusal; shared by all frameworks."""

from dataclasses import dataclass
from typing import Final

from revocation.decision import Reason
from revocation.verifier.verification import TokenVerifier, Verification
from revocation.web.bearer import AccessRefusal, Refusals, lacks_audiences, lacks_scopes
from revocation.web.credentials import CredentialRules, Headers, find_credentials
from revocation.web.routes import WEBSOCKET, AccessNeeds

POLICY_VIOLATION: Final = 1008
"""The close code of a refused WebSocket (RFC 6455 section 7.4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPolicy:
    """The steps before and after the verifier's. Pure."""

    credentials: CredentialRules
    refusals: Refusals

    def find_token(
        self, method: str, headers: Headers, max_token_bytes: int
    ) -> str | AccessRefusal:
        """Return the token to verify, or the refusal.

        Args:
            method: in upper case, or `WEBSOCKET`.
            headers: the request's header fields, the names in lower case.
            max_token_bytes: the verifier's.
        """
        token, fault = find_credentials(
            *(method, headers, self.credentials),
            max_token_bytes=max_token_bytes,
            websocket=method == WEBSOCKET,
        )
        if token is None:
            assert fault is not None  # noqa: S101 - one of the two is set
            return self.refusals.credentials(fault)
        return token

    def conclude(
        self, verification: Verification, needs: AccessNeeds
    ) -> Verification | AccessRefusal:
        """Return the verification of a token that passes, or the answer to refuse with.

        Args:
            verification: the verifier's result.
            needs: what the request needs; not public.
        """
        verdict, claims, _ = verification
        if not verdict.active:
            return self.refusals.verdict(verdict)
        if lacks_audiences(claims, needs.audiences):
            wrong = verdict._replace(active=False, reason=Reason.AUDIENCE_REFUSED)
            return self.refusals.verdict(wrong)
        if lacks_scopes(claims, needs.scopes):
            return self.refusals.insufficient_scope(needs.scopes)
        return verification


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessGuard(AccessPolicy):
    """Judges requests by their tokens."""

    verifier: TokenVerifier

    async def judge(
        self, method: str, headers: Headers, needs: AccessNeeds
    ) -> Verification | AccessRefusal:
        """Return the verification of a token that passes, or the answer to refuse with.

        Args:
            method: in upper case, or `WEBSOCKET`.
            headers: the request's header fields, the names in lower case.
            needs: what the request needs; not public.

        Raises:
            SettingsError: the verifier has no policy for the route class.
        """
        token = self.find_token(method, headers, self.verifier.max_token_bytes)
        if isinstance(token, AccessRefusal):
            return token
        verification = await self.verifier.verify_async(
            token, route=needs.route, resources=needs.resources
        )
        return self.conclude(verification, needs)
