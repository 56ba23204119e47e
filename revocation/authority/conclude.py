"""What one record of the events topic leads to. Pure: nothing is sent or stored."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from revocation import events, ledger
from revocation.entries import DENYLIST_KINDS, Entry, Position, Target
from revocation.events import Event, UsersRevoked
from revocation.ledger import Accepted, Limits
from revocation.topics import partition_of, record_key

Headers = Sequence[tuple[str, bytes]]

Recall = Callable[[Target], Entry | None]
"""Returns what the ledger holds about a target."""


class Record(NamedTuple):
    """A record of the events topic."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    at: Position


class Reroute(NamedTuple):
    """A record to send on to the partition of its target."""

    partition: int
    key: bytes
    value: bytes
    headers: Headers


class Conclusion(NamedTuple):
    """What to emit, what to keep, what to send on, and what to count."""

    entries: tuple[Entry, ...]
    reroutes: tuple[Reroute, ...]
    event_type: str
    results: Counter[str]
    clamped: int

    @property
    def changed(self) -> Iterable[Entry]:
        """The entries that the ledger must keep."""
        return (e for e in self.entries if e.target.kind not in DENYLIST_KINDS)


def conclude(
    record: Record, recall: Recall, limits: Limits, partitions: int
) -> Conclusion:
    """Conclude on one record.

    Raises:
        ContractError: the record belongs in the dead letters.
    """
    event = events.decode(record.value, record.headers)
    here: list[Target] = []
    elsewhere: dict[int, list[Target]] = {}
    for target in events.targets(event):
        partition = partition_of(record_key(target), partitions)
        if partition == record.at.partition:
            here.append(target)
        else:
            elsewhere.setdefault(partition, []).append(target)
    results: Counter[str] = Counter()
    clamped = 0
    emitted = []
    for target in here:
        result = ledger.apply(recall(target), event, target, record.at, limits)
        results[type(result).__name__.lower()] += 1
        if result.entry is not None:
            emitted.append(result.entry)
        clamped += isinstance(result, Accepted) and result.clamped
    reroutes = tuple(
        _reroute(record, event, partition, moved)
        for partition, moved in elsewhere.items()
    )
    return Conclusion(tuple(emitted), reroutes, event.type, results, clamped)


def _reroute(
    record: Record, event: Event, partition: int, moved: list[Target]
) -> Reroute:
    """Send on the original bytes; of a bulk event the part that belongs there."""
    value, headers = record.value or b"", record.headers
    if isinstance(event, UsersRevoked):
        value = events.encode(events.about(event, (target.id for target in moved)))
        headers = (("content-type", events.CONTENT_TYPE.encode()),)
    origin = ("rerouted-from", record.at.receipt.encode())
    return Reroute(partition, record_key(moved[0]), value, (*headers, origin))
