"""Distinguishes access tokens from the other kinds that an issuer signs. Pure.

An issuer signs ID tokens, logout tokens, security events and more, often with the same
keys; each must fail the rules for the others (RFC 8725 sections 3.11 and 3.12).
RFC 9068 gives access tokens a `typ` of their own. If an issuer does not follow it, the
claims decide: the token must have none that only another kind has, and one that only
access tokens have.
"""

from collections.abc import Mapping
from typing import Any, Final

from revocation.claims.claim_names import Unreadable, find_claim
from revocation.jwt.trust import TrustedIssuer, media_type

_ID_TOKEN: Final = "an ID token"  # noqa: S105 - words, not a secret
_NEVER: Final[Mapping[str, str]] = {
    **dict.fromkeys(("events", "toe", "sub_id"), "a security event or logout token"),
    **dict.fromkeys(("at_hash", "c_hash", "s_hash"), _ID_TOKEN),
    **dict.fromkeys(("htm", "htu"), "a DPoP proof"),
    "token_introspection": "an introspection response",
    **dict.fromkeys(("_sd", "_sd_alg", "vct", "vc", "vp"), "a credential"),
    **dict.fromkeys(("redirect_uri", "response_type"), "a request object"),
}
"""Claims, each of which shows another kind of token, whatever its `typ` says.

OpenID Connect Core and Back-Channel Logout, RFC 8417, 9101, 9449, 9493, 9701.
"""

_UNTYPED: Final = "where `typ` is JWT or none"
_NEVER_UNTYPED: Final[Mapping[str, str]] = {
    "nonce": _ID_TOKEN,
    **dict.fromkeys(("code", "state", "access_token", "id_token"), "a response"),
    **dict.fromkeys(("jwks", "metadata"), "a statement about an entity"),
    "request": "a request object",
}
"""More of them for untyped tokens; a typed access token may have these."""

_USES: Final[Mapping[str, frozenset[str]]] = {
    "typ": frozenset({"bearer", "at+jwt"}),
    "token_use": frozenset({"access"}),
    "token_type": frozenset({"bearer", "access", "access_token"}),
}
"""Claims by which some issuers name the kind; other values mean another kind."""

_SIGN_IN_ALONE: Final = ("openid", ["openid"])
"""A scope that ID tokens of some issuers also have."""

_CLIENTS: Final = frozenset({"client_id", "azp", "cid", "appid"})
"""Claims that name a client, whether or not events about clients use them."""

_ID_TOKEN_USES: Final = frozenset({"id", "id_token"})


def other_kind(
    typ: str | None, claims: Mapping[str, Any], issuer: TrustedIssuer
) -> str | None:
    """Return why a token is not one of the issuer's access tokens; None if it is.

    Args:
        typ: of the header, if present.
        claims: the claims set.
        issuer: its `types` are accepted, and `JWT` or none with `allow_untyped`.
    """
    kind = None if typ is None else media_type(typ)
    typed = kind is not None and kind in issuer.types
    says_nothing = typ is None or kind == "jwt"
    if not typed and not (says_nothing and issuer.allow_untyped):
        return "the `typ` is not that of the issuer's access tokens"
    accepted = _ID_TOKEN if issuer.id_tokens else None
    for name, other in _NEVER.items():
        if name in claims and other != accepted:
            return _describe_other(name, other)
    return None if typed else _judge_untyped(claims, issuer)


def _describe_other(name: str, other: str) -> str:
    instead = ": send the access token" if other == _ID_TOKEN else ""
    return f"the `{name}` claim is that of {other}{instead}"


def _judge_untyped(claims: Mapping[str, Any], issuer: TrustedIssuer) -> str | None:
    """Return why the claims of an untyped token do not show an access token."""
    wrong, named = _named_kind(claims, issuer)
    if wrong is not None:
        return wrong
    for name, other in _NEVER_UNTYPED.items():
        # An explicit kind outweighs a `nonce`, which proves nothing.
        allowed = named or issuer.id_tokens or issuer.allow_nonce
        expected = other == _ID_TOKEN and allowed
        if name in claims and not expected:
            return f"{_UNTYPED}, {_describe_other(name, other)}"
    subject = claims.get("sub")
    if subject is not None and subject == claims.get("iss"):
        return f"{_UNTYPED}, a `sub` equal to `iss` is that of an assertion"
    signs = issuer.access_token_claims
    if named or issuer.id_tokens or not signs:
        return None
    if any(_shows(name, claims, issuer) for name in signs):
        return None
    return (
        "nothing shows that it is an access token: it has none of "
        f"{', '.join(f'`{name}`' for name in signs)} (access_token_claims)"
    )


def _shows(name: str, claims: Mapping[str, Any], issuer: TrustedIssuer) -> bool:
    """Whether a claim shows an access token: no ID token has it with this value.

    The audience of an ID token is its client, which it may name again (OpenID Connect
    Core section 2, `azp`).
    """
    sign = find_claim(claims, name)
    if not sign or isinstance(sign, Unreadable) or sign in _SIGN_IN_ALONE:
        return False
    audience = claims.get("aud")
    meant_for = audience if type(audience) is list else [audience]
    is_client = name in _CLIENTS or name in issuer.client_claims
    return not is_client or sign not in meant_for


def _named_kind(
    claims: Mapping[str, Any], issuer: TrustedIssuer
) -> tuple[str | None, bool]:
    """Return why a claim names another kind, and whether one names an access token."""
    named = False
    for name, access in _USES.items():
        use = claims.get(name)
        if use is None:
            continue
        accepted = access | _ID_TOKEN_USES if issuer.id_tokens else access
        if type(use) is not str or use.lower() not in accepted:
            return f"the `{name}` claim is that of another kind of token", False
        named = True
    return None, named
