"""The ledger's storage: a Faust table whose changelog is the entries topic itself.

That makes one write per event instead of two, and output and state cannot disagree.
Recovery merges each record into the table and never overwrites a row: a paused worker
or a twin may have appended an older entry after a newer one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, cast

import faust
import structlog
from faust.stores.rocksdb import Store as RocksDBStore
from faust.types import TP, EventT

from revocation.authority.ordered_producer import abort_process
from revocation.entries import DENYLIST_KINDS, Entry, Offset, Target, merge
from revocation.errors import MalformedUpdateError
from revocation.topics import record_key
from revocation.updates import Update, decode_entry, decode_update, encode_entry

_log = structlog.get_logger()

_WALKED = b"\0walked"
"""The row that records how far `walk` has come; sorts before every record key."""

_CONCLUDED = b"\0concluded"
"""The row that holds what `concluded` returns."""

_NOT_ENTRIES = frozenset({_WALKED, _CONCLUDED, RocksDBStore.offset_key})


class Concluded(NamedTuple):
    """The offsets up to which a partition is concluded, by any authority; -1: none.

    `events`: in the events topic. `forwarded`: in the forwarded topic. Everything up to
    them is in the entries topic, forwarded or parked, and acknowledged by Kafka.
    """

    events: Offset
    forwarded: Offset


class LedgerTable(faust.Table[bytes, bytes]):
    """The ledger, one RocksDB per partition; writes bypass Faust's changelog."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._counts: dict[int, int] = {}

    async def on_rebalance(self, *partitions: Any, **options: Any) -> None:
        """Open the databases of the partitions that are assigned.

        Faust would log two tracebacks and not say what to do.
        """
        try:
            await super().on_rebalance(*partitions, **options)
        except Exception as error:  # noqa: BLE001 - whatever RocksDB raises
            abort_process(
                "the ledger cannot be opened; see that data_dir has space and that no "
                "other process uses it, or empty it: it is recovered from the log",
                error,
            )

    def recall(self, partition: int, target: Target) -> Entry | None:
        """Return the target's entry, or None."""
        value = self._rows(partition).get(record_key(target))
        return None if value is None else decode_entry(value)

    def remember(self, partition: int, entry: Entry) -> None:
        """Store the target's entry."""
        rows, key = self._rows(partition), record_key(entry.target)
        if partition in self._counts and rows.get(key) is None:
            self._counts[partition] += 1
        rows.put(key, encode_entry(entry))

    def forget(self, partition: int, target: Target) -> None:
        """Delete the target's entry."""
        rows, key = self._rows(partition), record_key(target)
        if partition in self._counts and rows.get(key) is not None:
            self._counts[partition] -= 1
        rows.delete(key)

    def count(self, partition: int) -> int:
        """Return how many entries a partition has; the first call counts them."""
        if partition not in self._counts:
            keys = self._rows(partition).keys()
            self._counts[partition] = sum(key not in _NOT_ENTRIES for key in keys)
        return self._counts[partition]

    def walk(self, partition: int, limit: int) -> list[Entry]:
        """Return the next entries of an endless cycle through a partition."""
        rows = self._rows(partition)
        last = rows.get(_WALKED) or _WALKED
        found = list(islice(_rows_after(rows, last), limit))
        found += islice(_rows_after(rows, _WALKED), limit - len(found))
        if found:
            rows.put(_WALKED, found[-1][0])
        return [decode_entry(value) for _, value in found]

    def holds_until(self, partition: int) -> Offset:
        """Return the entries topic's offset up to which the table is complete."""
        topic = self.changelog_topic.get_topic_name()
        offset = self.data.persisted_offset(TP(topic, partition))
        return Offset(-1 if offset is None else offset)

    def reached(self, partition: int, offset: Offset) -> None:
        """Record that the table is complete up to this offset of the entries topic."""
        topic = self.changelog_topic.get_topic_name()
        self.data.set_persisted_offset(TP(topic, partition), offset)

    def concluded(self, partition: int) -> Concluded:
        """Return the offsets up to which the partition is known to be concluded."""
        value = self._rows(partition).get(_CONCLUDED) or b"-1 -1"
        return Concluded(*map(Offset, map(int, value.split())))

    def note_concluded(self, partition: int, updates: Iterable[Update]) -> None:
        """Record what updates in the entries topic claim."""
        known = self.concluded(partition)
        events, forwarded = known
        for update in updates:
            events = max(events, update.source.offset)
            forwarded = max(forwarded, update.forwarded)
        if (events, forwarded) != known:
            self._rows(partition).put(_CONCLUDED, b"%d %d" % (events, forwarded))

    def apply_changelog_batch(self, batch: Iterable[EventT[bytes]]) -> None:
        """Merge records of the entries topic into the table during recovery.

        Faust itself would log a failure here and carry on without the records.
        """
        try:
            self._merge_all(batch)
        except Exception as error:  # noqa: BLE001 - half a ledger would restart versions
            abort_process("the ledger cannot be recovered", error)

    def _merge_all(self, batch: Iterable[EventT[bytes]]) -> None:
        last: dict[int, int] = {}
        updates: defaultdict[int, list[Update]] = defaultdict(list)
        for event in batch:
            message = event.message
            last[message.partition] = message.offset
            try:
                update = decode_update(message.value or b"", message.partition)
            except MalformedUpdateError as error:
                # Projectors park it in the dead letters; nothing is lost by reading on.
                _log.warning(
                    "update unreadable",
                    partition=message.partition,
                    offset=message.offset,
                    error=str(error),
                )
                continue
            updates[message.partition].append(update)
            for entry in update.entries:
                if entry.target.kind not in DENYLIST_KINDS:
                    self._merge(message.partition, entry)
        for partition, read in updates.items():
            self.note_concluded(partition, read)
        for partition, offset in last.items():
            self.reached(partition, Offset(offset))

    def _merge(self, partition: int, entry: Entry) -> None:
        known = self.recall(partition, entry.target)
        self.remember(partition, merge(known, entry) if known else entry)

    def _rows(self, partition: int) -> Any:
        # Faust's store takes the partition from the event being processed; recovery and
        # refresh have none.
        return cast("Any", self.data)._db_for_partition(partition)  # noqa: SLF001


def _rows_after(rows: Any, last: bytes) -> Iterator[tuple[bytes, bytes]]:
    for key, value in rows.items(from_key=last):
        if key > last and key not in _NOT_ENTRIES:
            yield key, value
