"""The entries that the authority derives from events; `updates.py` transports them.

An `Entry` is the absolute state of one target, never a delta; two entries of one target
`merge` into one, in any order, any number of times, with the same result (a join
semilattice).
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple, NewType

UnixMs = NewType("UnixMs", int)
"""Milliseconds since the epoch; whose clock it is follows from the context."""

Offset = NewType("Offset", int)
"""A record's offset within its partition."""

Version = NewType("Version", int)
"""A user-version counter; 0 means that the user was never revoked."""

MAX_ID_CHARACTERS: Final = 512
"""The longest issuer and id that an event may name."""

ISSUER_PATTERN: Final = r"^[!#-\[\]-{}~]+$"
"""Printable ASCII without space, `"`, `|` and `\\`: all that a URI may hold, and more.

So a bar always ends the issuer in a key, and the update of a bulk event stays within
its size limit.
"""

RESOURCE_PATTERN: Final = r"^[^:]+:[\s\S]"
"""`type:id`, for instance `dataset:42`."""

_ROUNDING_MS: Final = 1_000

RECENT_EVENTS: Final = 8
"""How many event fingerprints an entry keeps, to recognise a producer's retry."""


class Kind(StrEnum):
    """What a target is."""

    TOKEN = "token"  # noqa: S105 - the name of a kind, not a secret
    """One JWT, by `jti` (RFC 7519 section 4.1.7)."""
    SESSION = "session"
    """One login session, by `sid` (OpenID Connect Front-Channel Logout 1.0)."""
    USER = "user"
    """A subject, by `sub`."""
    GRANT = "grant"
    """What one user granted to one client; see `grant_id`."""
    CLIENT = "client"
    """An OAuth client, by `client_id`."""
    TENANT = "tenant"
    """A tenant of the issuer."""
    ISSUER = "issuer"
    """All tokens of an issuer; the id is the issuer itself."""
    KEY = "key"
    """A signing key, by `kid`."""
    RESOURCE = "resource"
    """A piece of data, `type:id`, for instance `dataset:42`."""
    CLAIMS = "claims"
    """Values of revocable claims; see `claim_sets.claims_id`."""


class Status(StrEnum):
    """Whether a subject may use any token at all."""

    ACTIVE = "active"
    """Only older tokens are rejected (cut-off, version)."""
    DISABLED = "disabled"
    """Every token is rejected until a later event enables the subject again."""
    DELETED = "deleted"
    """Every token is rejected, for ever."""


DENYLIST_KINDS: Final = frozenset({Kind.TOKEN, Kind.SESSION})
"""Kinds whose entries mean only "rejected until `expires_at`" and need no history."""

NO_EXPIRY: Final = UnixMs(2**53 - 1)
"""`expires_at` when the event does not say when the token expires.

The largest integer that every JSON parser keeps exactly, so it wins each merge.
"""

STANDING_KINDS: Final = frozenset({Kind.KEY, Kind.CLIENT, Kind.TENANT, Kind.ISSUER})
"""Kinds whose entries never expire in a region: they are few and broad."""

_SEVERITY: Final = {Status.ACTIVE: 0, Status.DISABLED: 1, Status.DELETED: 2}


class Target(NamedTuple):
    """What an event or entry is about. `str(target)` is its Kafka key."""

    kind: Kind
    issuer: str
    id: str

    def __str__(self) -> str:
        """Return `issuer|kind|id`: unambiguous, as no issuer or kind contains a bar."""
        return f"{self.issuer}|{self.kind}|{self.id}"

    def __repr__(self) -> str:
        """Hide the id, which may be personal data: logs and tracebacks show this.

        A hash that is meaningful within this process only distinguishes targets.
        """
        return f"Target({self.kind}, {self.issuer}, #{hash(self.id) & 0xFFFFFFFF:08x})"


def longest_ms(seconds: int) -> int:
    """Return a longest lifetime in ms, with a second added for rounding.

    Issuers round `iat` and `exp`, each in its own way.
    """
    return seconds * 1_000 + _ROUNDING_MS


def grant_id(user: str, client: str) -> str:
    """Return `client|user`, with `%` as `%25` and `|` as `%7C` in the client."""
    return f"{client.replace('%', '%25').replace('|', '%7C')}|{user}"


class Position(NamedTuple):
    """The position of a record in the events topic, and when it was appended."""

    partition: int
    offset: Offset
    time: UnixMs

    @property
    def receipt(self) -> str:
        """The receipt of the event at this position: `partition-offset`."""
        return f"{self.partition}-{self.offset}"


class Limits(NamedTuple):
    """How long tokens and sessions live at most, and the leeway on top, in ms.

    `leeway_ms`: how long past a token's `exp` any verifier may still accept it.
    """

    longest_token_ms: int
    longest_session_ms: int
    leeway_ms: int

    @property
    def relevance_ms(self) -> int:
        """How long after its cut-off a subject entry can apply to a live token.

        The leeway counts twice: an issuer's clock that is ahead may date the token
        later than the cut-off, and a verifier's that is behind may accept it past its
        `exp`.
        """
        return self.longest_token_ms + 2 * self.leeway_ms


RecentEvent = tuple[UnixMs, Offset, str]
"""The broker time, offset and fingerprint of an event."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The absolute state of one target, as of the events applied to it.

    `source`: the latest of them, by broker time. `expires_at` is used by denylist kinds
    only: when the token itself expires or, in an entry read from a store, when the
    denial ends there. `version` is used by users only; `forwarded_bumps` of it come
    from forwarded events. `status_time` and `status_partition`: when and where the
    status was set; 0 and -1 if never.

    Only authorities use two members. `recent` holds the broker times, offsets and
    fingerprints of the latest events applied, oldest first, at most `RECENT_EVENTS`.
    `seen` holds the highest offset applied of each partition, except where `source` has
    that offset; it is empty unless events of the target come from several partitions.
    """

    target: Target
    source: Position
    version: Version = Version(0)
    not_before: UnixMs = UnixMs(0)
    expires_at: UnixMs = UnixMs(0)
    status: Status = Status.ACTIVE
    status_time: UnixMs = UnixMs(0)
    status_partition: int = -1
    forwarded_bumps: int = 0
    recent: tuple[RecentEvent, ...] = ()
    seen: tuple[tuple[int, Offset], ...] = ()

    @property
    def standing(self) -> bool:
        """Whether the entry applies for ever, not only to tokens that live now."""
        return self.status is not Status.ACTIVE or self.target.kind in STANDING_KINDS

    def applied(self, partition: int) -> Offset:
        """Return the highest offset applied from a partition; -1 if none."""
        for each, offset in self.seen:
            if each == partition:
                return offset
        source = self.source
        return source.offset if source.partition == partition else Offset(-1)

    def relevant_until(self, limits: Limits) -> UnixMs | None:
        """Return when the entry ceases to apply to any live token; None means never.

        A denial lasts until no verifier accepts the token. The issuer's clock may be
        ahead by the leeway, so a token may expire that much later than the longest
        lifetime after the event; one with a longer lifetime is rejected for that. The
        tokens of a session may outlive it, so its end does not shorten their denial.
        """
        if self.target.kind in DENYLIST_KINDS:
            alive = self.source.time + limits.longest_token_ms + limits.leeway_ms
            until = min(self.expires_at, alive)
            if self.target.kind is Kind.SESSION:
                latest = self.source.time + limits.longest_session_ms + limits.leeway_ms
                until = max(alive, min(self.expires_at, latest))
            return UnixMs(until + limits.leeway_ms)
        if self.standing:
            return None
        return UnixMs(max(self.not_before, self.source.time) + limits.relevance_ms)


def merge(one: Entry, other: Entry) -> Entry:
    """Join two entries of one target: the greater of each member, the later status.

    `deleted` is final. Otherwise the status set later wins, and of two set at the same
    time the more severe. The shares of the version that come from the target's own
    partition and from forwarded events are joined separately: authorities interleave
    the two differently, so each of two entries may lack an event that the other has.
    """
    forwarded = max(one.forwarded_bumps, other.forwarded_bumps)
    own = max(one.version - one.forwarded_bumps, other.version - other.forwarded_bumps)
    status = other if _status_order(other) > _status_order(one) else one
    denied = one.target.kind in DENYLIST_KINDS
    source = max(one.source, other.source, key=_offset_order if denied else _time_order)
    return Entry(
        one.target,
        source,
        Version(own + forwarded),
        max(one.not_before, other.not_before),
        max(one.expires_at, other.expires_at),
        status.status,
        status.status_time,
        status.status_partition,
        forwarded,
        _recent(one.recent, other.recent),
        () if denied else _seen(source, one, other),
    )


def with_seen(entry: Entry, at: Position) -> Entry:
    """Return the entry with one more position among those applied."""
    seen = _seen(entry.source, entry, Entry(entry.target, at))
    return entry if seen == entry.seen else replace(entry, seen=seen)


def _recent(
    one: tuple[RecentEvent, ...], other: tuple[RecentEvent, ...]
) -> tuple[RecentEvent, ...]:
    if one[-1:] < other[:1]:  # the usual case: events in order of time
        return (*one, *other)[-RECENT_EVENTS:]
    return one if one == other else tuple(sorted({*one, *other})[-RECENT_EVENTS:])


def _seen(source: Position, one: Entry, other: Entry) -> tuple[tuple[int, Offset], ...]:
    """Join the highest offsets of both, without the one that `source` has."""
    mine, theirs = one.source, other.source
    if not (one.seen or other.seen) and mine.partition == theirs.partition:
        highest = max(mine.offset, theirs.offset)
        return () if highest == source.offset else ((source.partition, highest),)
    applied: dict[int, Offset] = {}
    for each in (one, other):
        for partition, offset in (*each.seen, each.source[:2]):
            applied[partition] = max(offset, applied.get(partition, offset))
    if applied[source.partition] == source.offset:
        del applied[source.partition]
    return tuple(sorted(applied.items()))


def _status_order(entry: Entry) -> tuple[bool, int, int, int]:
    deleted = entry.status is Status.DELETED
    severity = _SEVERITY[entry.status]
    return deleted, entry.status_time, severity, entry.status_partition


def _time_order(source: Position) -> tuple[int, int, int]:
    return source.time, source.partition, source.offset


def _offset_order(source: Position) -> tuple[int, int, int]:
    """Order denials without the time, which a store does not keep for them."""
    return source.offset, source.partition, source.time
