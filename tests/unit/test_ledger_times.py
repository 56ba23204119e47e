"""Cut-offs and denials: which of a producer's times the ledger believes."""

import pytest

from revocation import events
from revocation.entries import Entry
from revocation.ledger import FUTURE_TOLERANCE_MS, Accepted, Superseded
from tests.unit.histories import HERE, after, apply, event, user_event
from tests.unit.strategies import LIMITS, NOW, moment

LONGEST, LONGEST_SESSION, LEEWAY = LIMITS

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
