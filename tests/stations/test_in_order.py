"""Acknowledgements: in the order taken, and only after every delivery."""

import asyncio
from collections import defaultdict

from hypothesis import given, strategies as st

from revocation.authority.ordered_producer import InOrder


class Delivery:
    """A future as `InOrder` uses it; the test completes it, callbacks run at once."""

    def __init__(self):
        self._done = False
        self._callbacks = []

    def done(self):
        return self._done

    def add_done_callback(self, callback):
        assert not self._done
        self._callbacks.append(callback)

    def deliver(self):
        self._done = True
        for callback in self._callbacks:
            callback(self)


class Taken:
    """The records passed to `InOrder`, and those that it acknowledged."""

    def __init__(self):
        self.in_order = InOrder()
        self.records = defaultdict(list)
        self.acknowledged = defaultdict(list)

    def take(self, partition, deliveries):
        number = len(self.records[partition])
        self.records[partition].append(deliveries)
        self.in_order.take(
            partition, lambda: self.acknowledged[partition].append(number), deliveries
        )

    def expected(self, partition):
        """Return the records before the first with a delivery outstanding."""
        expected = []
        for number, deliveries in enumerate(self.records[partition]):
            if not all(delivery.done() for delivery in deliveries):
                break
            expected.append(number)
        return expected


steps = st.lists(
    st.tuples(st.just("take"), st.integers(0, 2), st.integers(0, 3))
    | st.tuples(st.just("deliver"), st.integers(0, 100), st.just(0)),
    max_size=40,
)


@given(steps, st.randoms())
def test_any_order_of_deliveries(steps, random):
    """Records may share deliveries, and some deliveries may be done already."""
    taken, outstanding, everything = Taken(), [], []
    for what, number, count in steps:
        if what == "take":
            fresh = [Delivery() for _ in range(count)]
            shared = random.sample(everything, min(1, len(everything)))
            taken.take(number, fresh + shared)
            outstanding += fresh
            everything += fresh
        elif outstanding:
            outstanding.pop(number % len(outstanding)).deliver()
        for partition in taken.records:
            assert taken.acknowledged[partition] == taken.expected(partition)
    for delivery in outstanding:
        delivery.deliver()
    for partition, records in taken.records.items():
        assert taken.acknowledged[partition] == [*range(len(records))]


def test_a_record_without_output_waits_for_those_before_it():
    taken, delivery = Taken(), Delivery()
    taken.take(0, [delivery])
    taken.take(0, [])
    assert taken.acknowledged[0] == []
    delivery.deliver()
    assert taken.acknowledged[0] == [0, 1]


def test_partitions_do_not_wait_for_each_other():
    taken = Taken()
    taken.take(0, [Delivery()])
    taken.take(1, [])
    assert taken.acknowledged == {1: [0]}


def test_a_dropped_partition_is_forgotten():
    """Its records belong to another member: they neither count nor delay others."""
    taken, lost, kept = Taken(), Delivery(), Delivery()
    taken.take(0, [lost])
    taken.take(1, [kept])
    taken.in_order.drop([0, 7])
    lost.deliver()
    kept.deliver()
    assert taken.acknowledged[0] == []
    assert taken.acknowledged[1] == [0]


def test_a_reassigned_partition_starts_afresh():
    """A late delivery from before neither acknowledges nor delays new records."""
    taken, late, new = Taken(), Delivery(), Delivery()
    taken.take(0, [late])
    taken.in_order.drop([0])
    taken.take(0, [new])
    late.deliver()
    assert taken.acknowledged[0] == []
    new.deliver()
    assert taken.acknowledged[0] == [1]


async def test_real_futures():
    """A loop runs callbacks in a later iteration; the order is the same."""
    taken = Taken()
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    taken.take(0, [first])
    taken.take(0, [second])
    second.set_result(None)
    await asyncio.sleep(0)
    assert taken.acknowledged[0] == []
    first.set_result(None)
    await asyncio.sleep(0)
    assert taken.acknowledged[0] == [0, 1]
