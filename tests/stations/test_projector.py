"""What a projector writes and claims. Sibling: test_projector_faults.py."""

import pytest

from revocation import metrics
from revocation.errors import StoreUnsuitableError
from revocation.store.contract import Batch, Mark
from tests.installation import eventually
from tests.stations.regions import SETTINGS, now_ms


async def started(region):
    """A region that is complete: each partition begins with a pulse."""
    for partition in (0, 1):
        region.write(partition)
    await region.projector.start()
    await region.all_applied()
    region.store.batches.clear()
    return region


async def test_entries_and_marks_are_written_in_one_call(region):
    await started(region)
    at = region.write(1, "alice", "bob")
    await region.applied(1)
    (batch,) = [batch for batch in region.store.batches if batch.entries]
    assert [entry.target.id for entry in batch.entries] == ["alice", "bob"]
    assert batch.marks[1] == Mark(2, at.offset, at.time, at.offset, rebuilt=True)
    assert batch.expected[1] == 1
    assert await region.known("alice", "bob", "carol") == {"alice", "bob"}


async def test_a_pulse_moves_the_mark_alone(region):
    await started(region)
    at = region.write(0)
    await region.applied(0)
    state = await region.store.region()
    assert region.store.batches[-1].entries == []
    assert state.marks[0].as_of == at.time


# Rebuilding ---------------------------------------------------------------------------


async def test_a_cold_region_is_rebuilt_from_the_whole_log(region):
    """Including records older than any token: some entries stand for ever."""
    region.write(0, "deleted from the log")
    region.write(0, "standing", age_ms=SETTINGS.relevance_ms - 60_000)
    region.write(0, "new")
    region.write(1)
    region.consumer.truncate(0, 1)
    await region.projector.start()
    await region.all_applied()
    state = await region.store.region()
    assert await region.known("deleted from the log", "standing", "new") == {
        "standing",
        "new",
    }
    assert state.freshness.ready
    assert state.epoch
    assert (0, 1) in region.consumer.seeks


async def test_a_region_is_ready_when_every_partition_is_read(region):
    """That is the end of the log when the rebuild began."""
    region.write(0, "alice")
    for _ in range(3):
        region.write(1, "bob")
    region.consumer.stop_reading_at[1] = 2
    await region.projector.start()
    await region.applied(0)
    await region.applied(1, 2)
    assert not (await region.store.region()).freshness.ready
    region.consumer.stop_reading_at.clear()
    await region.applied(1)
    assert (await region.store.region()).freshness.ready


async def test_an_empty_log_is_begun_at_its_end(region):
    """There is nothing to rebuild; the first pulse says as of when."""
    await region.projector.start()
    region.write(0)
    region.write(1)
    await region.all_applied()
    assert (await region.store.region()).freshness.ready


async def test_a_projector_continues_from_the_stores_marks(region):
    """Not from its group's offsets: the store holds marks beside the entries."""
    for partition in (0, 1):
        region.write(partition, "applied before")
        region.write(partition, f"new-{partition}")
    await region.store.begin("before", region.identity)
    marks = {at: Mark(1, 1_000, now_ms(), 1_000, rebuilt=True) for at in (0, 1)}
    await region.store.apply("before", Batch([], marks, {}))
    await region.projector.start()
    await region.all_applied()
    assert await region.known("applied before", "new-0", "new-1") == {"new-0", "new-1"}
    assert (await region.store.region()).epoch == "before"
    assert sorted(region.consumer.seeks) == [(0, 1), (1, 1)]


async def test_two_projectors_of_a_region_agree_on_one_epoch(region):
    """The second one finds a rebuild under way, and helps."""
    await region.store.begin("first", region.identity)
    region.write(0)
    region.write(1)
    await region.projector.start()
    await region.all_applied()
    assert (await region.store.region()).epoch == "first"


# Forwarded events ---------------------------------------------------------------------


async def test_a_forwarded_event_is_claimed_once_applied(region):
    await started(region)
    region.consumer.stop_reading_at[1] = 1
    region.write(1, "alice", forwarded=55)
    here = region.write(0, awaits=((1, 55),))
    await eventually(
        lambda: region.marks_now()[0].applied_offset == here.offset, pause=0.001
    )
    assert region.marks_now()[0].source_offset < here.offset
    region.consumer.stop_reading_at.clear()
    await region.all_applied()
    assert region.marks_now()[0].source_offset == here.offset


async def test_another_members_partition_is_looked_up_in_the_store(region):
    await started(region)
    await region.consumer.assign(0)
    here = region.write(0, awaits=((1, 7_000),))
    await eventually(
        lambda: region.marks_now()[0].applied_offset == here.offset, pause=0.001
    )
    epoch = (await region.store.region()).epoch
    elsewhere = Mark(9, 7, now_ms(), 7, rebuilt=True, forwarded=7_000)
    assert region.marks_now()[0].source_offset < here.offset
    await region.store.apply(epoch, Batch([], {1: elsewhere}, {}))
    region.write(0)
    await region.applied(0)


# Start and stop -----------------------------------------------------------------------


async def test_an_unsuitable_store_is_refused_before_anything_is_read(
    region, monkeypatch
):
    async def refuse():
        raise StoreUnsuitableError("its maxmemory-policy is allkeys-lru")

    monkeypatch.setattr(region.store, "check_suitable", refuse)
    with pytest.raises(StoreUnsuitableError, match="allkeys-lru"):
        await region.projector.start()
    assert region.consumer.polls == 0
    assert not region.producer.started


async def test_stopping_twice_is_harmless(region):
    await started(region)
    await region.projector.stop()
    await region.projector.stop()
    assert region.consumer.stopped
    assert region.producer.stopped


async def test_lag_and_age_are_exported(region):
    await started(region)
    at = region.write(1)
    await region.applied(1)
    labels = ("eu", "1")
    await eventually(
        lambda: metrics.WATERMARK.labels(*labels)._value.get() == at.time / 1_000,
        pause=0.001,
    )
    assert metrics.LAG.labels(*labels)._value.get() == 0


async def test_partitions_of_another_member_are_not_exported(region):
    """Its age would seem to grow for ever, and raise an alert."""
    await started(region)
    await region.consumer.assign(1)
    region.write(1)
    await region.applied(1)
    shown = {
        sample.labels["partition"]
        for gauge in (metrics.WATERMARK, metrics.LAG)
        for sample in next(iter(gauge.collect())).samples
        if sample.labels["region"] == "eu"
    }
    assert shown == {"1"}
