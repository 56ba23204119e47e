"""What a claims set names, and whether everything about it can be checked. Pure.

A token that no event could name, or whose age no cut-off could be compared with, could
never be revoked: it is unverifiable, not active.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeGuard

from revocation.claim_sets import ClaimReader, ClaimSet, claim_reader
from revocation.entries import (
    ISSUER_PATTERN,
    MAX_ID_CHARACTERS,
    RESOURCE_PATTERN,
    Kind,
    Target,
    grant_id,
)

Claims = Mapping[str, Any]
"""The claims set of a JWT whose signature somebody has verified (RFC 7519)."""

_IDS: Final = ("sub", "jti", "sid", "client_id", "azp")
_NUMBERS: Final = frozenset({int, float})
_MAX_NUMERIC_DATE: Final = 253_402_300_799
_RESOURCE: Final = re.compile(RESOURCE_PATTERN)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an installation asks of its tokens. Times are in ms, claims are names.

    `clock_allowance_ms`: how far ahead `iat` may lie, and how far past itself a cut-off
    reaches: as they are one number, no token outlives a cut-off by its date.
    `leeway_ms`: how long past `exp` a token counts. `iss`, `iat` and `exp` are required
    whatever `required_claims` holds. `revocable_claims`: see `claim_sets.py`.
    """

    longest_token_ms: int
    clock_allowance_ms: int = 5_000
    leeway_ms: int = 60_000
    required_claims: tuple[str, ...] = ("iss", "sub", "iat", "exp", "jti")
    version_claim: str = "ver"
    tenant_claim: str = "tenant"
    revocable_claims: tuple[ClaimSet, ...] = ()


class Token(NamedTuple):
    """A claims set that was read: all that a verdict needs of it, checked once.

    `names` holds an id for each of `NAMED_KINDS`, empty where the token has none;
    `more` what does not fit there: a second client, the resources asked for. Times are
    in ms.
    """

    issuer: str
    names: tuple[str, ...]
    more: tuple[tuple[Kind, str], ...]
    issued_at: float
    expires_at: float
    version: int | None

    def grants(self) -> Iterator[str]:
        """Return the ids of the grants: the user with each of the clients."""
        user, client = self.names[_USER], self.names[_CLIENT]
        if not user or not client:
            return
        yield grant_id(user, client)
        for kind, name in self.more:
            if kind is Kind.CLIENT:
                yield grant_id(user, name)

    def targets(self) -> tuple[Target, ...]:
        """Return every target that may reject the token."""
        issuer = self.issuer
        named = zip(NAMED_KINDS, self.names, strict=True)
        found = [Target(kind, issuer, name) for kind, name in named if name]
        found += [Target(kind, issuer, name) for kind, name in self.more]
        found += [Target(Kind.GRANT, issuer, name) for name in self.grants()]
        return tuple(found)


NAMED_KINDS: Final = (
    *(Kind.TOKEN, Kind.SESSION, Kind.USER, Kind.CLIENT),
    *(Kind.TENANT, Kind.ISSUER, Kind.KEY),
)
"""The kinds of which a token names one at most, in the order of `Token.names`."""

_new: Final = tuple.__new__
"""Makes a NamedTuple in a third of the time that its class takes."""

_USER: Final = NAMED_KINDS.index(Kind.USER)
_CLIENT: Final = NAMED_KINDS.index(Kind.CLIENT)


def read_token(
    claims: Claims,
    rules: Rules,
    *,
    kid: str | None = None,
    resources: Sequence[str] = (),
) -> Token | str:
    """Read what a token names, or say what would let it slip past a check.

    The answer names a claim, never its value: that may be personal. Never raises,
    whatever the claims are.

    Args:
        claims: the token's claims set, signature verified.
        rules: what the installation asks of its tokens.
        kid: the `kid` of the token's header.
        resources: what the request touches, each `type:id`.
    """
    token = _read_plain(claims, rules, kid) if type(claims) is dict else None
    if token is None:
        complaint = unverifiable(claims, rules, kid)
        if complaint is not None:
            return complaint
        token = _read(claims, rules, kid)
    if rules.revocable_claims:
        named = name_claims(token, claims, claim_reader(rules.revocable_claims))
        if isinstance(named, str):
            return named
        token = named
    return name_resources(token, resources) if resources else token


def name_claims(token: Token, claims: Claims, reader: ClaimReader) -> Token | str:
    """Return the token with what it names of claim sets, or a complaint."""
    named = reader.read(claims)
    if isinstance(named, str):
        return named
    if not named:
        return token
    issuer, names, more, issued_at, expires_at, version = token
    more = (*more, *named)
    return _new(Token, (issuer, names, more, issued_at, expires_at, version))


def name_resources(token: Token, resources: Sequence[str]) -> Token | str:
    """Return the token with the resources that a request touches, or a complaint."""
    named = [
        (Kind.RESOURCE, resource) for resource in resources if _is_resource(resource)
    ]
    if len(named) < len(resources):
        return "no event can name a resource asked for: it is not `type:id`"
    issuer, names, more, *rest = token
    return _new(Token, (issuer, names, (*more, *named), *rest))


def _read_plain(claims: dict[str, Any], rules: Rules, kid: Any) -> Token | None:
    """Read in one go what most tokens are like; None says to look more thoroughly."""
    get = claims.get
    if not all(map(get, rules.required_claims)):
        return None
    issuer, client = get("iss"), get("client_id", "")
    names: tuple[Any, ...] = (
        get("jti", ""),
        get("sid", ""),
        get("sub", ""),
        client,
        get(rules.tenant_claim, ""),
        issuer,
        "" if kid is None else kid,
    )
    try:
        joined = "".join(names)  # One look at them all; only text can be joined.
    except TypeError:
        return None
    if not joined.isascii() or len(joined) > MAX_ID_CHARACTERS:
        return None
    if get("azp", client) != client or not _matches_issuer(issuer):
        return None
    issued_at, expires_at, version = get("iat"), get("exp"), get(rules.version_claim)
    if (
        type(issued_at) is int
        and type(expires_at) is int
        and 0 <= issued_at <= _MAX_NUMERIC_DATE
        and 0 <= expires_at <= _MAX_NUMERIC_DATE
        and (version is None or type(version) is int)
    ):
        token = (issuer, names, (), issued_at * 1000, expires_at * 1000, version)
        return _new(Token, token)
    return None


def _read(claims: Claims, rules: Rules, kid: str | None) -> Token:
    get = claims.get
    client: str | None = get("client_id") or None
    party: str | None = get("azp") or None
    more: tuple[tuple[Kind, str], ...] = ()
    if client is None:
        client = party
    elif party is not None and party != client:
        # RFC 9068 has `client_id`, OpenID Connect `azp`; if they differ, both count.
        more = ((Kind.CLIENT, party),)
    # An empty name is none: nothing can be revoked by it, or needs to be.
    names = (
        *(get("jti"), get("sid"), get("sub"), client),
        *(get(rules.tenant_claim), claims["iss"], kid),
    )
    return Token(
        claims["iss"],
        tuple([name or "" for name in names]),
        more,
        claims["iat"] * 1000,
        claims["exp"] * 1000,
        get(rules.version_claim),
    )


def unverifiable(claims: Claims, rules: Rules, kid: Any) -> str | None:
    """Say what would let the token slip past a check, if anything."""
    if not isinstance(claims, Mapping):
        return "the claims are no JSON object"
    if kid is not None and not _is_id(kid) and kid != "":
        return "no event can name the `kid`"
    return _unnameable(claims, rules) or _immeasurable(claims, rules)


def _unnameable(claims: Claims, rules: Rules) -> str | None:
    for name in rules.required_claims:
        # A `ver` of 0 is one: that of a user who was never revoked.
        if claims.get(name) in (None, ""):
            return f"the token has no `{name}` claim"
    if not _is_issuer(claims.get("iss")):
        return "no event can name the `iss` claim"
    for name in (*_IDS, rules.tenant_claim):
        value = claims.get(name)
        if value is not None and not _is_id(value) and value != "":
            return f"no event can name the `{name}` claim"
    return None


def _immeasurable(claims: Claims, rules: Rules) -> str | None:
    for name in ("iat", "exp"):
        value: Any = claims.get(name)
        # The range also keeps NaN, infinity and overflow out of every comparison.
        if type(value) not in _NUMBERS or not 0 <= value <= _MAX_NUMERIC_DATE:
            return f"the `{name}` claim is no time in seconds"
    version = claims.get(rules.version_claim)
    if version is not None and type(version) is not int:
        return f"the `{rules.version_claim}` claim is no whole number"
    return None


def _is_id(value: Any) -> TypeGuard[str]:
    """Whether an event can name it. A lone surrogate has no bytes to look up."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARACTERS:
        return False
    return value.isascii() or _SURROGATE.search(value) is None


def _is_resource(value: Any) -> TypeGuard[str]:
    return _is_id(value) and _RESOURCE.match(value) is not None


def _is_issuer(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and _matches_issuer(value)


@lru_cache(maxsize=1_024)
def _matches_issuer(value: str) -> bool:
    """Remember the answer: issuers are few, and this is asked for every token."""
    return _is_id(value) and re.fullmatch(ISSUER_PATTERN, value) is not None
