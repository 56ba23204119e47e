"""One case: a token, what a region knows, and the reason that a person expects.

Most cases are about one token and differ from it in what their name says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from revocation.claims.claim_names import ClaimNames
from revocation.claims.claims import Rules
from revocation.decision import Freshness, Reason, StalenessPolicy
from revocation.entries import (
    Entry,
    Kind,
    Limits,
    Offset,
    Position,
    Status,
    Target,
    UnixMs,
    Version,
    grant_id,
)

NOW: Final = UnixMs(4_000_000_000_000)
"""In 2096, so that a real server does not take the entries for expired."""

ISSUER: Final = "https://issuer.example"
ISSUED_AT: Final = UnixMs(NOW - 600_000)
CLAIMS: Final[dict[str, Any]] = {
    "iss": ISSUER,
    "sub": "user-1",
    "jti": "token-1",
    "sid": "session-1",
    "client_id": "client-1",
    "tenant": "tenant-1",
    "ver": 3,
    "iat": ISSUED_AT // 1000,
    "exp": NOW // 1000 + 3_000,
}
NAMES: Final = ClaimNames(version="ver")
RULES: Final = Rules(longest_token_ms=3_600_000, names=NAMES)
PEPPER: Final = "0123456789abcdef" * 4
EPOCH: Final = "vectors"
REGION: Final = "eu"
FRESH: Final = Freshness(ready=True, as_of=UnixMs(NOW - 300))
READ: Final = StalenessPolicy(max_staleness_ms=60_000)
WRITE: Final = StalenessPolicy()

IDS: Final = {
    Kind.KEY: "key-1",
    Kind.ISSUER: ISSUER,
    Kind.TENANT: "tenant-1",
    Kind.CLIENT: "client-1",
    Kind.USER: "user-1",
    Kind.GRANT: grant_id("user-1", "client-1"),
    Kind.SESSION: "session-1",
    Kind.TOKEN: "token-1",
    Kind.RESOURCE: "dataset:42",
    Kind.CLAIMS: "client_id=client-1&tenant=tenant-1",
}
"""What the token names, together with `ASKED`."""

ASKED: Final[dict[str, Any]] = {
    "kid": "key-1",
    "resources": ("dataset:42",),
    "rules": replace(RULES, revocable_claims=(("client_id", "tenant"),)),
}
"""For cases in which all kinds are looked up."""

_HERE: Final = Position(3, Offset(1_742), UnixMs(NOW - 60_000))
_NEVER: Final = -1
_LIMITS: Final = Limits(RULES.longest_token_ms, 86_400_000, leeway_ms=65_000)


class StoredEntry(NamedTuple):
    """An entry as it lies in a store. `expires_at`: -1 for never."""

    entry: Entry
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a verifier is given, and the reason it must give.

    `pepper` is the text of the pepper file. A cold region has no epoch. `states`: what
    the region states of itself, where that is not what the verifier needs. `canaries`:
    the epoch that they are of; None if there are none.
    """

    name: str
    reason: Reason
    entries: Sequence[StoredEntry] = ()
    claims: Any = field(default_factory=CLAIMS.copy)
    kid: Any = None
    resources: Sequence[Any] = ()
    freshness: Freshness = FRESH
    cold: bool = False
    states: Mapping[str, Any] = field(default_factory=dict)
    canaries: str | None = EPOCH
    policy: StalenessPolicy = READ
    rules: Rules = RULES
    pepper: str = PEPPER
    prefix: str = ""
    now: UnixMs = NOW
    skew_ms: int = 0


def case(name: str, reason: Reason, *entries: StoredEntry, **more: Any) -> Case:
    """Return a case."""
    return Case(name=name, reason=reason, entries=entries, **more)


def subject(  # noqa: PLR0913 - one keyword for each part of the value
    kind: Kind,
    *,
    id_: str | None = None,
    issuer: str = ISSUER,
    version: int = 0,
    not_before: int = 0,
    status: Status = Status.ACTIVE,
    source: Position = _HERE,
) -> StoredEntry:
    """Return a subject's entry, about what the token names if no id is given."""
    entry = Entry(
        Target(kind, issuer, IDS[kind] if id_ is None else id_),
        source,
        version=Version(version),
        not_before=UnixMs(not_before),
        status=status,
        status_time=source.time if status is not Status.ACTIVE else UnixMs(0),
    )
    until = entry.relevant_until(_LIMITS)
    return StoredEntry(entry, _NEVER if until is None else until)


def denied(
    kind: Kind, *, id_: str | None = None, until: int = NOW + 900_000
) -> StoredEntry:
    """Return a denylist entry, about what the token names if no id is given."""
    target = Target(kind, ISSUER, IDS[kind] if id_ is None else id_)
    return StoredEntry(Entry(target, _HERE, expires_at=UnixMs(until)), until)


def claims(**changed: Any) -> dict[str, Any]:
    """Return the token's claims, changed; `...` takes one out."""
    merged = {**CLAIMS, **changed}
    return {name: value for name, value in merged.items() if value is not ...}


def issued(after_ms: float, cut_off: int, **changed: Any) -> dict[str, Any]:
    """Return the claims of a token issued some milliseconds after a cut-off."""
    at: float = (cut_off + after_ms) / 1000
    issued_at = int(at) if at == int(at) else at
    return claims(**{"iat": issued_at, "exp": issued_at + 3_000, **changed})
