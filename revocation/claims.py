"""What a claims set names, and whether everything about it can be checked. Pure.

A token that no event could name, or whose age no cut-off could be compared with, could
never be revoked: it is unverifiable, not active.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeGuard

from revocation.entries import (
    ISSUER_PATTERN,
    MAX_ID_CHARACTERS,
    RESOURCE_PATTERN,
    Kind,
    Target,
    UnixMs,
    grant_id,
)

Claims = Mapping[str, Any]
"""The claims set of a JWT whose signature somebody has verified (RFC 7519)."""

_IDS: Final = ("sub", "jti", "sid", "client_id", "azp")
_NUMBERS: Final = frozenset({int, float})
_MAX_NUMERIC_DATE: Final = 253_402_300_799
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an installation asks of its tokens. Times are in ms, claims are names.

    `iss`, `iat` and `exp` are required whatever `required_claims` holds.
    """

    longest_token_ms: int
    clock_allowance_ms: int = 5_000
    leeway_ms: int = 60_000
    required_claims: tuple[str, ...] = ("iss", "sub", "iat", "exp", "jti")
    version_claim: str = "ver"
    tenant_claim: str = "tenant"


def targets_of(
    claims: Claims,
    rules: Rules,
    *,
    kid: str | None = None,
    resources: Sequence[str] = (),
) -> tuple[Target, ...]:
    """Return every target that may reject the token.

    What no event can name is left out; `unverifiable` tells of it.
    """
    if not _is_claims_set(claims) or not _is_issuer(claims.get("iss")):
        return ()
    issuer, user, clients = claims["iss"], claims.get("sub"), _clients(claims)
    named = [
        (Kind.KEY, kid),
        (Kind.ISSUER, issuer),
        (Kind.TENANT, claims.get(rules.tenant_claim)),
        (Kind.USER, user),
        (Kind.SESSION, claims.get("sid")),
        (Kind.TOKEN, claims.get("jti")),
        *[(Kind.CLIENT, client) for client in clients],
    ]
    targets = [Target(kind, issuer, name) for kind, name in named if _is_id(name)]
    if clients and _is_id(user):
        grants = [grant_id(user, client) for client in clients]
        targets += [Target(Kind.GRANT, issuer, grant) for grant in grants]
    if resources:
        known = filter(_is_resource, resources)
        targets += [Target(Kind.RESOURCE, issuer, resource) for resource in known]
    return tuple(targets)


def _clients(claims: Claims) -> list[str]:
    """RFC 9068 has `client_id`, OpenID Connect `azp`; if they differ, both count."""
    client, party = claims.get("client_id"), claims.get("azp")
    named = (client,) if client == party else (client, party)
    return [each for each in named if _is_id(each)]


def unverifiable(
    claims: Claims, rules: Rules, now: UnixMs, kid: Any, resources: Iterable[Any]
) -> str | None:
    """Say what would let the token slip past a check, if anything.

    The answer names a claim, never its value: that may be personal.
    """
    if not _is_claims_set(claims):
        return "the claims are no JSON object"
    if kid is not None and not _is_id(kid) and kid != "":
        return "no event can name the `kid`"
    for resource in resources:
        if not _is_resource(resource):
            return "no event can name a resource asked for: it is not `type:id`"
    return _unnameable(claims, rules) or _immeasurable(claims, rules, now)


def _unnameable(claims: Claims, rules: Rules) -> str | None:
    for name in rules.required_claims:
        if not claims.get(name):
            return f"the token has no `{name}` claim"
    if not _is_issuer(claims.get("iss")):
        return "no event can name the `iss` claim"
    for name in (*_IDS, rules.tenant_claim):
        value = claims.get(name)
        # An empty name is none: nothing can be revoked by it, or needs to be.
        if value is not None and not _is_id(value) and value != "":
            return f"no event can name the `{name}` claim"
    return None


def _immeasurable(claims: Claims, rules: Rules, now: UnixMs) -> str | None:
    for name in ("iat", "exp"):
        value: Any = claims.get(name)
        # The range also keeps NaN, infinity and overflow out of every comparison.
        if type(value) not in _NUMBERS or not 0 <= value <= _MAX_NUMERIC_DATE:
            return f"the `{name}` claim is no time in seconds"
    if claims["iat"] * 1000 > now + rules.leeway_ms:
        return "the `iat` claim lies in the future, where no cut-off reaches it"
    version = claims.get(rules.version_claim)
    if version is not None and type(version) is not int:
        return f"the `{rules.version_claim}` claim is no whole number"
    return None


def _is_claims_set(claims: Any) -> bool:
    # The type first: `isinstance` of an abstract class is slow.
    return type(claims) is dict or isinstance(claims, Mapping)


def _is_id(value: Any) -> TypeGuard[str]:
    """Whether an event can name it. A lone surrogate has no bytes to look up."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARACTERS:
        return False
    return value.isascii() or _SURROGATE.search(value) is None


def _is_resource(value: Any) -> TypeGuard[str]:
    return _is_id(value) and re.match(RESOURCE_PATTERN, value) is not None


def _is_issuer(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and _matches_issuer(value)


@lru_cache(maxsize=1_024)
def _matches_issuer(value: str) -> bool:
    """Remember the answer: issuers are few, and this is asked for every token."""
    return _is_id(value) and re.fullmatch(ISSUER_PATTERN, value) is not None
