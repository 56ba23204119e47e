"""The rule that turns claims and entries into a verdict. Pure: no IO, no clock.

`targets_of` says what must be looked up for a token, `decide` what the answer means.
Every verifier, in memory or remote, uses these two and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from revocation.entries import Entry, Kind, Status, Target, UnixMs, grant_id

Claims = Mapping[str, Any]
"""The claims set of a JWT whose signature somebody has verified (RFC 7519)."""

Found = Mapping[Target, Entry]
"""The entries that exist among the targets looked up."""


class Reason(StrEnum):
    """Why a token counts or not. The codes are stable."""

    ACTIVE = "active"
    """Nothing known speaks against the token."""
    NOT_READY = "not_ready"
    """The region's cache is empty or half loaded: nobody knows."""
    UNVERIFIABLE = "unverifiable"
    """The token lacks a claim that a check needs, or has one of the wrong type."""
    EXPIRED = "expired"
    """Past `exp`; denylist entries end there too, so nothing could be said."""
    LIFETIME_EXCEEDED = "lifetime_exceeded"
    """Lives longer than allowed, and so might outlive its denylist entry."""
    KEY_REVOKED = "key_revoked"
    """Signed with a revoked key."""
    ISSUER_REVOKED = "issuer_revoked"
    """Issued before the issuer's cut-off, or the issuer is disabled."""
    TENANT_REVOKED = "tenant_revoked"
    """Issued before the tenant's cut-off, or the tenant is disabled."""
    CLIENT_REVOKED = "client_revoked"
    """Issued before the client's cut-off, or the client is disabled."""
    USER_DELETED = "user_deleted"
    """The user's data was deleted."""
    USER_DISABLED = "user_disabled"
    """The user is disabled."""
    VERSION_SUPERSEDED = "version_superseded"
    """The `ver` claim is below the user's version."""
    ISSUED_BEFORE_CUT_OFF = "issued_before_cut_off"
    """Issued before the user's cut-off."""
    GRANT_REVOKED = "grant_revoked"
    """Issued before the user withdrew the grant from this client."""
    SESSION_ENDED = "session_ended"
    """The session ended."""
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a code, not a secret
    """The token itself was revoked."""
    RESOURCE_DELETED = "resource_deleted"
    """Issued before the resource asked for was deleted."""
    STALE = "stale"
    """Nothing known speaks against it, but what is known is too old."""


class Freshness(NamedTuple):
    """How much of the log a region's cache knows.

    `as_of`: every event acknowledged before this instant, by the brokers' clock, has
    been applied. `ready`: the cache is complete.
    """

    ready: bool
    as_of: UnixMs


class Beyond(StrEnum):
    """What to do past `max_staleness_ms`."""

    DENY = "deny"
    """Reject: data accuracy over token acceptance."""
    ALLOW = "allow"
    """Accept, count it, and say so in the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StalenessPolicy:
    """What a route class does when the cache is behind.

    Past `fresh_ms` an answer counts as given while stale; past `max_staleness_ms`
    `beyond` decides.
    """

    fresh_ms: int = 5_000
    max_staleness_ms: int = 5_000
    beyond: Beyond = Beyond.DENY


DEFAULT_POLICIES: Final[Mapping[str, StalenessPolicy]] = {
    "read": StalenessPolicy(max_staleness_ms=60_000),
    "write": StalenessPolicy(),
}
"""Route classes that always exist: reads tolerate a minute, writes five seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an installation asks of its tokens. Times are in ms, claims are names."""

    longest_token_ms: int
    clock_allowance_ms: int = 5_000
    leeway_ms: int = 60_000
    required_claims: tuple[str, ...] = ("iss", "sub", "iat", "exp", "jti")
    version_claim: str = "ver"
    tenant_claim: str = "tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer about one token, and as of when it is true.

    `staleness_ms` is the verifier's clock minus `as_of`. `stale`: the answer was given
    past the route class's `fresh_ms`. `receipt`: the event that rejects, if one does.
    """

    active: bool
    reason: Reason
    as_of: UnixMs
    staleness_ms: int
    stale: bool = False
    receipt: str | None = None
    detail: str | None = None


def targets_of(
    claims: Claims,
    rules: Rules,
    *,
    kid: str | None = None,
    resources: Sequence[str] = (),
) -> tuple[Target, ...]:
    """Return every target that may reject the token, in the order of `decide`."""
    issuer = claims.get("iss")
    if not isinstance(issuer, str):
        return ()
    user, client = claims.get("sub"), _client(claims)
    named: list[tuple[Kind, Any]] = [
        (Kind.KEY, kid),
        (Kind.ISSUER, issuer),
        (Kind.TENANT, claims.get(rules.tenant_claim)),
        (Kind.CLIENT, client),
        (Kind.USER, user),
        (Kind.SESSION, claims.get("sid")),
        (Kind.TOKEN, claims.get("jti")),
        *((Kind.RESOURCE, resource) for resource in resources),
    ]
    if isinstance(user, str) and isinstance(client, str):
        named.insert(5, (Kind.GRANT, grant_id(user, client)))
    return tuple(Target(kind, issuer, name) for kind, name in named if name)


def _client(claims: Claims) -> Any:
    """RFC 9068 has `client_id`, OpenID Connect `azp`."""
    return claims.get("client_id") or claims.get("azp")


def decide(  # noqa: PLR0913 - the whole of what a verdict depends on
    claims: Claims,
    found: Found,
    freshness: Freshness,
    *,
    policy: StalenessPolicy,
    rules: Rules,
    now: UnixMs,
) -> Verdict:
    """Return the verdict about a token whose signature was verified elsewhere.

    Args:
        claims: the token's claims set.
        found: the entries found for `targets_of(claims, ...)`.
        freshness: how much of the log the answer rests on.
        policy: what the route class does when that is too old.
        rules: what the installation asks of its tokens.
        now: the verifier's clock.
    """
    staleness = max(0, now - freshness.as_of)
    stale = staleness > policy.fresh_ms

    def verdict(
        reason: Reason, receipt: str | None = None, detail: str | None = None
    ) -> Verdict:
        return Verdict(
            active=reason is Reason.ACTIVE,
            reason=reason,
            as_of=freshness.as_of,
            staleness_ms=staleness,
            stale=stale,
            receipt=receipt,
            detail=detail,
        )

    if not freshness.ready:
        return verdict(Reason.NOT_READY)
    lacking = _unverifiable(claims, rules)
    if lacking:
        return verdict(Reason.UNVERIFIABLE, detail=lacking)
    timely = _timely(claims, rules, now)
    if timely is not Reason.ACTIVE:
        return verdict(timely)
    for entry in sorted(found.values(), key=_precedence):
        reason = _judge(claims, entry, rules, now)
        if reason is not Reason.ACTIVE:
            return verdict(reason, entry.source.receipt)
    if staleness > policy.max_staleness_ms and policy.beyond is Beyond.DENY:
        return verdict(Reason.STALE)
    return verdict(Reason.ACTIVE)


_ORDER: Final = {
    kind: place
    for place, kind in enumerate(
        (
            Kind.KEY,
            Kind.ISSUER,
            Kind.TENANT,
            Kind.CLIENT,
            Kind.USER,
            Kind.GRANT,
            Kind.SESSION,
            Kind.TOKEN,
            Kind.RESOURCE,
        )
    )
}


def _precedence(entry: Entry) -> int:
    return _ORDER[entry.target.kind]


def _unverifiable(claims: Claims, rules: Rules) -> str | None:
    """Name the claim whose absence would let the token slip past a check."""
    for name in rules.required_claims:
        if claims.get(name) in (None, ""):
            return f"the token has no `{name}` claim"
    for name in ("iss", "sub", "jti", "sid", "client_id", "azp", rules.tenant_claim):
        if not isinstance(claims.get(name, ""), str):
            return f"the `{name}` claim is not a string"
    for name in ("iat", "exp"):
        value = claims.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"the `{name}` claim is not a number"
    version = claims.get(rules.version_claim, 0)
    if isinstance(version, bool) or not isinstance(version, int):
        return f"the `{rules.version_claim}` claim is not a whole number"
    return None


def _timely(claims: Claims, rules: Rules, now: UnixMs) -> Reason:
    if claims["exp"] * 1000 + rules.leeway_ms <= now:
        return Reason.EXPIRED
    if (claims["exp"] - claims["iat"]) * 1000 > rules.longest_token_ms:
        return Reason.LIFETIME_EXCEEDED
    return Reason.ACTIVE


_BOUNDARY_REASON: Final = {
    Kind.KEY: Reason.KEY_REVOKED,
    Kind.ISSUER: Reason.ISSUER_REVOKED,
    Kind.TENANT: Reason.TENANT_REVOKED,
    Kind.CLIENT: Reason.CLIENT_REVOKED,
    Kind.GRANT: Reason.GRANT_REVOKED,
    Kind.RESOURCE: Reason.RESOURCE_DELETED,
}


def _judge(claims: Claims, entry: Entry, rules: Rules, now: UnixMs) -> Reason:
    match entry.target.kind:
        case Kind.TOKEN:
            return Reason.TOKEN_REVOKED if now < entry.expires_at else Reason.ACTIVE
        case Kind.SESSION:
            return Reason.SESSION_ENDED if now < entry.expires_at else Reason.ACTIVE
        case Kind.USER:
            return _judge_user(claims, entry, rules)
        case kind:
            disabled = entry.status is not Status.ACTIVE
            before = claims["iat"] * 1000 < entry.not_before
            return _BOUNDARY_REASON[kind] if disabled or before else Reason.ACTIVE


def _judge_user(claims: Claims, entry: Entry, rules: Rules) -> Reason:
    """Judge by status, then counter, then clock.

    `iat` has whole seconds and an issuer's clock may be behind, so close to the cut-off
    a counter that is high enough is believed over the clock; further away never, so a
    counter that was once wrong cannot keep an old token alive.
    """
    if entry.status is Status.DELETED:
        return Reason.USER_DELETED
    if entry.status is Status.DISABLED:
        return Reason.USER_DISABLED
    version = claims.get(rules.version_claim)
    if version is not None and version < entry.version:
        return Reason.VERSION_SUPERSEDED
    issued_at = claims["iat"] * 1000
    if issued_at >= entry.not_before:
        return Reason.ACTIVE
    close = issued_at >= entry.not_before - rules.clock_allowance_ms
    if close and version is not None:
        return Reason.ACTIVE
    return Reason.ISSUED_BEFORE_CUT_OFF
