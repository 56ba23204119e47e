"""Entries: the laws of `merge`, and what crosses the entries topic."""

import contextlib
import json
import re

import pytest
from hypothesis import assume, given, strategies as st

from revocation import entries
from revocation.entries import (
    ISSUER_PATTERN,
    RECENT_EVENTS,
    Entry,
    Kind,
    Position,
    Status,
    Target,
    Update,
    grant_id,
    merge,
)
from revocation.errors import MalformedUpdateError
from tests.unit.strategies import (
    ISSUER,
    NOW,
    entries as any_entry,
    entries_of_one_target,
    ids,
    json_values,
    targets,
    updates,
)

USER = Target(Kind.USER, ISSUER, "alice")
HERE = Position(3, 7, NOW)


@given(any_entry())
def test_merge_is_idempotent(entry):
    assert merge(entry, entry) == entry


@given(entries_of_one_target(2))
def test_merge_is_commutative(pair):
    one, other = pair
    assert merge(one, other) == merge(other, one)


@given(entries_of_one_target(3))
def test_merge_is_associative(three):
    one, two, three = three
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@given(entries_of_one_target(4), st.randoms())
def test_entries_merge_to_the_same_in_any_order_and_repetition(four, random):
    again = [*four, *four]
    random.shuffle(again)
    joined, shuffled = four[0], again[0]
    for entry in four:
        joined = merge(joined, entry)
    for entry in again:
        shuffled = merge(shuffled, entry)
    assert joined == shuffled


@given(entries_of_one_target(2))
def test_merge_lowers_nothing(pair):
    for entry in pair:
        merged = merge(*pair)
        assert merged.target == entry.target
        assert merged.source.offset >= entry.source.offset
        assert merged.version >= entry.version
        assert merged.not_before >= entry.not_before
        assert merged.expires_at >= entry.expires_at


@given(entries_of_one_target(2))
def test_merge_undoes_a_status_only_by_a_later_one(pair):
    one, other = pair
    merged = merge(one, other)
    if Status.DELETED in (one.status, other.status):
        assert merged.status is Status.DELETED
    elif one.status_offset > other.status_offset:
        assert merged.status is one.status


def test_of_two_statuses_set_at_one_place_the_more_severe_counts():
    disabled = Entry(USER, HERE, status=Status.DISABLED, status_offset=7)
    enabled = Entry(USER, HERE, status=Status.ACTIVE, status_offset=7)
    assert merge(enabled, disabled).status is Status.DISABLED


def test_merge_remembers_the_latest_events_of_both():
    events = [(offset, f"{offset:02}") for offset in range(12)]
    one = Entry(USER, HERE, recent=tuple(events[0:8]))
    other = Entry(USER, HERE, recent=tuple(events[4:12]))
    assert merge(one, other).recent == tuple(events[12 - RECENT_EVENTS :])


@pytest.mark.parametrize(
    ("kind", "status", "until"),
    [
        (Kind.TOKEN, Status.ACTIVE, 5),
        (Kind.SESSION, Status.ACTIVE, 5),
        (Kind.USER, Status.ACTIVE, NOW + 100),
        (Kind.GRANT, Status.ACTIVE, NOW + 100),
        (Kind.RESOURCE, Status.ACTIVE, NOW + 100),
        (Kind.USER, Status.DISABLED, None),
        (Kind.USER, Status.DELETED, None),
        (Kind.CLIENT, Status.ACTIVE, None),
        (Kind.TENANT, Status.ACTIVE, None),
        (Kind.ISSUER, Status.ACTIVE, None),
        (Kind.KEY, Status.ACTIVE, None),
    ],
)
def test_how_long_an_entry_matters(kind, status, until):
    entry = Entry(
        Target(kind, ISSUER, "id"), HERE, not_before=9, expires_at=5, status=status
    )
    assert entry.relevant_until(100) == until
    assert entry.standing is (until is None)


def test_a_cut_off_ahead_of_its_record_matters_that_much_longer():
    entry = Entry(USER, HERE, not_before=NOW + 5_000)
    assert entry.relevant_until(100) == NOW + 5_100


@given(targets(), targets())
def test_two_targets_never_share_a_key(one, other):
    assume(one != other)
    assert str(one) != str(other)


@given(ids, ids, ids, ids)
def test_two_grants_never_share_an_id(user, client, other_user, other_client):
    assume((user, client) != (other_user, other_client))
    assert grant_id(user, client) != grant_id(other_user, other_client)


@pytest.mark.parametrize(
    ("issuer", "nameable"),
    [
        ("https://idp.example/~a?b=%7C[1]{2}", True),
        ("idp", True),
        ("a|b", False),
        ("a b", False),
        ('a"b', False),
        ("a\\b", False),
        ("é", False),
        ("a\n", False),
        ("", False),
    ],
)
def test_which_issuers_can_be_named(issuer, nameable):
    assert (re.fullmatch(ISSUER_PATTERN, issuer) is not None) is nameable


def test_a_receipt_is_partition_and_offset():
    assert HERE.receipt == "3-7"


@given(any_entry())
def test_an_entry_survives_its_encoding(entry):
    assert entries.decode_entry(entries.encode_entry(entry)) == entry


@given(updates())
def test_an_update_survives_its_encoding(update):
    assert entries.decode_update(entries.encode_update(update), 3) == update


def test_a_pulse_concludes_nothing_but_when_and_where():
    pulse = Update(HERE)
    assert json.loads(entries.encode_update(pulse)) == {"offset": 7, "time": NOW}
    assert entries.decode_update(entries.encode_update(pulse), 3) == pulse


def test_defaults_are_left_out():
    assert json.loads(entries.encode_entry(Entry(USER, HERE, version=2))) == {
        "kind": "user",
        "issuer": ISSUER,
        "id": "alice",
        "source": [3, 7, NOW],
        "version": 2,
    }


def test_a_status_is_never_left_out():
    """Not even one that says nowhere where it was set, which no ledger writes."""
    entry = Entry(USER, HERE, status=Status.DELETED)
    assert entries.decode_entry(entries.encode_entry(entry)) == entry


def test_members_of_a_newer_authority_are_ignored():
    value = json.dumps({"offset": 7, "time": NOW, "colour": "blue"}).encode()
    assert entries.decode_update(value, 3) == Update(HERE)


WHOLE = {
    "kind": "user",
    "issuer": ISSUER,
    "id": "alice",
    "source": [3, 7, NOW],
    "version": 2,
    "not_before": NOW,
    "status": "disabled",
    "status_offset": 7,
    "recent": [[7, "aa"]],
}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "planet"},
        {"kind": ["user"]},
        {"issuer": 5},
        {"id": None},
        {"source": [3, 7]},
        {"source": [3, 7, 1.5]},
        {"source": [3, -1, NOW]},
        {"source": "abc"},
        {"version": True},
        {"version": -1},
        {"version": "2"},
        {"not_before": 1e400},
        {"expires_at": None},
        {"status": "away"},
        {"status_offset": 1.0},
        {"status_offset": -2},
        {"recent": [[7]]},
        {"recent": [["7", "aa"]]},
        {"recent": [[7, 8]]},
        {"recent": 5},
    ],
)
def test_what_no_authority_wrote_is_refused(change):
    entry = {**WHOLE, **change}
    with pytest.raises(MalformedUpdateError, match="only authorities may write"):
        entries.decode_entry(json.dumps(entry).encode())
    update = {"offset": 7, "time": NOW, "entries": [entry]}
    with pytest.raises(MalformedUpdateError):
        entries.decode_update(json.dumps(update).encode(), 3)


@pytest.mark.parametrize("missing", ["kind", "issuer", "id", "source"])
def test_an_entry_without_a_name_or_place_is_refused(missing):
    entry = {name: value for name, value in WHOLE.items() if name != missing}
    with pytest.raises(MalformedUpdateError, match=missing):
        entries.decode_entry(json.dumps(entry).encode())


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"{}",
        b'{"offset": 7}',
        b'{"offset": "7", "time": 1}',
        b'{"offset": true, "time": 1}',
        b'{"offset": -7, "time": 1}',
        b'{"offset": 7, "time": 1, "entries": 5}',
        b'{"offset": 7, "time": 1, "entries": ["a"]}',
        b'{"offset": 7, "time": 1, "rerouted": [[1]]}',
        b'{"offset": 7, "time": 1, "rerouted": [[1, "2"]]}',
        b'{"offset": 7, "time": 1, "rerouted": [[-1, 2]]}',
    ],
)
def test_a_record_that_is_no_update_is_refused(value):
    with pytest.raises(MalformedUpdateError):
        entries.decode_update(value, 3)


@given(st.binary(max_size=40))
def test_bytes_are_an_update_or_refused(value):
    with contextlib.suppress(MalformedUpdateError):
        entries.decode_update(value, 3)


@given(st.dictionaries(st.sampled_from(list(WHOLE)), json_values, max_size=4))
def test_a_damaged_entry_is_an_entry_or_refused(damage):
    value = json.dumps({**WHOLE, **damage}).encode()
    try:
        entry = entries.decode_entry(value)
    except MalformedUpdateError:
        return
    assert entries.decode_entry(entries.encode_entry(entry)) == entry
