"""What the authority concludes: entries, and the updates that carry them.

An `Entry` is absolute state about one target, never a delta; two entries of one target
`merge` into one, in any order, any number of times, with the same result (a join
semilattice). An `Update` is one record of the entries topic: everything the authority
concluded from one record of the events topic, whose place and broker time it carries.
A pulse is an update that concludes nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, NewType

import orjson

from revocation.errors import MalformedUpdateError

UnixMs = NewType("UnixMs", int)
"""Milliseconds since the epoch, by the clock that the name around it says."""

Offset = NewType("Offset", int)
"""A record's offset within its partition."""

Version = NewType("Version", int)
"""A user-version counter; 0 means that the user was never revoked."""

MAX_ID_CHARACTERS: Final = 512
"""The longest issuer and id that an event may name."""

ISSUER_PATTERN: Final = r"^[!#-\[\]-{}~]+$"
"""Printable ASCII without space, `"`, `|` and `\\`: all that a URI may hold, and more.

So a bar ends the issuer in a key, and a bulk event's update stays within its limit.
"""

RESOURCE_PATTERN: Final = r"^[^:]+:[\s\S]"
"""`type:id`, for instance `dataset:42`."""

RECENT_EVENTS: Final = 8
"""How many event ids an entry remembers, to know a producer's retry."""


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


class Status(StrEnum):
    """Whether a subject may use any token at all."""

    ACTIVE = "active"
    """Only older tokens are rejected (cut-off, version)."""
    DISABLED = "disabled"
    """Every token is rejected, until a later event enables it again."""
    DELETED = "deleted"
    """Every token is rejected, for ever."""


DENYLIST_KINDS: Final = frozenset({Kind.TOKEN, Kind.SESSION})
"""Kinds whose entries only say "rejected until `expires_at`" and need no ledger."""

STANDING_KINDS: Final = frozenset({Kind.KEY, Kind.CLIENT, Kind.TENANT, Kind.ISSUER})
"""Kinds whose entries never expire in a region: few, and broad."""

_SEVERITY: Final = {Status.ACTIVE: 0, Status.DISABLED: 1, Status.DELETED: 2}


class Target(NamedTuple):
    """What an event or entry is about. `str(target)` is its Kafka key."""

    kind: Kind
    issuer: str
    id: str

    def __str__(self) -> str:
        """Return `issuer|kind|id`: unambiguous, as no issuer or kind holds a bar."""
        return f"{self.issuer}|{self.kind}|{self.id}"


def grant_id(user: str, client: str) -> str:
    """Return `client|user`, in the client `%` as `%25` and `|` as `%7C`."""
    return f"{client.replace('%', '%25').replace('|', '%7C')}|{user}"


class Position(NamedTuple):
    """Where in the events topic a record is, and when the broker appended it."""

    partition: int
    offset: Offset
    time: UnixMs

    @property
    def receipt(self) -> str:
        """The receipt of the event there: `partition-offset`."""
        return f"{self.partition}-{self.offset}"


@dataclass(frozen=True, slots=True)
class Entry:
    """Absolute state of one target, as of the event at `source`.

    `expires_at` is used by denylist kinds only, `version` by users only. `recent`
    holds the offsets and fingerprints of the latest events applied, oldest first, at
    most `RECENT_EVENTS`; it matters to authorities only.
    """

    target: Target
    source: Position
    version: Version = Version(0)
    not_before: UnixMs = UnixMs(0)
    expires_at: UnixMs = UnixMs(0)
    status: Status = Status.ACTIVE
    status_offset: Offset = Offset(-1)
    recent: tuple[tuple[Offset, str], ...] = ()

    @property
    def standing(self) -> bool:
        """Whether the entry matters for ever, not only to tokens that live now."""
        return self.status is not Status.ACTIVE or self.target.kind in STANDING_KINDS

    def relevant_until(self, longest_token_ms: int) -> UnixMs | None:
        """Return when no living token can be touched any more; None means never."""
        if self.target.kind in DENYLIST_KINDS:
            return self.expires_at
        if self.standing:
            return None
        return UnixMs(max(self.not_before, self.source.time) + longest_token_ms)


def merge(one: Entry, other: Entry) -> Entry:
    """Join two entries of one target: the greater of each, and the later status.

    `deleted` is final. Otherwise the status set by the later event counts, and of two
    set at one place (which no ledger writes) the more severe.
    """
    status = max(one, other, key=_status_order)
    recent = one.recent
    if recent != other.recent:
        recent = tuple(sorted({*recent, *other.recent})[-RECENT_EVENTS:])
    return Entry(
        one.target,
        max(one.source, other.source, key=_log_order),
        max(one.version, other.version),
        max(one.not_before, other.not_before),
        max(one.expires_at, other.expires_at),
        status.status,
        status.status_offset,
        recent,
    )


def _status_order(entry: Entry) -> tuple[bool, int, int]:
    deleted = entry.status is Status.DELETED
    return deleted, entry.status_offset, _SEVERITY[entry.status]


def _log_order(source: Position) -> tuple[int, int, int]:
    return source.offset, source.time, source.partition


@dataclass(frozen=True, slots=True)
class Update:
    """All that the authority concluded from the record at `source`.

    `rerouted` names the (partition, offset) to which misplaced events of that record
    were sent on: the record counts as applied only when those places are.
    """

    source: Position
    entries: tuple[Entry, ...] = ()
    rerouted: tuple[tuple[int, Offset], ...] = ()


def encode_entry(entry: Entry) -> bytes:
    """Encode as JSON; defaults are left out."""
    return orjson.dumps(_entry_to_json(entry))


def decode_entry(value: bytes) -> Entry:
    """Decode what `encode_entry` wrote.

    Raises:
        MalformedUpdateError: these bytes are not an entry.
    """
    try:
        return _entry_from_json(orjson.loads(value))
    except _MALFORMED as error:
        raise _malformed(error) from error


def encode_update(update: Update) -> bytes:
    """Encode as JSON, for a record in the same partition as `update.source`."""
    document: dict[str, Any] = {
        "offset": update.source.offset,
        "time": update.source.time,
    }
    if update.entries:
        document["entries"] = [_entry_to_json(entry) for entry in update.entries]
    if update.rerouted:
        document["rerouted"] = update.rerouted
    return orjson.dumps(document)


def decode_update(value: bytes, partition: int) -> Update:
    """Decode a record of the entries topic that lies in `partition`.

    Raises:
        MalformedUpdateError: these bytes are not an update.
    """
    try:
        document = orjson.loads(value)
        source = Position(partition, document["offset"], document["time"])
        entries = document.get("entries", ())
        rerouted = tuple([(to, at) for to, at in document.get("rerouted", ())])
        _require_counts(*source, *[number for pair in rerouted for number in pair])
        return Update(source, tuple(map(_entry_from_json, entries)), rerouted)
    except _MALFORMED as error:
        raise _malformed(error) from error


_MALFORMED: Final = (ValueError, KeyError, TypeError, AttributeError)


def _malformed(error: Exception) -> MalformedUpdateError:
    detail = f"{type(error).__name__}: {error}"
    return MalformedUpdateError(
        f"not an update ({detail}); only authorities may write the entries topic"
    )


def _entry_to_json(entry: Entry) -> dict[str, Any]:
    target, source = entry.target, entry.source
    document: dict[str, Any] = {
        "kind": target.kind,
        "issuer": target.issuer,
        "id": target.id,
        "source": tuple(source),
    }
    if target.kind in DENYLIST_KINDS:
        document["expires_at"] = entry.expires_at
        return document
    if entry.version:
        document["version"] = entry.version
    if entry.not_before:
        document["not_before"] = entry.not_before
    if entry.status_offset >= 0 or entry.status is not Status.ACTIVE:
        document["status"] = entry.status
        document["status_offset"] = entry.status_offset
    if entry.recent:
        document["recent"] = entry.recent
    return document


def _entry_from_json(document: dict[str, Any]) -> Entry:
    get = document.get
    issuer, name = document["issuer"], document["id"]
    if type(issuer) is not str or type(name) is not str:
        raise TypeError("issuer and id are text")
    partition, offset, time = document["source"]
    version, not_before = get("version", 0), get("not_before", 0)
    expires_at, status_offset = get("expires_at", 0), get("status_offset", -1)
    _require_counts(
        partition, offset, time, version, not_before, expires_at, status_offset + 1
    )
    return Entry(
        Target(_KINDS[document["kind"]], issuer, name),
        Position(partition, offset, time),
        version,
        not_before,
        expires_at,
        _STATUSES[get("status", "active")],
        status_offset,
        tuple(map(_recent_from_json, get("recent", ()))),
    )


def _recent_from_json(pair: list[Any]) -> tuple[Offset, str]:
    offset, fingerprint = pair
    if type(offset) is not int or type(fingerprint) is not str:
        raise TypeError("recent events are pairs of an offset and a text")
    return Offset(offset), fingerprint


def _require_counts(*values: Any) -> None:
    whole = _WHOLE.issuperset(map(type, values))
    if not whole or min(values) < 0 or max(values) > _MAX_COUNT:
        raise ValueError("positions, versions and times are whole numbers up to 2^53-1")


_WHOLE: Final = frozenset({int})
_MAX_COUNT: Final = 2**53 - 1
_KINDS: Final = {str(kind): kind for kind in Kind}
_STATUSES: Final = {str(status): status for status in Status}
