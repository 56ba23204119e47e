"""A service's answers to requests that it refuses (RFC 6750 section 3). Pure.

A client drops its token, and often the session, when it reads `invalid_token`. So that
code means that the token is at fault; when the region is behind, the answer is 503 with
`Retry-After`. Descriptions reveal little to the holder of a stolen token: neither which
rule rejects it, nor what is known about a user. The verdict has these details.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple

from revocation.decision import REJECTING, Reason, Verdict
from revocation.errors import SettingsError
from revocation.http.messages import problem
from revocation.web.credentials import CredentialFault

# A quoted-string may hold more (RFC 9110 section 5.6.4); clients read less.
_TEXT: Final = re.compile(r"[\x20-\x7e]*")
# RFC 6749 section 3.3.
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
# RFC 3986 section 2; none of these needs an escape in a quoted-string.
_HTTPS_URL: Final = re.compile(r"https://[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


class AccessRefusal(NamedTuple):
    """An HTTP answer: the status, the header fields, the body.

    `code` is the title of the body: an error code of RFC 6750 where one fits.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    code: str
    detail: str


class Meaning(Enum):
    """What a reason means to the client: the error's description."""

    EXPIRED = "The access token expired"
    REVOKED = "The access token was revoked"
    UNACCEPTABLE = "The access token is not acceptable here"
    BEHIND = "Whether the access token still counts is unknown now; try again"


MEANINGS: Final[Mapping[Reason, Meaning]] = {
    Reason.NOT_READY: Meaning.BEHIND,
    Reason.STALE: Meaning.BEHIND,
    Reason.EXPIRED: Meaning.EXPIRED,
    **dict.fromkeys(REJECTING, Meaning.REVOKED),
    Reason.INTROSPECTION_INACTIVE: Meaning.REVOKED,
    Reason.MALFORMED: Meaning.UNACCEPTABLE,
    Reason.ISSUER_UNTRUSTED: Meaning.UNACCEPTABLE,
    Reason.TYPE_REFUSED: Meaning.UNACCEPTABLE,
    Reason.ALGORITHM_REFUSED: Meaning.UNACCEPTABLE,
    Reason.KEY_UNKNOWN: Meaning.UNACCEPTABLE,
    Reason.SIGNATURE_INVALID: Meaning.UNACCEPTABLE,
    Reason.AUDIENCE_REFUSED: Meaning.UNACCEPTABLE,
    Reason.NOT_YET_VALID: Meaning.UNACCEPTABLE,
    Reason.UNVERIFIABLE: Meaning.UNACCEPTABLE,
    Reason.LIFETIME_EXCEEDED: Meaning.UNACCEPTABLE,
    # The token counts elsewhere; "revoked" would say that the resource was deleted.
    Reason.RESOURCE_DELETED: Meaning.UNACCEPTABLE,
}
"""Every reason but `active`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """Creates the refusals of one service.

    Attributes:
        realm: names the service to users (RFC 9110 section 11.5).
        resource_metadata: the URL of the service's metadata (RFC 9728 section 5.1).
        retry_after_seconds: when to try again while the region is behind.
    """

    realm: str = "api"
    resource_metadata: str | None = None
    retry_after_seconds: int = 2

    def __post_init__(self) -> None:
        """Check that the values fit into a header.

        Raises:
            SettingsError: names what is wrong.
        """
        if _TEXT.fullmatch(self.realm) is None:
            raise SettingsError(f"the realm {self.realm!r} is not printable ASCII")
        url = self.resource_metadata
        if url is not None and _HTTPS_URL.fullmatch(url) is None:
            raise SettingsError(f"resource_metadata {url!r} is not an https URL")
        if self.retry_after_seconds < 1:
            raise SettingsError("retry_after_seconds must be 1 or more")

    def credentials(self, fault: CredentialFault) -> AccessRefusal:
        """Return the answer to a request without a usable token."""
        match fault:
            case CredentialFault.MISSING:
                # RFC 6750 section 3.1: no error code for a request without a token.
                detail = "This needs an access token"
                return _refusal(401, "unauthorized", detail, self._challenge())
            case CredentialFault.CROSS_SITE:
                detail = "The request does not come from a page of this service"
                return _refusal(403, "cross_site_request", detail)
            case CredentialFault.TOO_LARGE:
                return _refusal(
                    431, "header_too_large", "The credentials are too large"
                )
            case CredentialFault.DUPLICATED:
                return self.invalid_request(
                    "The request has more than one access token"
                )
            case CredentialFault.MALFORMED:
                return self.invalid_request(
                    "The request has no well-formed access token"
                )

    def invalid_request(self, detail: str) -> AccessRefusal:
        """Return the answer to a malformed request: 400.

        Args:
            detail: for people, without quotes, backslashes or content of the request.
        """
        return self._error(400, "invalid_request", detail)

    def verdict(self, verdict: Verdict) -> AccessRefusal:
        """Return the answer to a rejected token.

        Raises:
            KeyError: the verdict is active.
        """
        meaning = MEANINGS[verdict.reason]
        if meaning is Meaning.BEHIND:
            seconds = str(self.retry_after_seconds)
            again = ("retry-after", seconds)
            return _refusal(503, "temporarily_unavailable", meaning.value, again)
        return self._error(401, "invalid_token", meaning.value)

    def insufficient_scope(self, required: Iterable[str]) -> AccessRefusal:
        """Return the answer to a token that lacks a scope: 403, naming all needed."""
        detail = "The access token does not have the scope that this needs"
        scope = " ".join(required)
        return self._error(403, "insufficient_scope", detail, scope=scope)

    def _error(self, status: int, code: str, detail: str, **more: str) -> AccessRefusal:
        challenge = self._challenge(error=code, error_description=detail, **more)
        return _refusal(status, code, detail, challenge)

    def _challenge(self, **parameters: str) -> tuple[str, str]:
        named = {"realm": self.realm, **parameters}
        if self.resource_metadata is not None:
            named["resource_metadata"] = self.resource_metadata
        listed = ", ".join(f"{name}={_quote(value)}" for name, value in named.items())
        return "www-authenticate", f"Bearer {listed}"


def check_scopes(scopes: Iterable[str]) -> None:
    """Check that these are valid scope tokens.

    Raises:
        SettingsError: one is not a scope token (RFC 6749 section 3.3).
    """
    for scope in scopes:
        if _SCOPE.fullmatch(scope) is None:
            raise SettingsError(f"{scope!r} is not a scope: one word of visible ASCII")


def lacks_scopes(claims: Mapping[str, Any] | None, required: Sequence[str]) -> bool:
    """Return whether a token lacks one of the scopes required."""
    if not required:
        return False
    granted = granted_scopes(claims)
    return not all(scope in granted for scope in required)


def granted_scopes(claims: Mapping[str, Any] | None) -> Sequence[str]:
    """Return the scopes that a token has.

    They are those of `scope` (RFC 9068 section 2.2.3, RFC 8693 section 4.2), or,
    without that claim, of `scp`: the words of a string, or the members of a list that
    are one word each. Anything else grants nothing.
    """
    held = {} if claims is None else claims
    granted = held["scope"] if "scope" in held else held.get("scp")
    if isinstance(granted, str):
        return granted.split(" ")
    if not isinstance(granted, list | tuple):
        return ()
    # A member with a space would read as two scopes once they are joined.
    words = [each for each in granted if isinstance(each, str)]
    return [each for each in words if _SCOPE.fullmatch(each)]


def lacks_audiences(claims: Mapping[str, Any] | None, required: Sequence[str]) -> bool:
    """Return whether a token lacks one of the required audiences.

    `aud` is one name or a list of them (RFC 7519 section 4.1.3).
    """
    if not required:
        return False
    named = None if claims is None else claims.get("aud")
    if isinstance(named, str):
        named = (named,)
    elif not isinstance(named, list | tuple):
        named = ()
    return not all(audience in named for audience in required)


def _quote(value: str) -> str:
    """RFC 9110 section 5.6.4."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _refusal(
    status: int, code: str, detail: str, *more: tuple[str, str]
) -> AccessRefusal:
    _, headers, body = problem(status, code, detail, *more)
    length = ("content-length", str(len(body)))
    return AccessRefusal(status, (length, *headers), body, code, detail)
