"""The rule that turns claims and entries into a verdict. Pure: no IO, no clock.

`read_token` returns the targets to look up for a token; `decide` turns the entries
found into a verdict. Every verifier, in memory or remote, uses these two alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Any, Final, NamedTuple

from revocation.claims.claims import Claims, Rules, Token, read_token
from revocation.entries import DENYLIST_KINDS, Entry, Kind, Status, Target, UnixMs

__all__ = [
    "DEFAULT_POLICIES",
    "REJECTING",
    "Beyond",
    "Claims",
    "Found",
    "Freshness",
    "Reason",
    "Rules",
    "StalenessPolicy",
    "Token",
    "Verdict",
    "decide",
    "read_token",
]

Found = Mapping[Target, Entry]
"""The entries that exist, by the target that was looked up."""


class Reason(StrEnum):
    """Why a token is accepted or rejected. The codes are stable."""

    ACTIVE = "active"
    """Nothing revokes the token, as far as is known."""
    NOT_READY = "not_ready"
    """The region's cache is empty or incomplete, so the state is unknown."""
    MALFORMED = "malformed"
    """Not an acceptable compact JWT: its size, form, encoding or header."""
    ISSUER_UNTRUSTED = "issuer_untrusted"
    """The `iss` is not among the trusted issuers."""
    TYPE_REFUSED = "type_refused"
    """Another kind of token, by its `typ` or by claims that only that kind has."""
    ALGORITHM_REFUSED = "algorithm_refused"
    """Signed with an algorithm not allowed for its issuer, or `none`."""
    KEY_UNKNOWN = "key_unknown"
    """The issuer's key set has no matching key."""
    SIGNATURE_INVALID = "signature_invalid"
    """Not signed by the issuer's key."""
    AUDIENCE_REFUSED = "audience_refused"
    """Intended for another audience."""
    NOT_YET_VALID = "not_yet_valid"
    """Before `nbf`."""
    UNVERIFIABLE = "unverifiable"
    """The token lacks a claim that a check needs, has one that no event can name, or is
    dated further ahead than cut-offs reach."""
    EXPIRED = "expired"
    """Past `exp`; denylist entries end there too, so revocation is unknown."""
    LIFETIME_EXCEEDED = "lifetime_exceeded"
    """Lives longer than allowed, so it might outlive its denylist entry."""
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
    CLAIMS_REVOKED = "claims_revoked"
    """Has claims that were revoked after it was issued, or that are disabled."""
    SESSION_ENDED = "session_ended"
    """The session ended."""
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a code, not a secret
    """The token itself was revoked."""
    RESOURCE_DELETED = "resource_deleted"
    """Issued before the requested resource was deleted."""
    INTROSPECTION_INACTIVE = "introspection_inactive"
    """The region was behind, and introspection at the issuer returned inactive."""
    STALE = "stale"
    """Nothing revokes the token as far as is known, but that knowledge is too old."""


REJECTING: Final[Mapping[Reason, Kind]] = {
    Reason.KEY_REVOKED: Kind.KEY,
    Reason.ISSUER_REVOKED: Kind.ISSUER,
    Reason.TENANT_REVOKED: Kind.TENANT,
    Reason.CLIENT_REVOKED: Kind.CLIENT,
    Reason.USER_DELETED: Kind.USER,
    Reason.USER_DISABLED: Kind.USER,
    Reason.VERSION_SUPERSEDED: Kind.USER,
    Reason.ISSUED_BEFORE_CUT_OFF: Kind.USER,
    Reason.GRANT_REVOKED: Kind.GRANT,
    Reason.CLAIMS_REVOKED: Kind.CLAIMS,
    Reason.SESSION_ENDED: Kind.SESSION,
    Reason.TOKEN_REVOKED: Kind.TOKEN,
    Reason.RESOURCE_DELETED: Kind.RESOURCE,
}
"""The reasons for which an entry rejects, with its kind; the rest concern the token.

If several entries reject a token, the verdict names the first in this order.
"""


def _require_reasons(kinds: Iterable[Kind]) -> None:
    """Refuse a kind without a reason: no verdict about its entries could be given."""
    if missing := [str(kind) for kind in kinds if kind not in REJECTING.values()]:
        raise TypeError(f"no reason is listed for entries of {', '.join(missing)}")


_require_reasons(Kind)


class Freshness(NamedTuple):
    """How much of the log a region's cache reflects.

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
    """Accept, count it, and mark the verdict as stale."""
    INTROSPECT = "introspect"
    """Ask a fallback that may be fresh; reject if there is none or it fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StalenessPolicy:
    """What a route class does when the cache is behind.

    Past `fresh_ms` verdicts are marked as stale; past `max_staleness_ms` `beyond`
    decides.
    """

    fresh_ms: int = 5_000
    max_staleness_ms: int = 5_000
    beyond: Beyond = Beyond.DENY

    def __post_init__(self) -> None:
        """Convert text to a `Beyond`; a ValueError names an unknown one."""
        object.__setattr__(self, "beyond", Beyond(self.beyond))


DEFAULT_POLICIES: Final[Mapping[str, StalenessPolicy]] = {
    "read": StalenessPolicy(max_staleness_ms=60_000),
    "write": StalenessPolicy(),
}
"""Route classes that always exist: reads tolerate a minute, writes five seconds."""


class Verdict(NamedTuple):
    """The answer about one token, and as of when it holds. True when active.

    `as_of`: every event acknowledged before this instant, by the brokers' clock, was
    taken into account. `staleness_ms`: the verifier's clock minus `as_of`. `stale`: the
    staleness exceeds the route class's `fresh_ms`. `entry`: the entry that rejects, if
    any. `detail`: what is wrong with the token; it names claims but not their values,
    except for how far in the future a date lies.
    """

    active: bool
    reason: Reason
    as_of: UnixMs
    staleness_ms: int
    stale: bool = False
    entry: Entry | None = None
    detail: str | None = None

    def __bool__(self) -> bool:
        """Return `active`: without it, `if verdict:` would admit every token."""
        return self.active

    @property
    def receipt(self) -> str | None:
        """The receipt of the event that rejects, if any."""
        return None if self.entry is None else self.entry.source.receipt

    def to_json(self) -> dict[str, Any]:
        """Return the members that may leave the process: they hold no identifier."""
        return {
            "active": self.active,
            "reason": self.reason,
            "as_of": self.as_of,
            "staleness_ms": self.staleness_ms,
            "stale": self.stale,
            "receipt": self.receipt,
            "detail": self.detail,
        }


def decide(  # noqa: PLR0913 - everything that a verdict depends on
    token: Token | str,
    found: Found,
    freshness: Freshness,
    *,
    policy: StalenessPolicy,
    rules: Rules,
    now: UnixMs,
    skew_ms: int = 0,
) -> Verdict:
    """Return the verdict about a token whose signature was verified elsewhere.

    Never raises.

    Args:
        token: what `read_token` returned.
        found: the entries found for `token.targets()`.
        freshness: how much of the log the entries reflect.
        policy: what the route class does when they are too old.
        rules: what the installation requires of its tokens.
        now: the latest possible time: the verifier's clock plus `skew_ms`.
        skew_ms: how far the verifier's clock may be off; the earliest possible time is
            `now` minus twice that.
    """
    ready, as_of = freshness
    staleness = now - as_of
    if staleness < 0:
        staleness = _staleness_ahead(-staleness, rules)
    entry = detail = None
    if not ready:
        reason = Reason.NOT_READY
    elif isinstance(token, str):
        reason, detail = Reason.UNVERIFIABLE, token
    else:
        _, _, _, issued_at, expires_at, _, longest = token
        if issued_at > now - 2 * skew_ms + rules.clock_allowance_ms:
            reason = Reason.UNVERIFIABLE
            detail = _describe_ahead(issued_at - now + 2 * skew_ms, rules)
        elif expires_at + rules.leeway_ms <= now:
            reason = Reason.EXPIRED
        elif expires_at - issued_at > longest:
            reason = Reason.LIFETIME_EXCEEDED
        elif found:
            reason, entry = _find_rejection(token, found, rules, now)
        else:
            reason = _ACTIVE
    active, max_staleness = reason is _ACTIVE, policy.max_staleness_ms
    if active and staleness > max_staleness:
        active = policy.beyond is Beyond.ALLOW
        reason = reason if active else Reason.STALE
    stale = staleness > policy.fresh_ms or staleness > max_staleness
    # Costs a third of calling the class, which would be a tenth of a check.
    return _new(Verdict, (active, reason, as_of, staleness, stale, entry, detail))


_ACTIVE: Final = Reason.ACTIVE
_new: Final = tuple.__new__


def _describe_ahead(ahead_ms: float, rules: Rules) -> str:
    """Say how far in the future a token is dated, in seconds, rounded up."""
    return (
        f"the `iat` claim is {ceil(ahead_ms / 1_000)} s in the future; at most "
        f"{rules.clock_allowance_ms / 1_000:g} s are accepted (clock_allowance_seconds)"
    )


def _staleness_ahead(ahead: int, rules: Rules) -> int:
    """Return the staleness to assume when the watermark lies in the future.

    Some clock is wrong by at least that much, and so may be the staleness.
    """
    return ahead if ahead > rules.clock_allowance_ms else 0


def _find_rejection(
    token: Token, found: Found, rules: Rules, now: UnixMs
) -> tuple[Reason, Entry | None]:
    for entry in sorted(found.values(), key=_precedence):
        reason = _judge(token, entry, rules, now)
        if reason is not None:
            return reason, entry
    return _ACTIVE, None


_REASONS: Final = {kind: reason for reason, kind in REJECTING.items()}
"""The reason for which an entry of each kind rejects; users have several."""

_ORDER: Final = {kind: index for index, kind in enumerate(_REASONS)}


def _precedence(entry: Entry) -> int:
    return _ORDER[entry.target.kind]


def _judge(token: Token, entry: Entry, rules: Rules, now: UnixMs) -> Reason | None:
    kind = entry.target.kind
    if kind is Kind.USER:
        return _judge_user(token, entry, rules)
    if kind in DENYLIST_KINDS:
        rejected = now < entry.expires_at
    else:
        cut_off = token.issued_at <= entry.not_before + rules.clock_allowance_ms
        rejected = cut_off or entry.status is not Status.ACTIVE
    return _REASONS[kind] if rejected else None


def _judge_user(token: Token, entry: Entry, rules: Rules) -> Reason | None:
    """Judge by status, then version, then clock.

    Close to the cut-off, clocks cannot tell old tokens from new: a version that is high
    enough is trusted there, and a token without one is rejected. A token clearly older
    is rejected whatever its version, so a wrong version cannot keep an old token alive.
    """
    if entry.status is Status.DELETED:
        return Reason.USER_DELETED
    if entry.status is Status.DISABLED:
        return Reason.USER_DISABLED
    version = token.version
    if version is not None and version < entry.version:
        return Reason.VERSION_SUPERSEDED
    allowance = rules.clock_allowance_ms
    if version is None:
        cut_off = token.issued_at <= entry.not_before + allowance
    else:
        cut_off = token.issued_at < entry.not_before - allowance
    return Reason.ISSUED_BEFORE_CUT_OFF if cut_off else None
