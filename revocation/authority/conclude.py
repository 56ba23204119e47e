"""What one record of the events topic leads to. Pure: nothing is sent or stored.

What belongs in the ledger of another partition is forwarded there, through a topic that
only authorities may write. A header says where and when the event was published; a
record of the events topic never counts as such a copy.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from revocation import events, ledger
from revocation.claims.claim_sets import ClaimSet
from revocation.entries import (
    DENYLIST_KINDS,
    Entry,
    Limits,
    Offset,
    Position,
    Target,
    UnixMs,
)
from revocation.errors import MalformedForwardedError
from revocation.events import Event, UsersRevoked, lenient_reading
from revocation.events.event_data import require_revocable
from revocation.ledger import Accepted
from revocation.topics import partition_of, record_key

Headers = Sequence[tuple[str, bytes]]

Recall = Callable[[Target], Entry | None]
"""Returns what the ledger holds about a target."""


_MAX_COUNT: Final = 2**53 - 1
_ORIGIN: Final = "forwarded-from"
"""The header of a forwarded record: `partition-offset-time` of the original."""
_PLACE: Final = re.compile(rb"([0-9]{1,16})-([0-9]{1,16})-([0-9]{1,16})")


class Record(NamedTuple):
    """A record of the events topic, or of the forwarded topic.

    `partition` is where the record lies, and thus whose ledger it is for; `at` is where
    and when the event was published: for a forwarded record, what `origin` returns.
    """

    partition: int
    value: bytes | None
    headers: Headers
    at: Position


class Forward(NamedTuple):
    """A record to send to a partition of the forwarded topic."""

    partition: int
    key: bytes
    value: bytes
    headers: Headers


class Conclusion(NamedTuple):
    """What to emit, keep, forward and count.

    `left_out`: optional members of the event that could not be read. `forwarded`: the
    event was published in another partition, which already counted and logged it.
    """

    entries: tuple[Entry, ...]
    forwards: tuple[Forward, ...]
    event_type: str
    results: Counter[str]
    clamped: int
    issuer: str
    left_out: tuple[str, ...]
    forwarded: bool

    @property
    def changed(self) -> Iterable[Entry]:
        """The entries that the ledger must keep."""
        return (e for e in self.entries if e.target.kind not in DENYLIST_KINDS)


def conclude(
    record: Record,
    recall: Recall,
    limits: Limits,
    partitions: int,
    revocable_claims: Iterable[ClaimSet] = (),
) -> Conclusion:
    """Conclude on one record.

    Args:
        record: of the events topic or the forwarded topic.
        recall: looks a target up in the ledger of the record's partition.
        limits: the maximum lifetimes of tokens and sessions.
        partitions: the number of partitions of each topic.
        revocable_claims: the claim sets that events may be about.

    Raises:
        ContractError: the record belongs in the dead letters.
    """
    event, left_out = lenient_reading.read(record.value, record.headers)
    require_revocable(event.data, revocable_claims)
    here, elsewhere = _sort(event, record.partition, partitions)
    forwarded = record.partition != record.at.partition
    if elsewhere and forwarded:
        raise MalformedForwardedError(
            "its target belongs to another partition; only authorities may write the "
            "forwarded topic"
        )
    results: Counter[str] = Counter()
    clamped = 0
    emitted = []
    for target in here:
        result = ledger.apply(
            *(recall(target), event, target, record.at, limits), forwarded=forwarded
        )
        results[type(result).__name__.lower()] += 1
        emitted.append(result.entry)
        clamped += isinstance(result, Accepted) and result.clamped
    forwards = tuple(
        _forward(record, event, partition, targets)
        for partition, targets in elsewhere.items()
    )
    return Conclusion(
        *(tuple(emitted), forwards, event.type, results, clamped, event.data.issuer),
        *(left_out, forwarded),
    )


def origin(headers: Headers, partition: int) -> Position:
    """Return where and when the event of a forwarded record was published.

    Args:
        headers: of the record.
        partition: of the forwarded topic, where the record lies.

    Raises:
        MalformedForwardedError: no authority wrote this record.
    """
    # `dict` keeps the last of that name, which is ours: a producer may send one too.
    match = _PLACE.fullmatch(dict(headers).get(_ORIGIN) or b"")
    if match is not None:
        published_in, offset, time = map(int, match.groups())
        if published_in != partition and max(published_in, offset, time) <= _MAX_COUNT:
            return Position(published_in, Offset(offset), UnixMs(time))
    raise MalformedForwardedError(
        f"its header {_ORIGIN} is not partition-offset-time of another partition; only "
        "authorities may write the forwarded topic"
    )


def _sort(
    event: Event, partition: int, partitions: int
) -> tuple[list[Target], dict[int, list[Target]]]:
    """Return the targets to conclude on here, and those of other partitions.

    A denial needs no ledger, so any partition concludes it.
    """
    here: list[Target] = []
    elsewhere: dict[int, list[Target]] = {}
    for target in events.targets(event):
        home = partition_of(record_key(target), partitions)
        if home == partition or target.kind in DENYLIST_KINDS:
            here.append(target)
        else:
            elsewhere.setdefault(home, []).append(target)
    return here, elsewhere


def _forward(
    record: Record, event: Event, partition: int, targets: list[Target]
) -> Forward:
    """Forward the original bytes, or the part of a bulk event that belongs there."""
    value, headers = record.value or b"", record.headers
    if isinstance(event, UsersRevoked):
        value = events.encode(events.about(event, (target.id for target in targets)))
        headers = (("content-type", events.CONTENT_TYPE.encode()),)
    published = (_ORIGIN, "-".join(map(str, record.at)).encode())
    return Forward(partition, record_key(targets[0]), value, (*headers, published))
