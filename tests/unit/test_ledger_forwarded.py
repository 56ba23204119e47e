"""Events of one target from several partitions; `test_ledger.py` has those of one."""

from hypothesis import given, strategies as st

from revocation import events, ledger
from revocation.entries import Position, Status, merge
from revocation.ledger import Accepted, Duplicate
from tests.unit.histories import ALICE, user_event
from tests.unit.strategies import LIMITS, NOW

HOME, ELSEWHERE, THIRD = 3, 1, 2
ACTIVE, DISABLED = Status.ACTIVE, Status.DISABLED


def take(current, what, place):
    """Apply an event that was published somewhere, at some offset and time."""
    partition, offset, ms = place
    at = Position(partition, offset, NOW + ms)
    forwarded = partition != HOME
    return ledger.apply(current, what, ALICE, at, LIMITS, forwarded=forwarded)


def after(*happened):
    entry = None
    for what, *place in happened:
        entry = take(entry, what, place).entry
    return entry


def test_a_forwarded_event_has_its_own_time_however_late_it_comes():
    entry = after(
        (user_event(), HOME, 8, 9_000),
        (user_event(), ELSEWHERE, 5, 1_000),
    )
    assert entry.not_before == NOW + 9_000
    assert (entry.version, entry.forwarded_bumps) == (2, 1)
    assert entry.source == Position(HOME, 8, NOW + 9_000)
    assert entry.seen == ((ELSEWHERE, 5),)


def test_the_receipt_is_that_of_the_latest_event_by_time():
    entry = after((user_event(), HOME, 800, 1), (user_event(), ELSEWHERE, 5, 2))
    assert entry.source == Position(ELSEWHERE, 5, NOW + 2)
    assert entry.seen == ((HOME, 800),)


def test_a_copy_is_known_for_ever():
    """Not only among the last eight, and it puts none of those out."""
    disabled, enabled = user_event(events.UserDisabled), user_event(events.UserEnabled)
    entry = after(
        (user_event(), ELSEWHERE, 5, 1),
        *[(user_event(), HOME, offset, 2 + offset) for offset in range(20)],
        (disabled, HOME, 20, 30),
        (enabled, HOME, 21, 31),
    )
    for _ in range(20):
        copy = take(entry, user_event(), (ELSEWHERE, 5, 1))
        assert copy == Duplicate(entry)
    repeated = take(entry, disabled, (HOME, 22, 40)).entry
    assert (repeated.status, repeated.version) == (ACTIVE, entry.version)


def test_a_repetition_is_known_for_ever_where_it_lies():
    """Its copy comes again when nobody remembers the event that it repeats."""
    logout = user_event()
    entry = after(
        (logout, ELSEWHERE, 5, 1),
        (logout, ELSEWHERE, 6, 2),
        *[(user_event(), HOME, offset, 3 + offset) for offset in range(20)],
    )
    assert take(entry, logout, (ELSEWHERE, 6, 2)) == Duplicate(entry)
    assert entry.version == 21


def test_of_one_millisecond_the_last_eight_are_those_that_the_log_has_last():
    """A broker gives all records of a batch one time."""
    logouts = [user_event() for _ in range(30)]
    told = [(each, HOME, offset, 0) for offset, each in enumerate(logouts)]
    entry = after(*told)
    for each in logouts[-8:]:
        assert isinstance(take(entry, each, (HOME, 40, 0)), Duplicate)


def test_an_older_disabling_that_comes_late_disables_nobody():
    entry = after(
        (user_event(events.UserEnabled), HOME, 8, 9_000),
        (user_event(events.UserDisabled), ELSEWHERE, 5, 1_000),
    )
    assert (entry.status, entry.version) == (ACTIVE, 1)


def test_an_older_enabling_that_comes_late_enables_nobody():
    entry = after(
        (user_event(events.UserDisabled), ELSEWHERE, 8, 9_000),
        (user_event(events.UserEnabled), HOME, 5, 1_000),
    )
    assert entry.status is DISABLED


def test_a_deletion_is_final_however_late_it_comes():
    entry = after(
        (user_event(events.UserEnabled), HOME, 8, 9_000),
        (user_event(events.DataDeleted), ELSEWHERE, 5, 1_000),
    )
    assert entry.status is Status.DELETED


def test_of_one_millisecond_in_one_partition_the_log_says_what_is_later():
    for partition in (HOME, ELSEWHERE):
        entry = after(
            (user_event(events.UserDisabled), partition, 4, 0),
            (user_event(events.UserEnabled), partition, 5, 0),
            (user_event(events.UserDisabled), partition, 6, 0),
            (user_event(events.UserEnabled), partition, 7, 0),
        )
        assert entry.status is ACTIVE


def test_of_one_millisecond_in_two_partitions_the_more_severe_counts():
    told = [
        (user_event(events.UserDisabled), HOME, 4, 0),
        (user_event(events.UserEnabled), ELSEWHERE, 5, 0),
    ]
    assert after(*told).status is after(*reversed(told)).status is DISABLED


def test_a_brokers_clock_that_was_set_back_changes_no_order_of_one_log():
    entry = after(
        (user_event(events.UserDisabled), HOME, 4, 500),
        (user_event(events.UserEnabled), HOME, 5, 100),
    )
    assert entry.status is ACTIVE
    assert take(entry, user_event(), (HOME, 5, 100)) == Duplicate(entry)


def test_ledgers_that_lack_an_event_each_lack_none_together():
    """One took the forwarded event first, the other both of its own partition's."""
    first = (user_event(), HOME, 4, 0)
    second, forwarded = (user_event(), HOME, 5, 20), (user_event(), ELSEWHERE, 9, 10)
    one, other = after(first, forwarded), after(first, second)
    assert one.version == other.version == 2
    assert merge(one, other) == after(first, second, forwarded)
    assert merge(one, other).version == 3


TYPES = [
    events.UserLoggedOut,
    events.UserDisabled,
    events.UserEnabled,
    events.UserCredentialsChanged,
]


@st.composite
def two_logs(draw):
    """What lies in the home partition, and what is forwarded to it, each in order.

    No two events have the same time: no order of the two logs is that of neither.
    """
    count = draw(st.integers(1, 12))
    logs = {"own": [], "forwarded": []}
    offsets = {HOME: 0, ELSEWHERE: 0, THIRD: 0}
    for time in range(count):
        partition = draw(st.sampled_from([HOME, ELSEWHERE, THIRD]))
        offsets[partition] += draw(st.integers(1, 3))
        told = user_event(draw(st.sampled_from(TYPES)))
        log = logs["own" if partition == HOME else "forwarded"]
        log.append((told, partition, offsets[partition], 10 * time))
    return logs["own"], logs["forwarded"]


def interleaved(draw, own, forwarded):
    """Take both logs, in their order, copies of forwarded ones again and again."""
    entry, own, taken = None, [*own], []
    rest = [*forwarded]
    while own or rest:
        which = draw(st.integers(0, 2))
        if which == 0 and own:
            told = own.pop(0)
        elif which == 1 and rest:
            told = rest.pop(0)
            taken.append(told)
        elif taken:
            told = draw(st.sampled_from(taken))
        else:
            continue
        what, *place = told
        entry = take(entry, what, place).entry
    return entry


def same(one, other):
    """Whether two entries say the same to everybody, and know the same events."""
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("version", "forwarded_bumps", "not_before", "status", "source")
    ) and [one.applied(each) for each in range(4)] == [
        other.applied(each) for each in range(4)
    ]


@given(two_logs(), st.data())
def test_any_order_of_the_two_logs_leads_to_the_same(logs, data):
    by_time = sorted([*logs[0], *logs[1]], key=lambda told: told[-1])
    assert same(interleaved(data.draw, *logs), after(*by_time))


@given(two_logs(), st.data())
def test_what_two_ledgers_know_joins_to_what_one_would_that_knows_both(logs, data):
    """However far each has come in each log."""
    cuts = [[data.draw(st.integers(0, len(log))) for log in logs] for _ in range(2)]
    entries = [
        interleaved(
            data.draw, *[log[:cut] for log, cut in zip(logs, each, strict=True)]
        )
        for each in cuts
    ]
    furthest = [log[: max(ends)] for log, *ends in zip(logs, *cuts, strict=True)]
    expected = after(*sorted([*furthest[0], *furthest[1]], key=lambda told: told[-1]))
    known = [entry for entry in entries if entry is not None]
    if known:
        assert same(merge(known[0], known[-1]), expected)


def test_each_event_is_accepted_once():
    logout = user_event()
    entry = after((logout, ELSEWHERE, 5, 1))
    assert isinstance(take(None, logout, (ELSEWHERE, 5, 1)), Accepted)
    assert isinstance(take(entry, logout, (ELSEWHERE, 5, 1)), Duplicate)
    assert isinstance(take(entry, user_event(), (ELSEWHERE, 4, 0)), Duplicate)
    assert isinstance(take(entry, user_event(), (THIRD, 4, 0)), Accepted)
