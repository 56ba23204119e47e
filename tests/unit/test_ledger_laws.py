"""Laws of every log; `test_ledger.py` has the rules one by one."""

import itertools

from hypothesis import given, strategies as st

from revocation import events, ledger
from revocation.entries import RECENT_EVENTS, merge
from revocation.ledger import Accepted, Duplicate, Superseded
from tests.unit.histories import at, event, read, user_event
from tests.unit.strategies import LIMITS, USER_EVENTS, any_event, logs, positions

every_log = logs(types=[*events.EVENT_TYPES.values()])


@given(every_log)
def test_the_same_log_gives_the_same_entries(log):
    assert read(log) == read(log)


@given(every_log, st.data())
def test_reading_any_stretch_again_changes_nothing(log, data):
    """After a crash an authority reads on from an older offset than its table's."""
    start = data.draw(st.integers(0, len(log)))
    end = data.draw(st.integers(start, len(log)))
    table, _ = read(log)
    assert read(log[start:end], table)[0] == table
    assert read(log[:end] + log[start:])[0] == table


@given(every_log)
def test_a_record_read_again_emits_its_entry_again(log):
    """The first output may have been lost with the process."""
    table, first = read(log)
    _, again = read(log, table)
    for before, now in zip(first, again, strict=True):
        assert isinstance(now, Duplicate) or type(now) is type(before)
        assert (now.entry is None) == (before.entry is None)


@given(every_log)
def test_an_entry_only_ever_grows(log):
    """So a store that merges what it gets late holds what the ledger holds."""
    table = {}
    for record in log:
        before = dict(table)
        table, _ = read([record], table)
        for target, entry in before.items():
            assert merge(entry, table[target]) == table[target]


@given(logs(), st.randoms())
def test_what_was_emitted_merges_to_the_table_in_any_order(log, random):
    table, results = read(log)
    emitted = [result.entry for result in results]
    random.shuffle(emitted)
    joined = {}
    for entry in emitted:
        known = joined.get(entry.target)
        joined[entry.target] = merge(known, entry) if known else entry
    assert joined == table


BUMPING = [events.UserLoggedOut, events.UserCredentialsChanged, events.UserDisabled]


@given(logs(types=BUMPING, most=RECENT_EVENTS))
def test_a_version_moves_once_for_each_event_and_never_back(log):
    table = {}
    seen = set()
    for where, what in log:
        (target,) = events.targets(what)
        before = table[target].version if target in table else 0
        table, _ = read([(where, what)], table)
        if what.id in seen:
            assert table[target].version == before
        else:
            assert table[target].version == max(before + 1, what.data.version or 0)
        seen.add(what.id)


@given(logs(types=USER_EVENTS))
def test_a_source_is_the_place_of_the_latest_event_that_counted(log):
    table, results = read(log)
    for target, entry in table.items():
        counted = [
            result.entry.source
            for result in results
            if isinstance(result, Accepted) and result.entry.target == target
        ]
        assert entry.source == counted[-1]


@given(any_event(), positions())
def test_any_event_has_a_result_for_each_target(what, where):
    for target in events.targets(what):
        result = ledger.apply(None, what, target, where, LIMITS)
        assert isinstance(result, Accepted | Superseded)
        if result.entry is not None:
            assert result.entry.target == target
            assert result.entry.source == where


def test_denial_and_cut_off_never_depend_on_the_order_of_kinds():
    """Entries of different targets have nothing to do with each other."""
    happened = [
        user_event(),
        event(events.TokenRevoked, jti="x"),
        event(events.KeyRevoked, kid="k"),
    ]
    tables = []
    for order in itertools.permutations(enumerate(happened)):
        log = [(at(number), what) for number, what in order]
        tables.append(read(log)[0])
    assert all(table == tables[0] for table in tables)
