"""The rule that turns claims and entries into a verdict. Pure: no IO, no clock.

`targets_of` says what must be looked up for a token, `decide` what the answer means.
Every verifier, in memory or remote, uses these two and nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from revocation.claims import Claims, Rules, targets_of, unverifiable
from revocation.entries import DENYLIST_KINDS, Entry, Kind, Status, Target, UnixMs

__all__ = [
    "DEFAULT_POLICIES",
    "Beyond",
    "Claims",
    "Found",
    "Freshness",
    "Reason",
    "Rules",
    "StalenessPolicy",
    "Verdict",
    "decide",
    "targets_of",
]

Found = Mapping[Target, Entry]
"""The entries that exist among the targets looked up."""


class Reason(StrEnum):
    """Why a token counts or not. The codes are stable."""

    ACTIVE = "active"
    """Nothing known speaks against the token."""
    NOT_READY = "not_ready"
    """The region's cache is empty or half loaded: nobody knows."""
    UNVERIFIABLE = "unverifiable"
    """The token lacks a claim that a check needs, or has one that no event can name."""
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


def decide(  # noqa: PLR0913 - the whole of what a verdict depends on
    claims: Claims,
    found: Found,
    freshness: Freshness,
    *,
    policy: StalenessPolicy,
    rules: Rules,
    now: UnixMs,
    kid: str | None = None,
    resources: Sequence[str] = (),
) -> Verdict:
    """Return the verdict about a token whose signature was verified elsewhere.

    Never raises, whatever the claims are.

    Args:
        claims: the token's claims set.
        found: the entries found for `targets_of(claims, ...)`.
        freshness: how much of the log the answer rests on.
        policy: what the route class does when that is too old.
        rules: what the installation asks of its tokens.
        now: the verifier's clock.
        kid: as given to `targets_of`.
        resources: as given to `targets_of`.
    """
    staleness = _staleness(freshness.as_of, rules, now)
    if not freshness.ready:
        finding = _NOT_READY
    elif detail := unverifiable(claims, rules, now, kid, resources):
        finding = _Finding(Reason.UNVERIFIABLE, detail=detail)
    else:
        finding = (
            _untimely(claims, rules, now)
            or _rejection(claims, found, rules, now)
            or _PASSED
        )
    too_stale = staleness > policy.max_staleness_ms and policy.beyond is Beyond.DENY
    if too_stale and finding is _PASSED:
        finding = _STALE
    return Verdict(
        active=finding is _PASSED,
        reason=finding.reason,
        as_of=freshness.as_of,
        staleness_ms=staleness,
        stale=staleness > min(policy.fresh_ms, policy.max_staleness_ms),
        receipt=finding.receipt,
        detail=finding.detail,
    )


class _Finding(NamedTuple):
    reason: Reason
    receipt: str | None = None
    detail: str | None = None


_PASSED: Final = _Finding(Reason.ACTIVE)
_NOT_READY: Final = _Finding(Reason.NOT_READY)
_STALE: Final = _Finding(Reason.STALE)


def _staleness(as_of: UnixMs, rules: Rules, now: UnixMs) -> int:
    """Return how old the knowledge may be.

    A watermark of the future says that a clock is wrong by at least as much, and the
    age is unknown by at least as much.
    """
    if as_of <= now:
        return now - as_of
    ahead = as_of - now
    return ahead if ahead > rules.clock_allowance_ms else 0


def _untimely(claims: Claims, rules: Rules, now: UnixMs) -> _Finding | None:
    if claims["exp"] * 1000 + rules.leeway_ms <= now:
        return _Finding(Reason.EXPIRED)
    if (claims["exp"] - claims["iat"]) * 1000 > rules.longest_token_ms:
        return _Finding(Reason.LIFETIME_EXCEEDED)
    return None


def _rejection(
    claims: Claims, found: Found, rules: Rules, now: UnixMs
) -> _Finding | None:
    entries: Iterable[Entry] = found.values()
    if len(found) > 1:
        entries = sorted(entries, key=_precedence)
    for entry in entries:
        reason = _judge(claims, entry, rules, now)
        if reason is not None:
            return _Finding(reason, entry.source.receipt)
    return None


_REASONS: Final = {
    Kind.KEY: Reason.KEY_REVOKED,
    Kind.ISSUER: Reason.ISSUER_REVOKED,
    Kind.TENANT: Reason.TENANT_REVOKED,
    Kind.CLIENT: Reason.CLIENT_REVOKED,
    Kind.USER: Reason.ISSUED_BEFORE_CUT_OFF,
    Kind.GRANT: Reason.GRANT_REVOKED,
    Kind.SESSION: Reason.SESSION_ENDED,
    Kind.TOKEN: Reason.TOKEN_REVOKED,
    Kind.RESOURCE: Reason.RESOURCE_DELETED,
}
"""In the order in which they are given."""

_ORDER: Final = {kind: place for place, kind in enumerate(_REASONS)}


def _precedence(entry: Entry) -> int:
    return _ORDER[entry.target.kind]


def _judge(claims: Claims, entry: Entry, rules: Rules, now: UnixMs) -> Reason | None:
    kind = entry.target.kind
    if kind is Kind.USER:
        return _judge_user(claims, entry, rules)
    if kind in DENYLIST_KINDS:
        rejected = now < entry.expires_at
    else:
        before = claims["iat"] * 1000 < entry.not_before
        rejected = before or entry.status is not Status.ACTIVE
    return _REASONS[kind] if rejected else None


def _judge_user(claims: Claims, entry: Entry, rules: Rules) -> Reason | None:
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
        return None
    close = issued_at >= entry.not_before - rules.clock_allowance_ms
    if close and version is not None:
        return None
    return Reason.ISSUED_BEFORE_CUT_OFF
