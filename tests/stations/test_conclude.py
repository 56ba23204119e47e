"""The conclusions from one record. Sibling: test_conclude_laws.py, for any log."""

from collections import Counter

import pytest

from revocation import events
from revocation.authority.conclude import Record, conclude, origin
from revocation.entries import DENYLIST_KINDS, Position
from revocation.errors import (
    ClaimsNotRevocableError,
    InvalidEventError,
    MalformedEventError,
    MalformedForwardedError,
    OversizedRecordError,
    UnknownEventTypeError,
)
from revocation.topics import MAX_EVENT_BYTES, partition_of, record_key
from tests.stations.log import PARTITIONS, home, record
from tests.unit.histories import event, user_event
from tests.unit.strategies import LIMITS, NOW

NAMES = [f"user-{number}" for number in range(40)]
BULK = event(events.UsersRevoked, users=NAMES)


def concluded(what, known=(), sets=()):
    recall = {entry.target: entry for entry in known}.get
    return conclude(what, recall, LIMITS, PARTITIONS, sets)


def arrived(forward):
    """Return a record as it is read from the forwarded topic."""
    published = origin(forward.headers, forward.partition)
    return Record(forward.partition, forward.value, forward.headers, published)


def elsewhere(what):
    return (home(what) + 1) % PARTITIONS


def test_an_event_at_home_leads_to_its_entry():
    what = record(user_event())
    conclusion = concluded(what)
    (entry,) = conclusion.entries
    assert (entry.target,) == events.targets(user_event())
    assert (entry.source, entry.version) == (what.at, 1)
    assert conclusion.forwards == ()
    assert conclusion.event_type == "revocation.user.logged_out"
    assert conclusion.results == Counter(accepted=1)


def test_the_ledger_keeps_all_but_denylist_entries():
    kept = concluded(record(user_event()))
    denied = concluded(record(event(events.TokenRevoked, jti="x")))
    assert [*kept.changed] == [*kept.entries]
    assert [*denied.changed] == []
    assert denied.entries[0].target.kind in DENYLIST_KINDS


def test_a_misplaced_event_is_forwarded_unchanged():
    """Byte for byte, keyed by its target, with all its headers and its origin."""
    what = user_event()
    headers = (("trace", b"\x00\xff"), ("trace", b"twice"))
    misplaced = record(what, elsewhere(what), headers=headers)
    conclusion = concluded(misplaced)
    (forward,) = conclusion.forwards
    assert conclusion.entries == ()
    assert conclusion.results == Counter()
    assert forward.partition == home(what)
    assert forward.key == record_key(events.targets(what)[0])
    assert forward.value == misplaced.value
    published = b"%d-7-%d" % (elsewhere(what), NOW)
    assert forward.headers == (*headers, ("forwarded-from", published))


def test_a_forwarded_event_keeps_its_original_position_and_time():
    what = user_event()
    misplaced = record(what, elsewhere(what))
    (forward,) = concluded(misplaced).forwards
    (entry,) = concluded(arrived(forward)).entries
    assert (entry.source, entry.not_before) == (misplaced.at, NOW)


def test_a_denial_is_concluded_in_any_partition():
    """It needs no ledger, so it need not travel."""
    what = event(events.TokenRevoked, jti="x")
    conclusion = concluded(record(what, elsewhere(what)))
    assert conclusion.forwards == ()
    assert conclusion.entries[0].source.partition == elsewhere(what)


def test_an_event_in_binary_mode_is_forwarded_in_binary_mode():
    what = user_event()
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_type", what.type.encode()),
        ("ce_id", b"one"),
        ("ce_source", b"/idp"),
    )
    value = what.data.model_dump_json(exclude_none=True).encode()
    at = Position(elsewhere(what), 7, NOW)
    (forward,) = concluded(Record(at.partition, value, headers, at)).forwards
    assert forward.value == value
    assert concluded(arrived(forward)).results == Counter(accepted=1)


def test_a_bulk_event_is_split_by_its_users_partitions():
    """Each user is concluded on here or forwarded in one part; id and source stay."""
    what = record(BULK, 2)
    conclusion = concluded(what)
    here = [entry.target.id for entry in conclusion.entries]
    parts = {each.partition: events.decode(each.value) for each in conclusion.forwards}
    moved = [name for part in parts.values() for name in part.data.users]
    assert here
    assert len(parts) == PARTITIONS - 1
    assert sorted(here + moved) == sorted(NAMES)
    assert {part.id for part in parts.values()} == {BULK.id}
    assert {part.source for part in parts.values()} == {BULK.source}
    assert conclusion.results == Counter(accepted=len(here))


def test_each_part_of_a_bulk_event_is_at_home():
    for forward in concluded(record(BULK, 2)).forwards:
        part = events.decode(forward.value, forward.headers)
        keys = [record_key(target) for target in events.targets(part)]
        assert forward.key == keys[0]
        assert {partition_of(key, PARTITIONS) for key in keys} == {forward.partition}


def test_a_bulk_event_in_binary_mode_is_forwarded_in_structured_mode():
    """The new value is a whole CloudEvent, so contradicting headers must go."""
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_type", BULK.type.encode()),
        ("ce_id", b"bulk"),
        ("ce_source", b"/idp"),
        ("content-type", b"application/json"),
    )
    value = BULK.data.model_dump_json(exclude_none=True).encode()
    at = Position(2, 7, NOW)
    conclusion = concluded(Record(2, value, headers, at))
    assert conclusion.forwards
    for forward in conclusion.forwards:
        part = events.decode(forward.value, forward.headers)
        assert (part.id, part.source, part.type) == ("bulk", "/idp", BULK.type)


def test_a_fully_misplaced_bulk_event_concludes_nothing():
    alice = event(events.UsersRevoked, users=["alice"])
    conclusion = concluded(record(alice, elsewhere(alice)))
    assert conclusion.entries == ()
    assert [each.partition for each in conclusion.forwards] == [home(alice)]


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
    (entry,) = retried.entries
    assert (entry.version, entry.source.offset, entry.applied(home(said))) == (1, 7, 9)
    assert retried.results == Counter(duplicate=1)


def test_a_retried_bulk_event_bumps_only_new_users():
    conclusion = concluded(record(BULK, 2, offset=7))
    known = conclusion.entries[:2]
    again = concluded(record(BULK, 2, offset=9), known=known)
    assert [entry.version for entry in again.entries] == [1] * len(again.entries)
    assert [entry.source for entry in again.entries[:2]] == [
        entry.source for entry in known
    ]
    assert again.results == Counter(duplicate=2, accepted=len(again.entries) - 2)


def test_an_event_that_is_too_late_is_counted_and_changes_nothing():
    deleted = concluded(record(user_event(events.DataDeleted)))
    late = record(user_event(events.UserEnabled), offset=9)
    conclusion = concluded(late, known=deleted.entries)
    assert conclusion.entries == deleted.entries
    assert conclusion.results == Counter(superseded=1)


def test_an_implausible_time_is_counted():
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
def test_a_record_for_the_dead_letters_is_raised(value, error):
    with pytest.raises(error):
        concluded(Record(0, value, (), Position(0, 7, NOW)))


# Origins of events --------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        b"1-%d-3" % 2**53,
        b"1-2-%d" % 10**30,
        b"1-2-" + b"9" * 5_000,
        None,
        b"",
        b"1-2",
        b"1-2-3-4",
        b"1--3",
        b"a-2-3",
        b"0-2-3",
        "\u0661-2-3".encode(),
    ],
)
def test_a_forwarded_record_needs_a_valid_origin(header):
    """From another partition: no authority forwards to a record's own partition."""
    with pytest.raises(MalformedForwardedError, match="only authorities may write"):
        origin([("forwarded-from", header)], 0)
    with pytest.raises(MalformedForwardedError):
        origin([("another", b"1-2-3")], 0)


def test_a_forwarded_record_concerns_its_own_partition_only():
    at = Position(elsewhere(BULK), 7, NOW)
    with pytest.raises(MalformedForwardedError, match="another partition"):
        concluded(Record(home(BULK), events.encode(BULK), (), at))


@pytest.mark.parametrize("partition", range(PARTITIONS))
def test_a_producer_cannot_set_the_origin_of_its_event(partition):
    """Neither in its own partition nor after forwarding."""
    what = user_event()
    claim = b"%d-%d-%d" % (elsewhere(what), 10**9, NOW - 1)
    forged = record(what, partition, headers=[("forwarded-from", claim)])
    conclusion = concluded(forged)
    for forward in conclusion.forwards:
        conclusion = concluded(arrived(forward))
    (entry,) = conclusion.entries
    assert entry.source == forged.at
    assert (entry.seen, entry.not_before) == ((), NOW)


# Claims -------------------------------------------------------------------------------

DEVICE = event(events.ClaimsRevoked, claims={"device_id": "d-1"})


def test_an_event_about_a_claim_set_leads_to_its_entry():
    (entry,) = concluded(record(DEVICE), sets=[("device_id",)]).entries
    assert (entry.target,) == events.targets(DEVICE)
    assert entry.not_before == NOW


@pytest.mark.parametrize("sets", [(), [("azp",)], [("azp", "device_id")]])
@pytest.mark.parametrize("away", [0, 1])
def test_an_event_about_an_unknown_claim_set_is_parked(sets, away):
    """It would never be enforced, and its sender must learn that."""
    lies = (home(DEVICE) + away) % PARTITIONS
    with pytest.raises(ClaimsNotRevocableError) as refused:
        concluded(record(DEVICE, lies), sets=sets)
    assert refused.value.code == "claims_not_revocable"
    assert "d-1" not in str(refused.value)
