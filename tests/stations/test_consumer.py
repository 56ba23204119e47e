"""Which records are fetched, and when, and that each is taken. Without Kafka."""

import os
from types import SimpleNamespace

import pytest
from faust.types import TP

from revocation.entries import Position
from revocation.updates import Update
from tests.unit.strategies import NOW

EVENTS = [TP("played.events", partition) for partition in range(4)]
ENTRIES = [TP("played.entries", partition) for partition in range(4)]
HERE, ELSEWHERE, *_ = EVENTS


class FakeThread:
    """A double of the thread that runs aiokafka's consumer."""

    def __init__(self):
        self.assigned = {*EVENTS, *ENTRIES}
        self.committed = {}
        self.beginning = []
        self.sought = {}
        self.timeouts = []

    def assignment(self):
        return self.assigned

    async def seek_to_committed(self):
        return {tp: self.committed.get(tp) for tp in self.assigned}

    async def seek_to_beginning(self, *partitions):
        self.beginning += partitions

    async def seek_wait(self, partitions):
        self.sought |= partitions

    async def getmany(self, _, longest):
        self.timeouts.append(longest)
        return {}


@pytest.fixture
def thread():
    return FakeThread()


@pytest.fixture
async def consumer(authority, thread):
    """A consumer whose partitions are assigned and not yet recovered."""
    made = authority.consumer
    made._thread = thread
    made.pause_partitions(thread.assigned)
    return made


def fetched_from(consumer):
    """Return the partitions that aiokafka's fetcher uses: no choice means all."""
    chosen = consumer._get_active_partitions()
    return {tp for tp in (*EVENTS, *ENTRIES) if not chosen or tp in chosen}


# Fetching ----------------------------------------------------------------------------


async def test_nothing_is_fetched_while_all_partitions_are_paused(consumer):
    assert fetched_from(consumer) == set()


async def test_nothing_is_fetched_between_resuming_partitions_and_flow(consumer):
    """The seek to the committed offsets lies in between."""
    consumer.resume_partitions(EVENTS)
    await consumer.perform_seek()
    assert fetched_from(consumer) == set()
    consumer.resume_flow()
    assert fetched_from(consumer) == {*EVENTS}


async def test_a_fetch_under_way_includes_resumed_partitions(consumer):
    """It holds the set that Faust passed at its start."""
    chosen = consumer._get_active_partitions()
    consumer.resume_partitions(EVENTS)
    consumer.resume_flow()
    assert {*EVENTS} <= chosen
    consumer.pause_partitions(EVENTS)
    assert chosen
    assert not {*EVENTS} & chosen


async def test_a_partition_paused_again_is_not_resumed_with_flow(consumer):
    consumer.resume_partitions(EVENTS)
    consumer.pause_partitions([HERE])
    consumer.resume_flow()
    assert fetched_from(consumer) == {*EVENTS} - {HERE}


async def test_a_revoked_partition_is_not_resumed_with_flow(consumer, thread):
    consumer.resume_partitions(EVENTS)
    thread.assigned -= {HERE}
    consumer.resume_flow()
    assert fetched_from(consumer) == {*EVENTS} - {HERE}


async def test_partitions_are_resumed_once(consumer):
    consumer.resume_partitions(EVENTS)
    consumer.resume_flow()
    consumer._active_partitions.discard(HERE)  # As while its buffer is full.
    consumer.resume_flow()
    assert fetched_from(consumer) == {*EVENTS} - {HERE}


async def test_flow_can_be_resumed_before_anything_is_assigned(consumer, thread):
    thread.assignment = None
    consumer.stop_flow()
    consumer.resume_flow()
    assert consumer.flow_active


async def test_a_partition_without_a_commit_is_read_from_the_beginning(
    consumer, thread
):
    """Except for entries, whose position the ledger keeps."""
    thread.committed = {HERE: 7, ELSEWHERE: None}
    await consumer.perform_seek()
    assert {*thread.beginning} == {*EVENTS} - {HERE}
    assert consumer._read_offset[HERE] == 7
    thread.committed = dict.fromkeys(EVENTS, 8)
    thread.beginning.clear()
    await consumer.perform_seek()
    assert thread.beginning == []


async def test_concluded_records_are_not_read_by_a_new_group(consumer, thread, ledger):
    """Also not by a group further back, or one that lost its disk."""
    ledger.note_concluded(HERE.partition, [Update(Position(0, 40, NOW))])
    ledger.note_concluded(ELSEWHERE.partition, [Update(Position(1, 40, NOW))])
    thread.committed = {ELSEWHERE: 7, EVENTS[2]: 12}
    await consumer.perform_seek()
    assert thread.sought == {HERE: 41, ELSEWHERE: 41}
    assert {*thread.beginning} == {EVENTS[3]}
    assert consumer._read_offset[HERE] == consumer._committed_offset[HERE] == 41
    assert consumer._read_offset[EVENTS[2]] == 12


async def test_a_fetch_is_short_while_partitions_may_be_resumed(consumer, thread):
    consumer.app.rebalancing = True
    await consumer._getmany(set(), 1.0)
    consumer.app.rebalancing = False
    await consumer._getmany(set(), 1.0)
    assert thread.timeouts == [0.1, 1.0]


# Gaps -------------------------------------------------------------------------------


class Exited(BaseException):
    """Stands for the exit of the process."""


class Reading:
    """An authority with its consumer; `taken` are the positions that it reached."""

    def __init__(self, authority, consumer):
        self.authority = authority
        self.consumer = consumer
        self.taken = []
        authority._take = self._take

    async def _take(self, event):
        self.taken.append((event.message.tp, event.message.offset))

    def fetch(self, *offsets, tp=HERE):
        """Return the messages of records as the broker delivers them."""
        return [self.consumer._to_message(tp, record(tp, each)) for each in offsets]

    async def take(self, *messages):
        """Have the authority consume messages."""
        await self.authority._consume(FakeStream(messages))

    async def rebalance(self):
        """Revoke all partitions, and assign them again."""
        everything = self.consumer.assignment()
        await self.authority._revoked(self.authority, everything)
        await self.authority._assigned(self.authority, everything)
        await self.consumer.perform_seek()


class FakeStream:
    """Yields events of messages, then ends."""

    def __init__(self, messages):
        self._messages = messages

    def noack(self):
        return self

    async def events(self):
        for message in self._messages:
            yield SimpleNamespace(message=message)


def record(tp, offset):
    names = ("headers", "key", "value", "checksum")
    nothing = dict.fromkeys((*names, "serialized_key_size", "serialized_value_size"))
    return SimpleNamespace(
        topic=tp.topic,
        partition=tp.partition,
        offset=offset,
        timestamp=0,
        timestamp_type=0,
        **nothing,
    )


@pytest.fixture
def reading(authority, consumer, monkeypatch):
    def leave(code):
        assert code == 70
        raise Exited

    monkeypatch.setattr(os, "_exit", leave)
    return Reading(authority, consumer)


async def test_a_record_that_is_lost_ends_the_process(reading):
    """Before the next record is taken, let alone acknowledged."""
    first, _lost, third = reading.fetch(5, 6, 7)
    await reading.take(first)
    with pytest.raises(Exited):
        await reading.take(third)
    assert reading.taken == [(HERE, 5)]


async def test_the_first_record_after_a_seek_may_be_the_lost_one(reading):
    _lost, second = reading.fetch(0, 1)
    with pytest.raises(Exited):
        await reading.take(second)


async def test_a_record_lost_after_a_gap_ends_the_process(reading):
    first, _lost, third = reading.fetch(5, 9, 10)
    await reading.take(first)
    with pytest.raises(Exited):
        await reading.take(third)


async def test_gaps_in_the_log_are_no_loss(reading):
    """Transactions leave markers; retention deletes the beginning."""
    await reading.take(*reading.fetch(5, 6, 9, 10, 400))
    assert [offset for _, offset in reading.taken] == [5, 6, 9, 10, 400]


async def test_partitions_are_counted_separately(reading):
    here, there = reading.fetch(5, 6), reading.fetch(1, 2, tp=ELSEWHERE)
    reading.fetch(100, tp=ENTRIES[0])
    await reading.take(here[0], there[0], here[1], there[1])
    assert len(reading.taken) == 4


@pytest.mark.parametrize("seek_is_seen", [True, False])
async def test_reading_again_is_no_loss(reading, seek_is_seen):
    """From before the taken records, or only before the fetched ones."""
    first, second, _fetched_only = reading.fetch(5, 6, 7)
    await reading.take(first, second)
    if seek_is_seen:
        await reading.consumer.perform_seek()
    await reading.take(*reading.fetch(4, 5, 6, 7, 8))
    assert [offset for _, offset in reading.taken] == [5, 6, 4, 5, 6, 7, 8]


async def test_a_record_lost_when_read_again_ends_the_process(reading):
    await reading.take(*reading.fetch(5, 6, 7))
    await reading.consumer.perform_seek()
    first, _lost, third = reading.fetch(5, 6, 7)
    await reading.take(first)
    with pytest.raises(Exited):
        await reading.take(third)


async def test_records_fetched_again_and_dropped_are_no_loss(reading):
    """Faust passes on nothing before its own read position."""
    await reading.take(*reading.fetch(5, 6, 7))
    *_, known, new = reading.fetch(5, 6, 7, 8)
    await reading.take(known, new)
    assert [offset for _, offset in reading.taken] == [5, 6, 7, 7, 8]


async def test_reassigned_partitions_start_afresh(reading):
    """Another member took the records between, or buffered records were dropped."""
    first, _in_the_buffer = reading.fetch(5, 6)
    await reading.take(first)
    await reading.rebalance()
    await reading.take(*reading.fetch(90, 91))
    await reading.rebalance()
    first, _in_the_buffer = reading.fetch(92, 93)
    await reading.take(first)
    await reading.rebalance()
    await reading.take(*reading.fetch(93, 94))
    assert [offset for _, offset in reading.taken] == [5, 90, 91, 92, 93, 94]


async def test_a_record_lost_after_a_rebalance_ends_the_process(reading):
    await reading.take(*reading.fetch(5, 6))
    await reading.rebalance()
    _lost, second = reading.fetch(5, 6)
    with pytest.raises(Exited):
        await reading.take(second)
