"""From a request to a verification or a refusal: what every framework's part shares."""

from dataclasses import dataclass
from typing import Final

from revocation.decision import Reason
from revocation.verifier.verification import TokenVerifier, Verification
from revocation.web.bearer import AccessRefusal, Refusals, lacks_audiences, lacks_scopes
from revocation.web.credentials import CredentialRules, Headers, find_credentials
from revocation.web.routes import WEBSOCKET, AccessNeeds

POLICY_VIOLATION: Final = 1008
"""What a WebSocket is closed with that may not open (RFC 6455 section 7.4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPolicy:
    """What comes before the verifier is asked, and after. Pure."""

    credentials: CredentialRules
    refusals: Refusals

    def find_token(
        self, method: str, headers: Headers, max_token_bytes: int
    ) -> str | AccessRefusal:
        """Return the token to verify, or the answer to refuse with.

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
            assert fault is not None  # noqa: S101 - one of the two is there
            return self.refusals.credentials(fault)
        return token

    def conclude(
        self, verification: Verification, asked: AccessNeeds
    ) -> Verification | AccessRefusal:
        """Return the verification of a token that passes, or the answer to refuse with.

        Args:
            verification: what the verifier said.
            asked: what the request asks for; not public.
        """
        verdict, claims, _ = verification
        if not verdict.active:
            return self.refusals.verdict(verdict)
        if lacks_audiences(claims, asked.audiences):
            wrong = verdict._replace(active=False, reason=Reason.AUDIENCE_REFUSED)
            return self.refusals.verdict(wrong)
        if lacks_scopes(claims, asked.scopes):
            return self.refusals.insufficient_scope(asked.scopes)
        return verification


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessGuard(AccessPolicy):
    """Judges requests by the token they bring."""

    verifier: TokenVerifier

    async def judge(
        self, method: str, headers: Headers, asked: AccessNeeds
    ) -> Verification | AccessRefusal:
        """Return the verification of a token that passes, or the answer to refuse with.

        Args:
            method: in upper case, or `WEBSOCKET`.
            headers: the request's header fields, the names in lower case.
            asked: what the request asks for; not public.

        Raises:
            SettingsError: the verifier has no policy for the route class.
        """
        token = self.find_token(method, headers, self.verifier.max_token_bytes)
        if isinstance(token, AccessRefusal):
            return token
        verification = await self.verifier.verify_async(
            token, route=asked.route, resources=asked.resources
        )
        return self.conclude(verification, asked)
