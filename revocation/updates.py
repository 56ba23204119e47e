"""Updates: the records that carry entries from the authority to the regions.

An `Update` is one record of the entries topic: entries, and the positions in the log
that count as applied once it is applied. A pulse is an update without entries.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from revocation.entries import (
    DENYLIST_KINDS,
    Entry,
    Kind,
    Offset,
    Position,
    RecentEvent,
    Status,
    Target,
    UnixMs,
)
from revocation.errors import MalformedUpdateError
from revocation.identity import Stated

_NO_OFFSET: Final = Offset(-1)

NOWHERE: Final = Position(-1, _NO_OFFSET, UnixMs(0))
"""The source of an update that makes no claim about the events topic."""


@dataclass(frozen=True, slots=True)
class Update:
    """Entries, and what holds once they and all earlier updates are applied.

    `source`: the record of the events topic, in the partition of the update, up to
    which all events are processed; `NOWHERE` makes no claim.
    `awaits`: positions (partition, offset) in the forwarded topic to which some of
    those events were forwarded; they must be applied before `source` counts as applied.
    `forwarded`: the offset in the forwarded topic, in the partition of the update, up
    to which all events are processed; -1 makes no claim.
    `rerouted`: like `awaits`, in the events topic; found only in records older than the
    forwarded topic, so it is read and never written.
    `stated`: settings of the authority that wrote it; in pulses.
    """

    source: Position = NOWHERE
    entries: tuple[Entry, ...] = ()
    awaits: tuple[tuple[int, Offset], ...] = ()
    forwarded: Offset = _NO_OFFSET
    rerouted: tuple[tuple[int, Offset], ...] = ()
    stated: Stated | None = None


def encode_entry(entry: Entry) -> bytes:
    """Encode as JSON, without defaults."""
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
    """Encode as JSON, without `rerouted`, for a record in the source's partition."""
    document: dict[str, Any] = {}
    if update.source is not NOWHERE:
        document["offset"] = update.source.offset
        document["time"] = update.source.time
    if update.entries:
        document["entries"] = [_entry_to_json(entry) for entry in update.entries]
    if update.awaits:
        document["awaits"] = update.awaits
    if update.forwarded >= 0:
        document["forwarded"] = update.forwarded
    if update.stated is not None:
        document["lifetimes"] = update.stated.lifetimes
        if update.stated.revocable_claims:
            document["revocable_claims"] = update.stated.revocable_claims
    return orjson.dumps(document)


def decode_update(value: bytes, partition: int) -> Update:
    """Decode a record of the entries topic.

    Raises:
        MalformedUpdateError: these bytes are not an update.
    """
    try:
        document = orjson.loads(value)
        get = document.get
        source, forwarded = NOWHERE, get("forwarded")
        if "offset" in document:
            source = Position(partition, document["offset"], document["time"])
            _require_counts(*source)
        elif forwarded is None:
            document["entries"]  # without a position, entries are required
        if forwarded is not None:
            _require_counts(forwarded)
        return Update(
            source,
            tuple(map(_entry_from_json, get("entries", ()))),
            _pairs(get("awaits", ())),
            _NO_OFFSET if forwarded is None else forwarded,
            _pairs(get("rerouted", ())),
            _stated(get("lifetimes"), get("revocable_claims", ())),
        )
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
    if entry.forwarded_bumps:
        document["forwarded_bumps"] = entry.forwarded_bumps
    if entry.not_before:
        document["not_before"] = entry.not_before
    if entry.status_time or entry.status is not Status.ACTIVE:
        document["status"] = entry.status
        document["status_time"] = entry.status_time
        document["status_partition"] = entry.status_partition
    if entry.recent:
        document["recent"] = entry.recent
    if entry.seen:
        document["seen"] = entry.seen
    return document


def _entry_from_json(document: dict[str, Any]) -> Entry:
    get = document.get
    issuer, name = document["issuer"], document["id"]
    if type(issuer) is not str or type(name) is not str:
        raise TypeError("issuer and id must be strings")
    partition, offset, time = document["source"]
    version, not_before = get("version", 0), get("not_before", 0)
    forwarded, expires_at = get("forwarded_bumps", 0), get("expires_at", 0)
    status_time, status_partition = 0, -1
    if "status" in document:
        # Older entries have neither; their status is no later than their source, and
        # of the same partition.
        status_time = get("status_time", time)
        status_partition = get("status_partition", partition)
    _require_counts(
        *(partition, offset, time, version, not_before, expires_at),
        *(status_time, status_partition + 1, forwarded),
    )
    return Entry(
        Target(_KINDS[document["kind"]], issuer, name),
        Position(partition, offset, time),
        version,
        not_before,
        expires_at,
        _STATUSES[get("status", "active")],
        UnixMs(status_time),
        status_partition,
        forwarded,
        tuple(map(_recent_from_json, get("recent", ()))),
        _pairs(get("seen", ())),
    )


def _recent_from_json(members: list[Any]) -> RecentEvent:
    # Older entries have no time: their events precede all that have one.
    time, offset, fingerprint = members if len(members) != _UNTIMED else (0, *members)
    whole = type(time) is int and type(offset) is int
    if not whole or type(fingerprint) is not str:
        raise TypeError("a recent event is a time, an offset and a fingerprint")
    return time, offset, fingerprint


def _pairs(document: Any) -> tuple[tuple[int, Offset], ...]:
    if not document:
        return ()
    pairs = tuple([(partition, offset) for partition, offset in document])
    _require_counts(*[number for pair in pairs for number in pair])
    return pairs


def _stated(lifetimes: Any, claim_sets: Any) -> Stated | None:
    if lifetimes is None:
        return None
    _require_counts(*lifetimes.values())
    sets = tuple(map(tuple, claim_sets))
    if not all(names and set(map(type, names)) == {str} for names in sets):
        raise TypeError("claim sets are lists of names")
    return Stated(lifetimes, sets)


def _require_counts(*values: Any) -> None:
    whole = _WHOLE.issuperset(map(type, values))
    if not whole or min(values) < 0 or max(values) > _MAX_COUNT:
        raise ValueError("positions, versions and times are whole numbers up to 2^53-1")


_UNTIMED: Final = 2
_WHOLE: Final = frozenset({int})
_MAX_COUNT: Final = 2**53 - 1
_KINDS: Final = {str(kind): kind for kind in Kind}
_STATUSES: Final = {str(status): status for status in Status}
