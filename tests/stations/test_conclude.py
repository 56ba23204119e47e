"""What one record leads to; `test_conclude_laws.py` has what holds for every log."""

from collections import Counter

import pytest

from revocation import events
from revocation.authority.conclude import Record, conclude
from revocation.entries import DENYLIST_KINDS, Position
from revocation.errors import (
    InvalidEventError,
    MalformedEventError,
    OversizedRecordError,
    UnknownEventTypeError,
)
from revocation.topics import MAX_EVENT_BYTES, partition_of, record_key
from tests.stations.log import PARTITIONS, home, record
from tests.unit.histories import event, user_event
from tests.unit.strategies import LIMITS, NOW

NAMES = [f"user-{number}" for number in range(40)]
BULK = event(events.UsersRevoked, users=NAMES)


def concluded(what, known=()):
    recall = {entry.target: entry for entry in known}.get
    return conclude(what, recall, LIMITS, PARTITIONS)


def elsewhere(what):
    return (home(what) + 1) % PARTITIONS


def test_an_event_at_home_leads_to_its_entry():
    what = record(user_event())
    conclusion = concluded(what)
    (entry,) = conclusion.entries
    assert (entry.target,) == events.targets(user_event())
    assert (entry.source, entry.version) == (what.at, 1)
    assert conclusion.reroutes == ()
    assert conclusion.event_type == "revocation.user.logged_out"
    assert conclusion.results == Counter(accepted=1)


def test_the_ledger_keeps_what_is_no_denylist_entry():
    kept = concluded(record(user_event()))
    denied = concluded(record(event(events.TokenRevoked, jti="x")))
    assert [*kept.changed] == [*kept.entries]
    assert [*denied.changed] == []
    assert denied.entries[0].target.kind in DENYLIST_KINDS


def test_a_misplaced_event_is_sent_on_as_it_was():
    """Byte for byte, keyed by its target, with all its headers and where it was."""
    what = user_event()
    headers = (("trace", b"\x00\xff"), ("trace", b"twice"))
    misplaced = record(what, elsewhere(what), headers=headers)
    conclusion = concluded(misplaced)
    (reroute,) = conclusion.reroutes
    assert conclusion.entries == ()
    assert conclusion.results == Counter()
    assert reroute.partition == home(what)
    assert reroute.key == record_key(events.targets(what)[0])
    assert reroute.value == misplaced.value
    origin = ("rerouted-from", misplaced.at.receipt.encode())
    assert reroute.headers == (*headers, origin)


def test_an_event_in_binary_mode_is_sent_on_in_binary_mode():
    what = user_event()
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_type", what.type.encode()),
        ("ce_id", b"one"),
        ("ce_source", b"/idp"),
    )
    value = what.data.model_dump_json(exclude_none=True).encode()
    at = Position(elsewhere(what), 7, NOW)
    (reroute,) = concluded(Record(None, value, headers, at)).reroutes
    arrived = Record(
        reroute.key, reroute.value, reroute.headers, at._replace(partition=home(what))
    )
    assert reroute.value == value
    assert concluded(arrived).results == Counter(accepted=1)


def test_a_bulk_event_is_split_where_its_users_are():
    """Each user is concluded on here or sent on in one part; ids and source stay."""
    what = record(BULK, 2)
    conclusion = concluded(what)
    here = [entry.target.id for entry in conclusion.entries]
    parts = {each.partition: events.decode(each.value) for each in conclusion.reroutes}
    moved = [name for part in parts.values() for name in part.data.users]
    assert here
    assert len(parts) == PARTITIONS - 1
    assert sorted(here + moved) == sorted(NAMES)
    assert {part.id for part in parts.values()} == {BULK.id}
    assert {part.source for part in parts.values()} == {BULK.source}
    assert conclusion.results == Counter(accepted=len(here))


def test_each_part_of_a_bulk_event_is_at_home_where_it_is_sent():
    for reroute in concluded(record(BULK, 2)).reroutes:
        part = events.decode(reroute.value, reroute.headers)
        keys = [record_key(target) for target in events.targets(part)]
        assert reroute.key == keys[0]
        assert {partition_of(key, PARTITIONS) for key in keys} == {reroute.partition}


def test_a_bulk_event_in_binary_mode_is_sent_on_in_structured_mode():
    """The new value is a whole CloudEvent: headers that say otherwise must not stay."""
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_type", BULK.type.encode()),
        ("ce_id", b"bulk"),
        ("ce_source", b"/idp"),
        ("content-type", b"application/json"),
    )
    value = BULK.data.model_dump_json(exclude_none=True).encode()
    at = Position(2, 7, NOW)
    conclusion = concluded(Record(None, value, headers, at))
    assert conclusion.reroutes
    for reroute in conclusion.reroutes:
        part = events.decode(reroute.value, reroute.headers)
        assert (part.id, part.source, part.type) == ("bulk", "/idp", BULK.type)


def test_a_bulk_event_that_is_all_misplaced_concludes_nothing():
    alice = event(events.UsersRevoked, users=["alice"])
    conclusion = concluded(record(alice, elsewhere(alice)))
    assert conclusion.entries == ()
    assert [each.partition for each in conclusion.reroutes] == [home(alice)]


def test_a_record_taken_again_emits_its_entry_again():
    what = record(user_event())
    first = concluded(what)
    again = concluded(what, known=first.entries)
    assert again.entries == first.entries
    assert again.results == Counter(duplicate=1)


def test_a_producers_retry_emits_its_entry_again_and_counts_once():
    said = user_event()
    first = concluded(record(said, offset=7))
    retried = concluded(record(said, offset=9), known=first.entries)
    assert retried.entries == first.entries
    assert retried.results == Counter(duplicate=1)


def test_of_a_bulk_event_only_users_not_seen_yet_are_bumped():
    conclusion = concluded(record(BULK, 2, offset=7))
    known = conclusion.entries[:2]
    again = concluded(record(BULK, 2, offset=9), known=known)
    assert again.entries[:2] == known
    assert again.results == Counter(duplicate=2, accepted=len(again.entries) - 2)


def test_what_comes_too_late_is_counted_and_emits_nothing():
    late = event(events.TokenRevoked, jti="x", exp=NOW // 1000 - 600)
    conclusion = concluded(record(late))
    assert conclusion.entries == ()
    assert conclusion.results == Counter(superseded=1)


def test_a_time_not_to_be_believed_is_counted():
    slip = event(events.TokenRevoked, jti="x", exp=3_600)
    assert concluded(record(slip)).clamped == 1
    assert concluded(record(user_event())).clamped == 0


GOOD = record(user_event()).value


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, MalformedEventError),
        (b"", MalformedEventError),
        (b"not json", MalformedEventError),
        (GOOD.replace(b"logged_out", b"misspelt"), UnknownEventTypeError),
        (GOOD.replace(b'"user":', b'"usr":'), InvalidEventError),
        (b" " * (MAX_EVENT_BYTES + 1), OversizedRecordError),
    ],
)
def test_what_belongs_in_the_dead_letters_is_raised(value, error):
    with pytest.raises(error):
        concluded(Record(b"key", value, (), Position(0, 7, NOW)))
