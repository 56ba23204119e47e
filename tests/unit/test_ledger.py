"""The ledger's rule: from events to entries; `guarantees/` has it with real servers."""

import itertools

import pytest
from hypothesis import given, strategies as st

from revocation import events, ledger
from revocation.entries import (
    DENYLIST_KINDS,
    RECENT_EVENTS,
    Entry,
    Kind,
    Position,
    Status,
    Target,
    merge,
)
from revocation.ledger import FUTURE_TOLERANCE_MS, Accepted, Duplicate, Superseded
from tests.unit.strategies import (
    ISSUER,
    LIMITS,
    NOW,
    USER_EVENTS,
    any_event,
    logs,
    moment,
    positions,
)

LONGEST, LONGEST_SESSION, LEEWAY = LIMITS
HERE = Position(3, 100, NOW)
ALICE = Target(Kind.USER, ISSUER, "alice")


def event(model, **data):
    return model.new(source="/idp", issuer=ISSUER, **data)


def user_event(model=events.UserLoggedOut, **data):
    return event(model, user="alice", **data)


def at(offset, time=NOW):
    return Position(3, offset, time)


def apply(current, what, where=HERE):
    (target,) = events.targets(what)
    return ledger.apply(current, what, target, where, LIMITS)


def after(*happened):
    """The entry after some events about one target, one record and ms after another."""
    entry = None
    for number, what in enumerate(happened):
        entry = apply(entry, what, at(number, NOW + number)).entry
    return entry


def read(log, table=None):
    """What an authority that reads a log holds, and the results it came to."""
    table, results = dict(table or {}), []
    for where, what in log:
        for target in events.targets(what):
            result = ledger.apply(table.get(target), what, target, where, LIMITS)
            results.append(result)
            if result.entry is not None and target.kind not in DENYLIST_KINDS:
                table[target] = result.entry
    return table, results


every_log = logs(types=[*events.EVENT_TYPES.values()])


# Laws -----------------------------------------------------------------------------


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


# What each type does ----------------------------------------------------------------

ACTIVE, DISABLED, DELETED = Status.ACTIVE, Status.DISABLED, Status.DELETED


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
    assert entry.status_offset == (HERE.offset if asked else -1)
    assert entry.recent == ((HERE.offset, ledger.fingerprint(what)),)
    assert entry.expires_at == 0


def test_every_type_has_an_effect():
    for model in events.EVENT_TYPES.values():
        known = model in ledger._EFFECTS
        broad = {events.ClientRevoked, events.TenantRevoked, events.IssuerRevoked}
        assert known or model in {events.DataDeleted, *broad}


def test_enabling_lifts_the_status_and_neither_version_nor_cut_off():
    entry = after(user_event(events.UserDisabled), user_event(events.UserEnabled))
    assert (entry.version, entry.not_before) == (1, NOW)
    assert (entry.status, entry.status_offset) == (ACTIVE, 1)


def test_a_user_can_be_disabled_once_more():
    disable, enable = events.UserDisabled, events.UserEnabled
    entry = after(user_event(disable), user_event(enable), user_event(disable))
    assert (entry.version, entry.not_before) == (2, NOW + 2)
    assert (entry.status, entry.status_offset) == (DISABLED, 2)


def test_deleted_is_for_ever():
    deleted = after(user_event(events.DataDeleted))
    assert apply(deleted, user_event(events.UserEnabled)) == Superseded(deleted)
    logged_out = apply(deleted, user_event()).entry
    assert (logged_out.version, logged_out.status) == (2, DELETED)
    disabled = apply(deleted, user_event(events.UserDisabled)).entry
    assert (disabled.status, disabled.status_offset) == (DELETED, 0)


def test_a_disabled_user_can_be_deleted():
    entry = after(user_event(events.UserDisabled), user_event(events.DataDeleted))
    assert (entry.status, entry.status_offset) == (DELETED, 1)


def test_a_broad_event_that_says_nothing_of_disabling_leaves_the_status():
    entry = after(
        event(events.ClientRevoked, client="shop", disable=True),
        event(events.ClientRevoked, client="shop"),
    )
    assert (entry.status, entry.status_offset) == (DISABLED, 0)
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


def test_a_record_at_an_older_offset_was_counted():
    entry = apply(None, user_event()).entry
    assert apply(entry, user_event(), at(99)) == Duplicate(entry)


def test_a_producers_retry_counts_once():
    logout = user_event()
    entry = apply(None, logout).entry
    assert apply(entry, logout, at(101)) == Duplicate(entry)


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


# Cut-offs -----------------------------------------------------------------------------

TIMED = [
    user_event,
    lambda **time: event(events.GrantRevoked, user="alice", client="shop", **time),
    lambda **time: event(events.ClientRevoked, client="shop", **time),
    lambda **time: event(events.UsersRevoked, users=["alice"], **time),
]


@pytest.mark.parametrize("make", TIMED)
@pytest.mark.parametrize(
    ("asked", "cut_off", "clamped"),
    [
        (NOW, NOW, False),
        (NOW - LONGEST, NOW - LONGEST, False),
        (NOW - LONGEST - 1, NOW, True),
        (NOW + FUTURE_TOLERANCE_MS, NOW + FUTURE_TOLERANCE_MS, False),
        (NOW + FUTURE_TOLERANCE_MS + 1, NOW, True),
        (NOW // 1_000, NOW, True),
    ],
)
def test_a_cut_off_is_the_producers_within_limits(make, asked, cut_off, clamped):
    result = apply(None, make(time=moment(asked)))
    assert (result.entry.not_before, result.clamped) == (cut_off, clamped)


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]
)
def test_no_time_is_too_far_away_to_be_clamped(time):
    logout = events.parse({**user_event().model_dump(exclude_none=True), "time": time})
    assert apply(None, logout).clamped


def test_a_fraction_of_a_millisecond_is_dropped():
    logout = user_event(time=moment(NOW).replace(microsecond=1_999))
    assert apply(None, logout).entry.not_before == NOW + 1


@pytest.mark.parametrize(
    "what",
    [
        user_event(events.UserDisabled, time=moment(NOW - 60_000)),
        user_event(events.DataDeleted, time=moment(NOW - 60_000)),
        event(events.DataDeleted, resource="a:b", time=moment(NOW - 60_000)),
        event(
            events.ClientRevoked, client="a", disable=True, time=moment(NOW - 60_000)
        ),
    ],
)
def test_no_token_from_before_the_record_survives_a_status_or_deletion(what):
    result = apply(None, what)
    assert (result.entry.not_before, result.clamped) == (NOW, False)


def test_a_cut_off_never_moves_back():
    entry = after(user_event(), user_event(time=moment(NOW - 60_000)))
    assert (entry.not_before, entry.version) == (NOW, 2)


# The denylist -------------------------------------------------------------------------

DENYING = [(events.TokenRevoked, "jti", LONGEST)]
DENYING += [(events.SessionEnded, "sid", LONGEST_SESSION)]


@pytest.mark.parametrize(("model", "name", "longest"), DENYING)
@pytest.mark.parametrize("seconds", [-60, 0, 1, 3_600, 3_665])
def test_a_token_is_denied_until_the_last_verifier_rejects_it(
    model, name, longest, seconds
):
    exp = NOW // 1000 + seconds
    result = apply(None, event(model, **{name: "x"}, exp=exp))
    assert result == Accepted(
        Entry(result.entry.target, HERE, expires_at=exp * 1000 + LEEWAY)
    )


@pytest.mark.parametrize(("model", "name", "longest"), DENYING)
@pytest.mark.parametrize("exp", [None, 2**33, 253_402_300_799])
def test_a_denial_lasts_no_longer_than_any_token_can(model, name, longest, exp):
    """An issuer's clock may be ahead by the leeway, a verifier's behind by it."""
    result = apply(None, event(model, **{name: "x"}, exp=exp))
    assert result.entry.expires_at == NOW + longest + 2 * LEEWAY
    assert not result.clamped


@pytest.mark.parametrize(("model", "name", "longest"), DENYING)
def test_what_expired_a_while_ago_needs_no_denial(model, name, longest):
    exp = (NOW - LEEWAY) // 1000
    assert apply(None, event(model, **{name: "x"}, exp=exp)) == Superseded(None)
    oldest = (NOW - longest) // 1000
    assert apply(None, event(model, **{name: "x"}, exp=oldest)) == Superseded(None)


@pytest.mark.parametrize(("model", "name", "longest"), DENYING)
@pytest.mark.parametrize("exp", [1, 3_600])
def test_an_expiry_older_than_any_token_is_not_believed(model, name, longest, exp):
    """A duration in place of a time must not lose the revocation."""
    result = apply(None, event(model, **{name: "x"}, exp=exp))
    assert result.entry.expires_at == NOW + longest + 2 * LEEWAY
    assert result.clamped


def test_a_denial_is_the_same_whatever_is_known():
    denied = event(events.TokenRevoked, jti="x")
    known = apply(None, denied).entry
    assert apply(known, denied) == apply(None, denied)


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
