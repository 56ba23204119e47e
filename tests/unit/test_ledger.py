"""The ledger's rule, event by event; `guarantees/` has it with real servers."""

from typing import Literal

import pytest

from revocation import events, ledger
from revocation.entries import RECENT_EVENTS, Entry, Status, with_seen
from revocation.ledger import Accepted, Duplicate, Superseded
from tests.unit.histories import ALICE, HERE, after, apply, at, event, read, user_event
from tests.unit.strategies import ISSUER, NOW

ACTIVE, DISABLED, DELETED = Status.ACTIVE, Status.DISABLED, Status.DELETED
DEVICE = {"device_id": "d-1"}


@pytest.mark.parametrize(
    ("what", "version", "not_before", "status"),
    [
        (user_event(events.UserLoggedOut), 1, NOW, ACTIVE),
        (user_event(events.UserCredentialsChanged), 1, NOW, ACTIVE),
        (user_event(events.UserDisabled), 1, NOW, DISABLED),
        (user_event(events.UserEnabled), 0, 0, ACTIVE),
        (user_event(events.DataDeleted), 1, NOW, DELETED),
        (event(events.UsersRevoked, users=["alice"]), 1, NOW, ACTIVE),
        (event(events.DataDeleted, resource="dataset:42"), 0, NOW, ACTIVE),
        (event(events.GrantRevoked, user="alice", client="shop"), 0, NOW, ACTIVE),
        (event(events.ClientRevoked, client="shop"), 0, NOW, ACTIVE),
        (event(events.ClientRevoked, client="shop", disable=True), 0, NOW, DISABLED),
        (event(events.ClientRevoked, client="shop", disable=False), 0, NOW, ACTIVE),
        (event(events.ClaimsRevoked, claims=DEVICE), 0, NOW, ACTIVE),
        (event(events.ClaimsRevoked, claims=DEVICE, disable=True), 0, NOW, DISABLED),
        (event(events.ClaimsRevoked, claims=DEVICE, disable=False), 0, NOW, ACTIVE),
        (event(events.TenantRevoked, tenant="acme"), 0, NOW, ACTIVE),
        (event(events.TenantRevoked, tenant="acme", disable=True), 0, NOW, DISABLED),
        (event(events.IssuerRevoked), 0, NOW, ACTIVE),
        (event(events.IssuerRevoked, disable=True), 0, NOW, DISABLED),
        (event(events.KeyRevoked, kid="k1"), 0, 0, DISABLED),
    ],
)
def test_what_an_event_does_to_a_target_never_heard_of(
    what, version, not_before, status
):
    result = apply(None, what)
    assert isinstance(result, Accepted)
    assert not result.clamped
    entry = result.entry
    assert (entry.version, entry.not_before, entry.status) == (
        version,
        not_before,
        status,
    )
    asked = ledger.effect_of(what).status is not None
    assert entry.status_time == (HERE.time if asked else 0)
    assert entry.recent == ((HERE.time, HERE.offset, ledger.fingerprint(what)),)
    assert entry.expires_at == 0


def test_an_event_type_without_an_effect_fails_at_import():
    class SomethingNew(events.CloudEvent):
        type: Literal["revocation.something.new"] = "revocation.something.new"

    ledger._require_effects(events.EVENT_TYPES.values())
    with pytest.raises(TypeError, match="SomethingNew"):
        ledger._require_effects([*events.EVENT_TYPES.values(), SomethingNew])


def test_enabling_lifts_the_status_and_neither_version_nor_cut_off():
    entry = after(user_event(events.UserDisabled), user_event(events.UserEnabled))
    assert (entry.version, entry.not_before) == (1, NOW)
    assert (entry.status, entry.status_time) == (ACTIVE, NOW + 1)


def test_a_user_can_be_disabled_once_more():
    disable, enable = events.UserDisabled, events.UserEnabled
    entry = after(user_event(disable), user_event(enable), user_event(disable))
    assert (entry.version, entry.not_before) == (2, NOW + 2)
    assert (entry.status, entry.status_time) == (DISABLED, NOW + 2)


def test_deleted_is_for_ever():
    deleted = after(user_event(events.DataDeleted))
    assert apply(deleted, user_event(events.UserEnabled)) == Superseded(deleted)
    logged_out = apply(deleted, user_event()).entry
    assert (logged_out.version, logged_out.status) == (2, DELETED)
    disabled = apply(deleted, user_event(events.UserDisabled)).entry
    assert (disabled.status, disabled.status_time) == (DELETED, NOW)


def test_a_disabled_user_can_be_deleted():
    entry = after(user_event(events.UserDisabled), user_event(events.DataDeleted))
    assert (entry.status, entry.status_time) == (DELETED, NOW + 1)


def test_a_broad_event_that_says_nothing_of_disabling_leaves_the_status():
    entry = after(
        event(events.ClientRevoked, client="shop", disable=True),
        event(events.ClientRevoked, client="shop"),
    )
    assert (entry.status, entry.status_time) == (DISABLED, NOW)
    assert entry.not_before == NOW + 1


def test_disable_false_enables_and_cuts():
    entry = after(
        event(events.ClientRevoked, client="shop", disable=True),
        event(events.ClientRevoked, client="shop", disable=False),
    )
    assert (entry.status, entry.not_before) == (ACTIVE, NOW + 1)


@pytest.mark.parametrize(
    ("known", "asked", "expected"),
    [(0, None, 1), (0, 1, 1), (0, 7, 7), (4, 7, 7), (7, 7, 8), (9, 7, 10)],
)
def test_a_producer_may_own_the_counter(known, asked, expected):
    current = Entry(ALICE, at(1), version=known)
    assert apply(current, user_event(version=asked)).entry.version == expected


@pytest.mark.parametrize(("known", "asked", "expected"), [(4, None, 4), (4, 7, 7)])
def test_enabling_takes_the_producers_counter_and_does_not_count(
    known, asked, expected
):
    current = Entry(ALICE, at(1), version=known)
    enabled = user_event(events.UserEnabled, version=asked)
    assert apply(current, enabled).entry.version == expected


def test_a_version_beside_a_resource_means_nothing():
    wiped = event(events.DataDeleted, resource="dataset:42", version=7)
    assert apply(None, wiped).entry.version == 0


def test_a_bulk_event_counts_once_for_a_user_named_twice():
    bulk = event(events.UsersRevoked, users=["alice", "bob", "alice"])
    table, results = read([(HERE, bulk)])
    assert [entry.version for entry in table.values()] == [1, 1]
    assert len(results) == 2


# The same event again -----------------------------------------------------------------


def test_a_record_at_the_same_offset_counts_once():
    logout = user_event()
    entry = apply(None, logout).entry
    assert apply(entry, logout) == Duplicate(entry)


def test_a_record_is_known_by_its_place_alone():
    """Whatever ids are remembered: an offset is read once for good."""
    entry = Entry(ALICE, HERE, version=1)
    assert apply(entry, user_event()) == Duplicate(entry)


def test_a_record_at_an_older_offset_was_counted():
    entry = apply(None, user_event()).entry
    assert apply(entry, user_event(), at(99)) == Duplicate(entry)


def test_a_producers_retry_counts_once():
    logout = user_event()
    entry = apply(None, logout).entry
    again = apply(entry, logout, at(101))
    assert again == Duplicate(with_seen(entry, at(101)))
    assert (again.entry.version, again.entry.source) == (1, HERE)


def test_a_retry_of_disabling_does_not_undo_the_enabling_between():
    disabled, enabled = user_event(events.UserDisabled), user_event(events.UserEnabled)
    assert after(disabled, enabled, disabled).status is ACTIVE


def test_a_retry_is_known_among_the_last_events_only():
    first, *others = [user_event() for _ in range(RECENT_EVENTS + 1)]
    recent, forgotten = others[:-1], others
    assert isinstance(apply(after(first, *recent), first), Duplicate)
    assert isinstance(apply(after(first, *forgotten), first), Accepted)
    assert len(after(first, *forgotten).recent) == RECENT_EVENTS


@pytest.mark.parametrize(
    "change",
    [{"source": "/another"}, {"id": "2"}, {"type": "revocation.user.disabled"}],
)
def test_another_source_id_or_type_makes_another_event(change):
    """CloudEvents: `source` and `id` name an event; two producers may count alike."""
    one = events.parse(
        {
            "specversion": "1.0",
            "id": "1",
            "source": "/idp",
            "type": "revocation.user.logged_out",
            "data": {"issuer": ISSUER, "user": "alice"},
        }
    )
    other = events.parse({**one.model_dump(exclude_none=True), **change})
    assert after(one, other).version == 2


def test_where_the_source_ends_matters_to_the_fingerprint():
    parts = [("ab", "c"), ("a", "bc")]
    logout = user_event()
    one, other = (
        logout.model_copy(update={"source": source, "id": name})
        for source, name in parts
    )
    assert ledger.fingerprint(one) != ledger.fingerprint(other)


def test_a_fingerprint_shows_no_id():
    logout = user_event().model_copy(update={"id": "alice@example.com"})
    assert "alice" not in ledger.fingerprint(logout)
    assert len(ledger.fingerprint(logout)) == 24
