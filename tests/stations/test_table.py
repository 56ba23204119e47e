"""The ledger's table, over a real RocksDB in a folder of its own."""

import itertools
from dataclasses import replace
from functools import reduce
from types import SimpleNamespace

import pytest
from faust.types import TP
from hypothesis import HealthCheck, given, settings, strategies as st
from structlog.testing import capture_logs

from revocation.authority import ledger_table
from revocation.authority.faust_app import Authority
from revocation.entries import Entry, Kind, Position, Target, merge
from revocation.updates import Update, encode_update
from tests.unit.histories import ALICE, HERE
from tests.unit.strategies import ISSUER, NOW, SUBJECT_KINDS, entries_of_one_target

PARTITION = 3
_numbers = itertools.count()


def entry(name, **state):
    return Entry(Target(Kind.USER, ISSUER, str(name)), HERE, **state)


def changelog(*values, partition=PARTITION, since=100):
    """Return records of the entries topic as Faust passes them during recovery."""
    return [
        SimpleNamespace(
            message=SimpleNamespace(partition=partition, offset=offset, value=value)
        )
        for offset, value in enumerate(values, start=since)
    ]


def update(*entries, partition=PARTITION):
    return encode_update(Update(Position(partition, 7, NOW), entries))


def reached(ledger, partition=PARTITION):
    return ledger.data.persisted_offset(TP("played.entries", partition))


async def test_a_database_that_cannot_be_opened_ends_the_process(ledger, monkeypatch):
    """With one line on the remedy: a full disk, another process, damage."""
    ended = []

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("IO error: No space left on device")

    monkeypatch.setattr(ledger.data, "on_rebalance", fail)
    monkeypatch.setattr(ledger_table, "abort_process", lambda *said: ended.append(said))
    await ledger.on_rebalance(set(), set(), set())
    ((said, error),) = ended
    assert said.startswith("the ledger cannot be opened; see that data_dir has space")
    assert "No space left" in str(error)


# Rows ---------------------------------------------------------------------------------


def test_a_stored_entry_is_read_back(ledger):
    ledger.remember(PARTITION, entry("alice", version=3))
    ledger.remember(PARTITION, entry("alice", version=4))
    assert ledger.recall(PARTITION, ALICE) == entry("alice", version=4)


def test_a_partition_has_only_its_own_entries(ledger):
    ledger.remember(PARTITION, entry("alice"))
    assert ledger.recall(PARTITION + 1, ALICE) is None


def test_a_deleted_entry_is_gone(ledger):
    ledger.remember(PARTITION, entry("alice"))
    ledger.forget(PARTITION, ALICE)
    ledger.forget(PARTITION, ALICE)
    assert ledger.recall(PARTITION, ALICE) is None


async def test_everything_survives_the_process(authority):
    before = authority._ledger
    for name in range(4):
        before.remember(PARTITION, entry(name))
    before.reached(PARTITION, 41)
    walked = before.walk(PARTITION, 1)
    await before.data.stop()

    after = Authority(authority._settings)._ledger
    assert after.count(PARTITION) == 4
    assert reached(after) == 41
    assert after.recall(PARTITION, walked[0].target) == walked[0]
    assert walked + after.walk(PARTITION, 3) == [entry(name) for name in range(4)]
    await after.data.stop()


def test_entries_are_counted_and_nothing_else(ledger):
    ledger.reached(PARTITION, 41)
    for name in ("a", "b", "c"):
        ledger.remember(PARTITION, entry(name))
    ledger.walk(PARTITION, 1)
    assert ledger.count(PARTITION) == 3
    ledger.remember(PARTITION, entry("a", version=2))
    ledger.remember(PARTITION, entry("d"))
    ledger.forget(PARTITION, entry("b").target)
    ledger.forget(PARTITION, entry("nobody").target)
    assert ledger.count(PARTITION) == 3
    assert ledger.count(PARTITION + 1) == 0


# Walks --------------------------------------------------------------------------------


@given(st.integers(1, 9), st.lists(st.integers(0, 9), min_size=1, max_size=12))
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_walk_goes_round_and_round(ledger, rows, shares):
    """Whatever the shares: each row in turn, none omitted, none twice in a round."""
    everything = [entry(name) for name in range(rows)]
    for each in everything:
        ledger.remember(PARTITION, each)
    for each in range(rows, 9):
        ledger.forget(PARTITION, entry(each).target)
    start = (int(ledger.walk(PARTITION, 1)[0].target.id) + 1) % rows
    walked = []
    for share in shares:
        walked += ledger.walk(PARTITION, min(share, rows))
    turns = itertools.islice(itertools.cycle(everything), start, None)
    assert walked == list(itertools.islice(turns, len(walked)))
    assert len(walked) == sum(min(share, rows) for share in shares)


def test_a_walk_of_an_empty_partition_yields_nothing(ledger):
    ledger.reached(PARTITION, 41)
    assert ledger.walk(PARTITION, 5) == []


def test_a_walk_continues_when_its_row_is_deleted(ledger):
    for name in ("a", "b", "c"):
        ledger.remember(PARTITION, entry(name))
    ledger.walk(PARTITION, 2)
    ledger.forget(PARTITION, entry("b").target)
    assert ledger.walk(PARTITION, 2) == [entry("c"), entry("a")]


# Recovery -----------------------------------------------------------------------------


@given(entries_of_one_target(4, SUBJECT_KINDS), st.randoms())
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_changelog_in_any_order_merges_by_the_greatest(ledger, history, random):
    """A paused worker's older entry may follow a newer one, and some occur twice."""
    target = Target(Kind.USER, ISSUER, f"user-{next(_numbers)}")
    history = [replace(each, target=target) for each in history]
    read = random.sample(history, len(history)) + random.choices(history, k=2)
    cut = random.randint(0, len(read))
    for batch in (read[:cut], read[cut:]):
        ledger.apply_changelog_batch(changelog(*map(update, batch)))
    assert ledger.recall(PARTITION, target) == reduce(merge, history)


def test_recovery_does_not_undo_the_table(ledger):
    """The table survives a kill that the last outputs did not."""
    ledger.remember(PARTITION, entry("alice", version=5))
    ledger.apply_changelog_batch(changelog(update(entry("alice", version=4))))
    assert ledger.recall(PARTITION, ALICE).version == 5


def test_each_user_of_a_bulk_event_is_recovered(ledger):
    bulk = [entry(name, version=2) for name in range(5)]
    ledger.apply_changelog_batch(changelog(update(*bulk)))
    assert ledger.count(PARTITION) == 5
    assert all(ledger.recall(PARTITION, each.target) == each for each in bulk)


@pytest.mark.parametrize("kind", [Kind.TOKEN, Kind.SESSION])
def test_denylist_entries_are_not_kept(ledger, kind):
    denied = Entry(Target(kind, ISSUER, "x"), HERE, expires_at=NOW)
    ledger.apply_changelog_batch(changelog(update(denied, entry("alice"))))
    assert ledger.recall(PARTITION, denied.target) is None
    assert ledger.count(PARTITION) == 1


@pytest.mark.parametrize("value", [None, b"", b"not json", b"[]", b'{"offset":-1}'])
def test_a_record_that_is_no_update_is_skipped_and_logged(ledger, value):
    """It does not stop recovery, and its bytes are not logged."""
    with capture_logs() as logs:
        ledger.apply_changelog_batch(
            changelog(update(entry("a")), value, update(entry("b")))
        )
    assert ledger.count(PARTITION) == 2
    assert [(log["partition"], log["offset"]) for log in logs] == [(PARTITION, 101)]
    assert reached(ledger) == 102


def test_concluded_positions_come_from_the_updates(ledger):
    """Those of any authority; an update without a source claims nothing."""
    updates = [
        Update(Position(PARTITION, 9, NOW), forwarded=4),
        Update(Position(PARTITION, 7, NOW)),
        Update(entries=(entry("alice"),), forwarded=3),
    ]
    assert ledger.concluded(PARTITION) == (-1, -1)
    ledger.apply_changelog_batch(changelog(*map(encode_update, updates)))
    assert ledger.concluded(PARTITION) == (9, 4)
    assert ledger.concluded(PARTITION + 1) == (-1, -1)
    ledger.note_concluded(PARTITION, [Update(Position(PARTITION, 8, NOW), forwarded=5)])
    assert ledger.concluded(PARTITION) == (9, 5)
    assert (ledger.count(PARTITION), ledger.walk(PARTITION, 1)) == (1, [entry("alice")])


def test_the_position_of_each_partition_is_stored(ledger):
    """Faust continues from there when the worker restarts."""
    batch = changelog(update(), update(), since=7)
    batch += changelog(update(partition=1), partition=1, since=30)
    ledger.apply_changelog_batch(batch)
    assert reached(ledger) == 8
    assert reached(ledger, 1) == 30
    assert reached(ledger, 2) is None
