"""A log of events and forwarded events in memory, and an authority's ledger."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from revocation import events
from revocation.authority.conclude import Conclusion, Headers, Record, conclude, origin
from revocation.entries import Entry, Position, Target, merge
from revocation.events import Event
from revocation.topics import partition_of, record_key
from tests.unit.strategies import LIMITS, NOW, REVOCABLE

PARTITIONS = 4


def home(event: Event) -> int:
    """Return the partition of an event's first target."""
    return partition_of(record_key(events.targets(event)[0]), PARTITIONS)


def record(
    event: Event,
    partition: int | None = None,
    *,
    offset: int = 7,
    headers: Headers = (),
) -> Record:
    """Return the record of an event, by default in its home partition."""
    partition = home(event) if partition is None else partition
    value = events.encode(event)
    return Record(partition, value, headers, Position(partition, offset, NOW))


class Sent(NamedTuple):
    """A record that was appended."""

    value: bytes
    headers: Headers


class FakeLog:
    """Partitions of both topics; each record is a millisecond later than the last.

    The partitions of the forwarded topic are numbered after those of the events topic.
    """

    def __init__(self) -> None:
        self.partitions: list[list[Sent]] = [[] for _ in range(2 * PARTITIONS)]
        self._times: list[list[int]] = [[] for _ in range(2 * PARTITIONS)]
        self.ledgers: list[dict[Target, Entry]] = [{} for _ in range(PARTITIONS)]
        self.denied: dict[Target, Entry] = {}
        self._read = [0] * (2 * PARTITIONS)
        self._now = NOW
        self.results: defaultdict[str, int] = defaultdict(int)

    def append(self, event: Event, partition: int) -> None:
        self._append(partition, Sent(events.encode(event), ()))

    def _append(self, partition: int, sent: Sent) -> None:
        self._now += 1
        self.partitions[partition].append(sent)
        self._times[partition].append(self._now)

    def unread(self) -> list[int]:
        """Return the partitions that hold records not yet concluded on."""
        return [at for at in range(2 * PARTITIONS) if self.unread_in(at)]

    def unread_in(self, partition: int) -> range:
        """Return the offsets in a partition not yet concluded on."""
        return range(self._read[partition], len(self.partitions[partition]))

    def step(self, partition: int) -> Conclusion:
        """Conclude on the next record of a partition, as the authority does."""
        offset = self._read[partition]
        self._read[partition] += 1
        sent = self.partitions[partition][offset]
        if partition < PARTITIONS:
            at = Position(partition, offset, self._times[partition][offset])
        else:
            partition -= PARTITIONS
            at = origin(sent.headers, partition)
        ledger = self.ledgers[partition]
        record = Record(partition, *sent, at)
        conclusion = conclude(record, ledger.get, LIMITS, PARTITIONS, REVOCABLE)
        for entry in conclusion.changed:
            ledger[entry.target] = entry
        for entry in set(conclusion.entries) - set(conclusion.changed):
            known = self.denied.get(entry.target)
            self.denied[entry.target] = merge(known, entry) if known else entry
        for to, _, *forwarded in conclusion.forwards:
            self._append(PARTITIONS + to, Sent(*forwarded))
        for result, times in conclusion.results.items():
            self.results[result] += times
        return conclusion

    def read_again_from(self, partition: int, offset: int) -> None:
        """Go back, as after a kill before the commit."""
        self._read[partition] = min(self._read[partition], offset)

    def state(self) -> dict[Target, Sequence[object]]:
        """Return all that the ledger holds, except origins and times."""
        held = {**self.denied}
        for ledger in self.ledgers:
            assert not held.keys() & ledger.keys(), "a target was split"
            held.update(ledger)
        return {target: _wherever(entry) for target, entry in held.items()}


def _wherever(entry: Entry) -> Sequence[object]:
    said = [fingerprint for *_, fingerprint in entry.recent]
    return entry.version, entry.expires_at, entry.status, entry.status_time > 0, said
