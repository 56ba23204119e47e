"""Which claims a partition may make. Sibling: test_progress_laws.py, interleavings."""

from revocation.entries import Position
from revocation.projector.progress import Progress
from revocation.store.contract import Mark
from revocation.updates import Update

START = Mark.at(0)


def update(offset, time=None, awaits=()):
    time = 1_000 + offset if time is None else time
    return Update(Position(0, offset, time), (), tuple(awaits))


def marks(**forwarded):
    """Return marks of partitions, by their position in the forwarded topic."""
    return {
        int(name[1:]): START._replace(forwarded=offset)
        for name, offset in forwarded.items()
    }


def progress(mark=START, *, rebuilt_at=0):
    return Progress(mark, rebuilt_at=rebuilt_at)


def test_an_update_is_claimed_as_it_is_read():
    one = progress()
    one.read(1, update(40, 7_000))
    assert one.mark == Mark(1, 40, 7_000, 40, rebuilt=True)
    assert (one.next_read, one.waiting) == (1, False)


def test_an_entry_emitted_again_claims_nothing_new():
    one = progress()
    one.read(1, update(40, 7_000))
    one.read(2, Update())
    assert one.mark == Mark(2, 40, 7_000, 40, rebuilt=True)


def test_positions_of_the_forwarded_topic_are_claimed_as_read():
    """It claims nothing of the events topic."""
    one = progress()
    one.read(1, update(40))
    one.read(2, Update(forwarded=9))
    one.read(3, Update(forwarded=8))
    assert one.mark == Mark(3, 40, 1_040, 40, rebuilt=True, forwarded=9)


def test_a_waiting_partition_does_not_block_others():
    """Else two partitions with events of each other would wait for ever."""
    one = progress()
    one.read(1, update(40, awaits=[(1, 9)]))
    one.read(2, Update(forwarded=9))
    assert (one.mark.source_offset, one.mark.forwarded) == (-1, 9)


def test_awaited_positions_may_be_in_the_events_topic():
    """Updates from before the forwarded topic existed name such positions."""
    one = progress()
    one.read(1, Update(Position(0, 40, 1_040), rerouted=((1, 9),)))
    one.settle(marks(p1=99))
    assert one.waiting
    one.settle({1: START._replace(applied_offset=9)})
    assert one.mark.source_offset == 40


def test_forwarded_records_are_awaited():
    """The partition has read it, and tells other partitions, but does not claim it."""
    one = progress()
    one.read(1, update(40, awaits=[(1, 9), (2, 5)]))
    assert one.mark == Mark(0, -1, 0, 40, rebuilt=False)
    one.settle(marks(p1=9, p2=4))
    assert one.waiting
    one.settle(marks(p1=9, p2=5))
    assert one.mark == Mark(1, 40, 1_040, 40, rebuilt=True)
    assert not one.waiting


def test_an_unknown_partition_is_awaited():
    one = progress()
    one.read(1, update(40, awaits=[(3, 0)]))
    one.settle(marks(p1=99))
    assert one.waiting


def test_later_updates_wait_as_well():
    one = progress()
    one.read(1, update(40, awaits=[(1, 9)]))
    one.read(2, update(41))
    one.skip(3)
    assert one.mark.next_offset == 0
    assert one.next_read == 3
    one.settle(marks(p1=9))
    assert one.mark == Mark(3, 41, 1_041, 41, rebuilt=True)


def test_as_much_is_claimed_as_can_be():
    one = progress()
    one.read(1, update(40, awaits=[(1, 5)]))
    one.read(2, update(41, awaits=[(1, 9)]))
    one.settle(marks(p1=8))
    assert one.mark.source_offset == 40
    assert one.waiting


def test_a_parked_record_is_skipped():
    """It carries no position of the events topic."""
    one = progress()
    one.read(1, update(40))
    one.skip(2)
    assert one.mark == Mark(2, 40, 1_040, 40, rebuilt=True)


def test_a_rebuild_is_complete_at_the_end_it_found():
    one = progress(Mark.at(5), rebuilt_at=7)
    one.read(6, update(40))
    assert not one.mark.rebuilt
    one.read(7, update(41))
    assert one.mark.rebuilt


def test_a_rebuild_is_not_complete_while_something_waits():
    one = progress(Mark.at(5), rebuilt_at=6)
    one.read(6, update(40, awaits=[(1, 9)]))
    assert not one.mark.rebuilt
    one.settle(marks(p1=9))
    assert one.mark.rebuilt


def test_a_rebuilt_region_stays_rebuilt():
    """Reading continues from a complete store, wherever the log ends by now."""
    mark = Mark(5, 40, 1_040, 40, rebuilt=True)
    one = progress(mark, rebuilt_at=1_000)
    one.read(6, update(41))
    assert one.mark.rebuilt


def test_a_log_read_again_moves_nothing_back():
    mark = Mark(5, 40, 9_000, 40, rebuilt=True)
    one = progress(mark)
    one.read(3, update(20))
    assert one.mark == mark
