"""Laws that hold for every log, wherever producers put their records."""

from hypothesis import given, settings, strategies as st

from revocation import events
from tests.stations.log import PARTITIONS, FakeLog, home
from tests.unit.strategies import any_event

GROUPS = 3


@st.composite
def written(draw):
    """Events, each with the partition that its producer chose.

    All events of an issuer, so also of a target, are in one partition, and forwarded in
    order. In `test_forwarded_laws.py` producers scatter them.
    """
    chosen = [draw(st.integers(0, PARTITIONS - 1)) for _ in range(GROUPS)]
    records = []
    for _ in range(draw(st.integers(1, 14))):
        group = draw(st.integers(0, GROUPS - 1))
        what = draw(any_event())
        data = what.data.model_copy(update={"issuer": f"https://idp.example/{group}"})
        records.append((what.model_copy(update={"data": data}), chosen[group]))
    retried = draw(st.lists(st.sampled_from(records), max_size=3))
    return records + retried


def read_all(log, choose):
    """Conclude on everything; `choose` interleaves the partitions."""
    while unread := log.unread():
        log.step(choose(unread))


def placed_right(records):
    """Return the state of a log in which every record is at home."""
    log = FakeLog()
    for what, _ in records:
        for part in at_home(what):
            log.append(part, home(part))
    read_all(log, min)
    return log


def at_home(what):
    if not isinstance(what, events.UsersRevoked):
        return [what]
    return [events.about(what, [name]) for name in dict.fromkeys(what.data.users)]


@given(written(), st.data())
def test_misplaced_records_lead_to_the_same_ledger(records, data):
    log = FakeLog()
    for what, partition in records:
        log.append(what, partition)

    read_all(log, lambda unread: data.draw(st.sampled_from(unread)))

    right = placed_right(records)
    assert log.state() == right.state()
    assert log.results == right.results


@given(written(), st.data())
@settings(max_examples=50)
def test_records_taken_again_lead_to_the_same_ledger(records, data):
    """A kill before the commit forwards them twice; their origin identifies them."""
    log = FakeLog()
    for what, partition in records:
        log.append(what, partition)
    for _ in range(data.draw(st.integers(0, 3))):
        if unread := log.unread():
            log.step(data.draw(st.sampled_from(unread)))
    again = data.draw(st.integers(0, PARTITIONS - 1))
    log.read_again_from(again, data.draw(st.integers(0, 3)))

    read_all(log, min)

    assert log.state() == placed_right(records).state()


@given(written())
def test_a_record_is_forwarded_once_at_most(records):
    """At its destination it is at home, so nothing circulates."""
    log = FakeLog()
    for what, partition in records:
        log.append(what, partition)
    written_by_producers = list(map(len, log.partitions))
    for partition, size in enumerate(written_by_producers):
        for _ in range(size):
            log.step(partition)

    arrived = [log.step(at) for at in log.unread() for _ in log.unread_in(at)]

    assert not any(conclusion.forwards for conclusion in arrived)
