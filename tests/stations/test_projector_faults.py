"""How a projector handles faults of store, log and group: it never skips records."""

import asyncio

import pytest
from aiokafka.errors import KafkaTimeoutError

from revocation.errors import (
    StoreColdError,
    StoreMovedBackError,
    StoreUnavailableError,
    StoreUnsuitableError,
)
from tests.installation import eventually
from tests.stations.regions import now_ms


@pytest.fixture
async def running(region):
    """A region that is complete: each partition begins with a pulse."""
    for partition in (0, 1):
        region.write(partition)
    await region.projector.start()
    await region.all_applied()
    region.consumer.seeks.clear()
    return region


def away(times):
    return [StoreUnavailableError("out of memory") for _ in range(times)]


# The store ----------------------------------------------------------------------------


async def test_an_unreachable_store_is_retried_until_it_is_back(running):
    """Nothing is read meanwhile, and nothing is skipped."""
    running.store.failures = away(5)
    running.write(0, "alice")
    await eventually(lambda: running.store.refused == 1, pause=0)
    polls = running.consumer.polls
    running.write(0, "bob")
    await eventually(lambda: running.store.refused == 5, pause=0)
    assert running.consumer.polls == polls
    await running.all_applied()
    assert await running.known("alice", "bob") == {"alice", "bob"}
    assert running.consumer.seeks == []


async def test_a_store_that_is_unreachable_at_the_start_is_retried(running):
    """Reading marks is retried like writing them."""
    running.store.available = False
    await running.consumer.assign(0, 1)
    await asyncio.sleep(0.05)
    running.write(0, "alice")
    running.store.available = True
    await running.all_applied()
    assert await running.known("alice") == {"alice"}


async def test_a_store_that_becomes_unsuitable_ends_the_projector(running):
    """An operator must fix it; retries would not."""
    running.store.failures = [StoreUnsuitableError("fewer partitions")]
    running.write(0, "alice")
    with pytest.raises(StoreUnsuitableError, match="fewer partitions"):
        await running.projector.wait()
    await running.projector.stop()
    assert running.consumer.stopped
    assert running.producer.stopped


async def test_a_flushed_store_is_rebuilt_in_a_new_epoch(running):
    """From the beginning of the log; it gives no verdict until that is done."""
    running.write(0, "alice")
    await running.all_applied()
    before = (await running.store.region()).epoch
    running.consumer.stop_reading_at[0] = 1
    running.store.lose_everything()
    running.write(1)
    await eventually(lambda: running.marks_now().get(0), pause=0.001)
    state = await running.store.region()
    assert not state.freshness.ready
    assert state.epoch not in (None, before)
    running.consumer.stop_reading_at.clear()
    await running.all_applied()
    assert (await running.store.region()).freshness.ready
    assert await running.known("alice") == {"alice"}


async def test_a_store_flushed_between_two_reads_is_rebuilt_as_well(running):
    """The refusal of the next write shows it."""
    running.write(0, "alice")
    await running.all_applied()
    running.store.lose_everything()
    running.write(1, "bob")
    await running.all_applied()
    await running.applied(0)
    assert await running.known("alice", "bob") == {"alice", "bob"}


async def test_a_store_with_older_marks_is_continued_from_them(running):
    """As after a failover to a replica that was behind: same epoch, older marks."""
    running.write(0, "alice")
    await running.all_applied()
    older = dict(running.store._marks), dict(running.store._kept)
    for name in ("bob", "carol"):
        running.write(0, name)
    await running.all_applied()
    epoch = (await running.store.region()).epoch
    running.store._marks, running.store._kept = older
    running.write(0, "dave")
    await running.all_applied()
    assert await running.known("bob", "carol", "dave") == {"bob", "carol", "dave"}
    assert sorted(running.consumer.seeks) == [(0, 2), (1, 1)]
    assert (await running.store.region()).epoch == epoch


@pytest.mark.parametrize("refusal", [StoreColdError, StoreMovedBackError])
async def test_a_refused_batch_is_read_again_completely(running, refusal):
    """Including other partitions of the batch: none of it was written."""
    running.store.failures = [refusal("another epoch")]
    running.write(0, "alice")
    running.write(1, "bob")
    await running.all_applied()
    assert await running.known("alice", "bob") == {"alice", "bob"}
    assert sorted(running.consumer.seeks) == [(0, 1), (1, 1)]


# The log ------------------------------------------------------------------------------


async def test_a_gap_in_the_log_is_checked_once_more(running):
    """Retention may have deleted records; a gap that stays is part of the log."""
    running.write(0, "alice", hole=3)
    running.write(1, "bob")
    await running.all_applied()
    assert await running.known("alice", "bob") == {"alice", "bob"}
    assert [seek for seek in running.consumer.seeks if seek[0] == 0] == [(0, 1)]


async def test_each_gap_is_checked(running):
    for name in ("alice", "bob"):
        running.write(0, name, hole=2)
        await running.all_applied()
    looked = [offset for partition, offset in running.consumer.seeks if not partition]
    assert looked == [1, 4]


async def test_a_log_that_lost_what_the_store_needs_begins_a_new_epoch(running):
    """The region is not complete without the deleted records."""
    before = (await running.store.region()).epoch
    running.consumer.stop_reading_at[0] = 1
    running.write(0, "lost")
    running.write(0, "alice")
    running.consumer.truncate(0, 2)
    running.consumer.stop_reading_at.clear()
    await running.all_applied()
    state = await running.store.region()
    assert state.epoch != before
    assert state.freshness.ready
    assert await running.known("alice") == {"alice"}


async def test_a_log_that_ends_before_the_mark_begins_a_new_epoch(running):
    """As after the topic is recreated: its offsets mean something else."""
    before = (await running.store.region()).epoch
    running.write(0, "alice")
    await running.all_applied()
    running.consumer.logs[0].clear()
    running.consumer.ends[0] = 0
    await running.consumer.assign(0, 1)
    running.write(0, "bob")
    await eventually(lambda: running.store._epoch != before, pause=0.001)
    await running.all_applied()
    assert await running.known("bob") == {"bob"}


@pytest.mark.parametrize(
    ("key", "value", "parked"),
    [
        (b"key", b"not an update", b"not an update"),
        (b"key", None, None),
        (None, b"[]", b"[]"),
        (None, None, b""),
    ],
)
async def test_a_record_that_is_no_update_is_parked_and_skipped(
    running, key, value, parked
):
    """With its bytes, headers and position; later records are applied."""
    now = now_ms()
    offset = running.consumer.append(1, value, key=key, timestamp=now)
    running.write(1, "alice")
    await running.all_applied()
    (letter,) = running.producer.sent
    assert (letter.topic, letter.partition) == ("played.dead-letters", 1)
    assert (letter.key, letter.value) == (key, parked)
    headers = dict(letter.headers)
    assert headers["mine"] == b"\xff"
    assert headers["dead-letter-code"] == b"malformed_update"
    assert headers["dead-letter-topic"] == b"played.entries"
    assert headers["dead-letter-partition"] == b"1"
    assert headers["dead-letter-offset"] == b"%d" % offset
    assert headers["dead-letter-timestamp"] == b"%d" % now
    assert await running.known("alice") == {"alice"}


async def test_a_refused_dead_letter_is_sent_again(running):
    running.producer.refusal = KafkaTimeoutError()
    running.consumer.append(0, b"not an update", timestamp=now_ms())
    await asyncio.sleep(0.02)
    assert running.marks_now()[0].next_offset == 1
    running.producer.refusal = None
    await running.all_applied()
    assert len(running.producer.sent) == 1


# The group ----------------------------------------------------------------------------


async def test_a_partition_revoked_while_the_store_is_away_is_not_claimed(running):
    """Its entries may be written; the mark belongs to the next owner."""
    running.store.failures = away(10_000)
    running.write(0, "alice")
    running.write(1, "bob")
    await eventually(lambda: running.store.refused, pause=0)
    await running.consumer.assign(1)
    running.store.failures.clear()
    await running.applied(1)
    assert running.marks_now()[0].next_offset == 1


async def test_a_reassigned_partition_is_read_from_the_stores_mark(running):
    """Another member had it meanwhile, and got further or less far."""
    await running.consumer.assign(1)
    running.write(0, "alice")
    await running.consumer.assign(0, 1)
    await running.all_applied()
    assert await running.known("alice") == {"alice"}
    assert (0, 1) in running.consumer.seeks


async def test_a_partition_revoked_during_its_mark_lookup_is_left_alone(
    running, monkeypatch
):
    """The group may rebalance at any time, also between request and reply."""
    end_offsets = running.consumer.end_offsets
    revoked = []

    async def slow(partitions):
        if not revoked:
            revoked.append(0)
            await running.consumer.assign(1)
        return await end_offsets(partitions)

    monkeypatch.setattr(running.consumer, "end_offsets", slow)
    await running.consumer.assign(0, 1)
    running.write(1, "bob")
    await running.applied(1)
    running.write(0, "alice")
    running.write(1)
    await running.applied(1)
    assert revoked
    assert running.marks_now()[0].next_offset == 1
    assert await running.known("alice", "bob") == {"bob"}


async def test_a_member_without_partitions_waits_for_some(running):
    await running.consumer.assign()
    await asyncio.sleep(0.02)
    running.write(0, "alice")
    await running.consumer.assign(0, 1)
    await running.all_applied()
    assert await running.known("alice") == {"alice"}
