"""The replica as a data structure; `stations/test_feed.py` keeps one."""

import pytest

from revocation.claims.claims import Token, read_token
from revocation.decision import Freshness
from revocation.entries import DENYLIST_KINDS, Entry, Kind, Position, Status, Target
from revocation.store import canary
from revocation.store.layout import encode_value, name
from revocation.verifier.replica import Replica
from tests.unit.strategies import CLAIMS, ISSUER, NOW, RULES
from tests.unit.verdicts import IDS

PEPPER, OLD_PEPPER = b"p" * 32, b"q" * 32
HOUR = 3_600_000
HERE = Position(3, 7, NOW - 60_000)


def token(claims=CLAIMS, **asked) -> Token:
    asked = {"kid": "k1", "resources": ["dataset:42"], **asked}
    read = read_token(claims, RULES, **asked)
    assert isinstance(read, Token)
    return read


def about(kind, *, expires_at=None, name=None, **state):
    until = NOW + HOUR if expires_at is None else expires_at
    state = {"expires_at": until} if kind in DENYLIST_KINDS else state
    return Entry(Target(kind, ISSUER, name or IDS[kind]), HERE, **state)


def told(entry, until=None, pepper=PEPPER):
    expires_at = until if until is not None else entry.expires_at or -1
    return {name(entry.target, pepper): b"%d %b" % (expires_at, encode_value(entry))}


def holding(*entries, peppers=(PEPPER,)):
    replica = Replica(peppers)
    for entry in entries:
        replica.put(told(entry))
    return replica


def found(replica, now=NOW, **asked):
    return set(replica.find(token(**asked), now)[0])


@pytest.mark.parametrize("kind", Kind)
def test_an_entry_of_each_kind_is_found(kind):
    entry = about(kind)
    replica = holding(entry)
    assert found(replica) == {entry.target}
    assert replica.holds(entry.target)
    assert not replica.holds(entry.target._replace(id="other"))


def test_about_claims_that_cannot_be_checked_nothing_is_found():
    replica = holding(about(Kind.USER))
    assert replica.find("the `sub` claim is missing", NOW) == ({}, replica.freshness)


def test_a_token_without_a_tenant_is_not_looked_up_there():
    claims = {name: value for name, value in CLAIMS.items() if name != "tenant"}
    replica = holding(about(Kind.TENANT), about(Kind.USER))
    (target,) = replica.find(token(claims), NOW)[0]
    assert target.kind is Kind.USER


@pytest.mark.parametrize("kind", Kind)
def test_an_entry_about_another_is_not_found(kind):
    assert not found(holding(about(kind, name="other:1")))
    elsewhere = about(kind)
    target = elsewhere.target._replace(issuer="https://idp.example/us")
    assert not found(holding(Entry(target, HERE, expires_at=NOW + HOUR)))


def test_all_that_is_about_a_token_is_found_together():
    entries = [about(kind) for kind in Kind]
    assert found(holding(*entries)) == {entry.target for entry in entries}


def test_a_lookup_returns_all_that_was_applied():
    entry = about(
        Kind.USER,
        version=4,
        not_before=NOW - 1,
        status=Status.DISABLED,
        status_time=7,
    )
    assert holding(entry).find(token(), NOW)[0] == {entry.target: entry}


def test_both_of_two_clients_are_looked_up():
    claims = {**CLAIMS, "client_id": "shop", "azp": "bank"}
    for client in ("shop", "bank"):
        entry = about(Kind.CLIENT, name=client)
        assert found(holding(entry), claims=claims) == {entry.target}


def test_a_later_entry_replaces_an_earlier_one():
    early, late = about(Kind.USER, version=1), about(Kind.USER, version=2)
    replica = holding(early, late)
    assert replica.find(token(), NOW)[0][late.target].version == 2
    assert len(replica) == 1


def test_both_peppers_are_looked_up_and_merged():
    old, new = about(Kind.USER, version=5), about(Kind.USER, not_before=NOW)
    replica = Replica((PEPPER, OLD_PEPPER))
    replica.put({**told(new), **told(old, pepper=OLD_PEPPER)})
    merged = replica.find(token(), NOW)[0][old.target]
    assert (merged.version, merged.not_before) == (5, NOW)
    assert replica.holds(old.target)


# Expiry -------------------------------------------------------------------------------


def test_what_has_expired_is_not_found_though_it_is_there():
    replica = holding(about(Kind.TOKEN, expires_at=NOW + 5))
    assert found(replica, NOW + 4)
    assert not found(replica, NOW + 5)
    assert len(replica) == 1


def test_what_stands_for_ever_stays():
    replica = holding(about(Kind.KEY))
    replica.expire(NOW + 10**12, limit=100)
    assert found(replica, NOW + 10**12)


def test_entries_go_once_their_hour_is_over():
    replica = holding(about(Kind.TOKEN, expires_at=NOW), about(Kind.USER))
    assert replica.expire(NOW, limit=100) == 0
    assert replica.expire(NOW + HOUR, limit=100) == 1
    assert len(replica) == 1


def test_entries_go_in_slices():
    replica = Replica((PEPPER,))
    for number in range(250):
        replica.put(told(about(Kind.TOKEN, name=f"t{number}", expires_at=NOW)))
    seen = [replica.expire(NOW + HOUR, limit=100) for _ in range(4)]
    assert seen == [100, 100, 50, 0]
    assert len(replica) == 0


@pytest.mark.parametrize("until", [NOW + 5 * HOUR, -1])
def test_an_entry_that_was_prolonged_stays(until):
    entry = about(Kind.USER)
    replica = Replica((PEPPER,))
    replica.put(told(entry, until=NOW))
    replica.put(told(entry, until=until))
    assert replica.expire(NOW + HOUR, limit=100) == 1
    assert found(replica, NOW + HOUR)
    replica.expire(NOW + 7 * HOUR, limit=100)
    assert len(replica) == (1 if until == -1 else 0)


def test_an_entry_applied_repeatedly_takes_no_more_room():
    entry = about(Kind.USER)
    replica = Replica((PEPPER,))
    for _ in range(1_000):
        replica.put(told(entry, until=NOW))
    assert replica.expire(NOW + HOUR, limit=10_000) == 1


# Freshness ----------------------------------------------------------------------------


def test_a_new_replica_is_not_ready():
    assert not Replica((PEPPER,)).freshness.ready


def test_the_watermark_never_goes_back():
    replica = Replica((PEPPER,))
    replica.advance(Freshness(ready=True, as_of=NOW))
    replica.advance(Freshness(ready=True, as_of=NOW - 1))
    assert replica.freshness == Freshness(ready=True, as_of=NOW)


# Canaries -----------------------------------------------------------------------------

EPOCH = "0af7651916cd43dd8448eb211c80319c"


def canaries(epoch=EPOCH, pepper=PEPPER):
    told_of = [told(entry, -1, pepper) for entry in canary.entries(epoch)]
    return {name: value for each in told_of for name, value in each.items()}


def test_the_canaries_of_the_epoch_are_found():
    replica = Replica((PEPPER,))
    assert not replica.finds_canary(EPOCH)
    replica.put(canaries())
    assert replica.finds_canary(EPOCH)
    assert not replica.finds_canary("another")


@pytest.mark.parametrize("kind", Kind)
def test_one_canary_that_is_missing_is_noticed(kind):
    every = canaries()
    del every[name(canary.TARGETS[kind], PEPPER)]
    replica = Replica((PEPPER,))
    replica.put(every)
    assert not replica.finds_canary(EPOCH)


@pytest.mark.parametrize(
    ("written", "read", "seen"),
    [
        (PEPPER, (PEPPER,), True),
        (PEPPER, (OLD_PEPPER, PEPPER), True),
        (PEPPER, (OLD_PEPPER,), False),
    ],
)
def test_canaries_are_found_under_the_pepper_that_is_written(written, read, seen):
    replica = Replica(read)
    replica.put(canaries(pepper=written))
    assert replica.finds_canary(EPOCH) is seen


def test_an_ended_canary_is_ignored():
    """As the feed tells of those under a pepper that is written no longer."""
    replica = Replica((PEPPER,))
    replica.put(canaries())
    replica.put({name: b"0 " + value[3:] for name, value in canaries().items()})
    assert not replica.finds_canary(EPOCH)


def test_canaries_are_no_entries_and_cost_checks_nothing():
    replica = Replica((PEPPER,))
    replica.put(canaries())
    assert len(replica) == 0
    assert not replica._used
    assert not replica._grants
    entry = about(Kind.GRANT)
    replica.put(told(entry))
    assert len(replica) == 1
    assert found(replica) == {entry.target}
