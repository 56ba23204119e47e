"""Entries and the laws of `merge`; `test_updates.py` has their encoding."""

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given, strategies as st

from revocation.decision import Reason, Verdict
from revocation.entries import (
    ISSUER_PATTERN,
    NO_EXPIRY,
    RECENT_EVENTS,
    Entry,
    Kind,
    Position,
    Status,
    Target,
    grant_id,
    merge,
    with_seen,
)
from tests.unit.strategies import (
    ISSUER,
    LIMITS,
    NOW,
    SUBJECT_KINDS,
    entries as any_entry,
    entries_of_one_target,
    ids,
    targets,
)

USER = Target(Kind.USER, ISSUER, "alice")
HERE = Position(3, 7, NOW)
RELEVANCE = LIMITS.longest_token_ms + 2 * LIMITS.leeway_ms


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
        assert merged.version >= entry.version
        assert merged.not_before >= entry.not_before
        assert merged.expires_at >= entry.expires_at


@given(entries_of_one_target(2, SUBJECT_KINDS))
def test_merge_forgets_no_event_that_was_applied(pair):
    merged = merge(*pair)
    for entry in pair:
        assert merged.source.time >= entry.source.time
        for partition in range(2, 5):
            assert merged.applied(partition) >= entry.applied(partition)


@given(entries_of_one_target(2))
def test_merge_undoes_a_status_only_by_a_later_one(pair):
    one, other = pair
    merged = merge(one, other)
    if Status.DELETED in (one.status, other.status):
        assert merged.status is Status.DELETED
    elif one.status_time > other.status_time:
        assert merged.status is one.status


def test_of_two_statuses_set_at_one_time_the_more_severe_counts():
    disabled = Entry(USER, HERE, status=Status.DISABLED, status_time=7)
    enabled = Entry(USER, HERE, status=Status.ACTIVE, status_time=7)
    assert merge(enabled, disabled).status is Status.DISABLED


def test_merge_remembers_the_latest_events_of_both():
    events = [(NOW, offset, f"{-offset:02}") for offset in range(12)]
    one = Entry(USER, HERE, recent=tuple(events[0:8]))
    other = Entry(USER, HERE, recent=tuple(events[4:12]))
    assert merge(one, other).recent == tuple(events[12 - RECENT_EVENTS :])


def test_merge_remembers_how_far_each_partition_is_applied():
    one = Entry(USER, Position(3, 7, NOW), seen=((1, 5),))
    other = Entry(USER, Position(1, 4, NOW + 1), seen=((3, 9),))
    merged = merge(one, other)
    assert merged.source == Position(1, 4, NOW + 1)
    assert merged.seen == ((1, 5), (3, 9))
    assert [merged.applied(partition) for partition in (1, 2, 3)] == [5, -1, 9]


def test_seen_omits_the_offset_of_the_source():
    """So an entry whose events all come from one partition has nothing more to say."""
    one, other = Entry(USER, HERE), Entry(USER, HERE._replace(offset=9, time=NOW + 1))
    assert merge(one, other).seen == ()
    assert with_seen(one, HERE) == one
    assert with_seen(other, HERE) == other
    assert with_seen(one, other.source).seen == ((3, 9),)
    assert merge(with_seen(one, other.source), other).seen == ()


def test_the_latest_source_is_so_by_time():
    early, late = Position(3, 900, NOW), Position(1, 5, NOW + 1)
    merged = merge(Entry(USER, early), Entry(USER, late))
    assert merged.source == late


def test_of_one_partition_the_highest_offset_is_remembered_though_a_clock_goes_back():
    first, second = Position(3, 7, NOW), Position(3, 8, NOW - 50)
    merged = merge(Entry(USER, first), Entry(USER, second))
    assert (merged.source, merged.seen) == (first, ((3, 8),))


@pytest.mark.parametrize(
    ("kind", "status", "until"),
    [
        (Kind.USER, Status.ACTIVE, NOW + RELEVANCE),
        (Kind.GRANT, Status.ACTIVE, NOW + RELEVANCE),
        (Kind.RESOURCE, Status.ACTIVE, NOW + RELEVANCE),
        (Kind.CLAIMS, Status.ACTIVE, NOW + RELEVANCE),
        (Kind.CLAIMS, Status.DISABLED, None),
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
    assert entry.relevant_until(LIMITS) == until
    assert entry.standing is (until is None)


def test_a_cut_off_ahead_of_its_record_matters_that_much_longer():
    entry = Entry(USER, HERE, not_before=NOW + 5_000)
    assert entry.relevant_until(LIMITS) == NOW + 5_000 + RELEVANCE


@pytest.mark.parametrize(
    ("kind", "least", "longest"),
    [
        (Kind.TOKEN, 0, LIMITS.longest_token_ms),
        (Kind.SESSION, LIMITS.longest_token_ms, LIMITS.longest_session_ms),
    ],
)
def test_a_denial_matters_until_no_verifier_accepts_the_token(kind, least, longest):
    """Its own expiry counts, if it is none that is too far away to be accepted.

    That of a session does not, while tokens of it may live.
    """
    target, leeway = Target(kind, ISSUER, "id"), LIMITS.leeway_ms
    latest = NOW + longest + leeway
    earliest = NOW + least + leeway if least else 0
    for expires_at, accepted_until in (
        (5, max(5, earliest)),
        (NOW + 9, max(NOW + 9, earliest)),
        (latest, latest),
        (latest + 1, latest),
        (NO_EXPIRY, latest),
    ):
        entry = Entry(target, HERE, expires_at=expires_at)
        assert entry.relevant_until(LIMITS) == accepted_until + leeway


def test_a_denial_lasts_as_long_as_the_callers_limits():
    """Not of who wrote it: an entry in the log says when the token expires, no more."""
    denied = Entry(Target(Kind.TOKEN, ISSUER, "id"), HERE, expires_at=NO_EXPIRY)
    longer = LIMITS._replace(longest_token_ms=2 * LIMITS.longest_token_ms)
    more = denied.relevant_until(longer) - denied.relevant_until(LIMITS)
    assert more == LIMITS.longest_token_ms


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


# What logs and tracebacks show --------------------------------------------------------


def judged(entry):
    return Verdict(*(False, Reason.TOKEN_REVOKED, 0, 0, False, entry))


@given(any_entry())
def test_an_entry_that_is_printed_shows_no_id(entry):
    """Nor does what holds it; two targets are told apart all the same."""
    named = replace(entry, target=entry.target._replace(id="zaphod"))
    shown = f"{named!r} {judged(named)}"
    assert "zaphod" not in shown
    assert f"Target({entry.target.kind}, {entry.target.issuer}, #" in shown
    other = named.target._replace(id="ford")
    assert repr(other) != repr(named.target) == repr(named.target._replace())


def test_the_key_of_a_target_has_its_id():
    assert str(Target(Kind.USER, "idp", "zaphod")) == "idp|user|zaphod"
