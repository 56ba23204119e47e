"""Freshness claims, checked against a model that tracks every event."""

import pytest
from hypothesis import given, strategies as st

from revocation.entries import Position
from revocation.projector.progress import Progress
from revocation.store.contract import Mark
from revocation.updates import Update

PARTITIONS = 3


class Authority:
    """The position of one of two authorities, and the forwards still to name."""

    def __init__(self):
        self.read = [0] * PARTITIONS
        self.read_forwarded = [0] * PARTITIONS
        self.named = [[] for _ in range(PARTITIONS)]


class Topics:
    """Events, forwarded events and entries, as two authorities fill them.

    They read at their own pace. A record of the events topic is a pulse, an event at
    home, or a misplaced one. An authority forwards misplaced ones, and names where to
    in its next update.
    """

    def __init__(self):
        self.events = [[] for _ in range(PARTITIONS)]
        self.forwarded = [0] * PARTITIONS
        self.updates = [[] for _ in range(PARTITIONS)]
        self.places = {}
        self.authorities = [Authority(), Authority()]

    def write(self, partition, to=None):
        """Append a record; with `to`, one that belongs in another partition."""
        self.events[partition].append(None if to == partition else to)

    def conclude(self, partition, which=0):
        """Have an authority take the next record of a partition, if any."""
        authority = self.authorities[which]
        offset = authority.read[partition]
        if offset == len(self.events[partition]):
            return
        authority.read[partition] += 1
        to = self.events[partition][offset]
        if to is not None:
            place = (to, self.forwarded[to])
            self.forwarded[to] += 1
            self.places.setdefault((partition, offset), []).append(place)
            authority.named[partition].append(place)
            return
        named, authority.named[partition] = authority.named[partition], []
        at = Position(partition, offset, time_of(partition, offset))
        forwarded = authority.read_forwarded[partition] - 1
        self.updates[partition].append(Update(at, (), tuple(named), forwarded))

    def conclude_forwarded(self, partition, which=0):
        """Have an authority take the next forwarded record, if any."""
        authority = self.authorities[which]
        offset = authority.read_forwarded[partition]
        if offset < self.forwarded[partition]:
            authority.read_forwarded[partition] += 1
            self.updates[partition].append(Update(forwarded=offset))

    def refresh(self, partition, _):
        """Append a standing entry again."""
        self.updates[partition].append(Update())

    def finish(self):
        """Conclude on everything, and on two last pulses in each partition."""
        for _ in range(2):
            for partition in range(PARTITIONS):
                self.write(partition)
        while any(
            authority.read[partition] < len(self.events[partition])
            or authority.read_forwarded[partition] < self.forwarded[partition]
            for authority in self.authorities
            for partition in range(PARTITIONS)
        ):
            for partition in range(PARTITIONS):
                for which in (0, 1):
                    self.conclude(partition, which)
                    self.conclude_forwarded(partition, which)
        for partition in range(PARTITIONS):
            self.write(partition)
            self.conclude(partition, 0)


def time_of(partition, offset):
    """Return the time of a record: one clock, different paces."""
    return 1_000 + 10 * offset + partition


class Region:
    """One projector for all partitions, or one for each: they share the store."""

    def __init__(self, topics, *, alone):
        self.topics = topics
        self.alone = alone
        self.read = [0] * PARTITIONS
        self.progress = [new_progress(Mark.at(0)) for _ in range(PARTITIONS)]
        self.marks = [Mark.at(0)] * PARTITIONS
        self.stored = [-1] * PARTITIONS
        """The latest source in the store, whatever was claimed of it."""
        self.stored_forwarded = [-1] * PARTITIONS

    def turn(self, partition, count):
        """Read a batch, settle and write, as `Projector._project` does."""
        batch = self.topics.updates[partition][self.read[partition] :][:count]
        for update in batch:
            self.read[partition] += 1
            self.progress[partition].read(self.read[partition], update)
            self.stored[partition] = max(self.stored[partition], update.source.offset)
            known = self.stored_forwarded[partition]
            self.stored_forwarded[partition] = max(known, update.forwarded)
        mine = range(PARTITIONS) if self.alone else [partition]
        marks = dict(enumerate(self.marks))
        marks |= {at: self.progress[at].mark for at in mine}
        for at in mine:
            self.progress[at].settle(marks)
            self.write(at, self.progress[at].mark)

    def restart(self, partition):
        """Continue from the store, as after a crash."""
        self.progress[partition] = new_progress(self.marks[partition])
        self.read[partition] = self.marks[partition].next_offset

    def write(self, partition, mark):
        """Check that no event up to the claim is missing, also of forwarded ones."""
        before, self.marks[partition] = self.marks[partition], mark
        assert all(new >= old for new, old in zip(mark, before, strict=True))
        assert mark.applied_offset == self.stored[partition]
        assert mark.as_of <= time_of(partition, max(0, mark.source_offset))
        passed = self.topics.updates[partition][: mark.next_offset]
        assert all(update.source.offset <= mark.source_offset for update in passed)
        for offset in range(mark.source_offset + 1):
            places = self.topics.places.get((partition, offset))
            known = self.stored[partition] >= offset
            if places is not None:
                known = any(self.stored_forwarded[to] >= at for to, at in places)
            assert known, f"{partition}-{offset} claimed too early"


def new_progress(mark):
    return Progress(mark, rebuilt_at=mark.next_offset)


partitions = st.integers(0, PARTITIONS - 1)
which = st.integers(0, 1)
actions = st.lists(
    st.tuples(st.just("write"), partitions, st.none() | partitions)
    | st.tuples(st.just("conclude"), partitions, which)
    | st.tuples(st.just("conclude_forwarded"), partitions, which)
    | st.tuples(st.just("refresh"), partitions, st.just(0) | st.just(-1))
    | st.tuples(st.just("turn"), partitions, st.integers(1, 4))
    | st.tuples(st.just("restart"), partitions),
    min_size=25,
    max_size=80,
)


@given(actions, st.booleans(), st.randoms())
def test_claims_are_never_early_and_complete_in_the_end(steps, alone, random):
    topics = Topics()
    region = Region(topics, alone=alone)
    for action, *arguments in steps:
        owner = region if action in ("turn", "restart") else topics
        getattr(owner, action)(*arguments)
    topics.finish()
    order = [*range(PARTITIONS)]
    for _ in range(PARTITIONS + 1):
        random.shuffle(order)
        for partition in order:
            region.turn(partition, 1_000)

    for partition, mark in enumerate(region.marks):
        last = len(topics.events[partition]) - 1
        assert mark.source_offset == mark.applied_offset == last
        assert mark.as_of == time_of(partition, last)
        assert mark.next_offset == len(topics.updates[partition])
        assert mark.rebuilt


def misplaced_crosswise():
    """Return topics where two partitions have an event of each other, both named."""
    topics = Topics()
    topics.write(0, to=1)
    topics.write(1, to=0)
    for partition in (0, 1):
        topics.conclude(partition)
    for partition in (0, 1):
        topics.write(partition)
        topics.conclude(partition)
        topics.conclude_forwarded(partition)
    return topics


def test_two_partitions_that_wait_for_each_other():
    """Each names a position in the other behind one that it cannot claim yet."""
    topics = misplaced_crosswise()
    region = Region(topics, alone=False)
    assert [update[0].awaits for update in topics.updates[:2]] == [
        ((1, 0),),
        ((0, 0),),
    ]

    region.turn(0, 9)
    assert region.marks[0].source_offset == -1
    region.turn(1, 9)
    region.turn(0, 9)

    assert [mark.source_offset for mark in region.marks[:2]] == [1, 1]


def test_the_model_notices_a_claim_that_is_too_early():
    """The model detects a region that does not await forwarded events."""
    topics = misplaced_crosswise()
    topics.updates[0] = [Update(update.source) for update in topics.updates[0]]

    with pytest.raises(AssertionError, match="0-0 claimed too early"):
        Region(topics, alone=False).turn(0, 1)
