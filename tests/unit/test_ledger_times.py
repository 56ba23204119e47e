"""Cut-offs and denials: which of a producer's times the ledger accepts."""

import pytest

from revocation import events, ledger
from revocation.entries import NO_EXPIRY, Entry, Limits
from revocation.ledger import FUTURE_TOLERANCE_MS, Accepted
from tests.unit.histories import HERE, after, apply, event, user_event
from tests.unit.strategies import LIMITS, NOW, moment

MAX, MAX_SESSION, _ = LIMITS

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
        (NOW - MAX, NOW - MAX, False),
        (NOW - MAX - 1, NOW, True),
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

DENYING = [(events.TokenRevoked, "jti", MAX)]
DENYING += [(events.SessionEnded, "sid", MAX_SESSION)]


@pytest.mark.parametrize(("model", "name", "longest"), DENYING)
@pytest.mark.parametrize("seconds", [-3_600, -60, 0, 1, 3_600, 3_665, 10**8])
def test_a_denial_says_when_the_token_expires(model, name, longest, seconds):
    """However long ago: what is past is left out by whoever would store it."""
    exp = NOW // 1000 + seconds
    result = apply(None, event(model, **{name: "x"}, exp=exp))
    assert result == Accepted(
        Entry(result.entry.target, HERE, expires_at=exp * 1000), clamped=False
    )


@pytest.mark.parametrize(("model", "name", "longest"), DENYING)
def test_a_denial_without_expiry_is_open(model, name, longest):
    result = apply(None, event(model, **{name: "x"}))
    assert (result.entry.expires_at, result.clamped) == (NO_EXPIRY, False)


@pytest.mark.parametrize(("model", "name", "longest"), DENYING)
@pytest.mark.parametrize("exp", [1, 3_600, None])
def test_an_expiry_older_than_any_token_is_not_believed(model, name, longest, exp):
    """A duration in place of a time must not lose the revocation."""
    exp = (NOW - longest) // 1000 - 1 if exp is None else exp
    result = apply(None, event(model, **{name: "x"}, exp=exp))
    assert (result.entry.expires_at, result.clamped) == (NO_EXPIRY, True)


@pytest.mark.parametrize(("model", "name", "longest"), DENYING)
@pytest.mark.parametrize("exp", [None, -7_200, -60, 600, 7_200])
def test_lifetimes_that_are_too_short_here_end_no_denial_early(
    model, name, longest, exp
):
    """Regions decide by their own limits how long a denial lasts."""
    exp = None if exp is None else NOW // 1000 + exp
    denied = event(model, **{name: "x"}, exp=exp)
    (target,) = events.targets(denied)
    short = Limits(8_000, 8_000, leeway_ms=1_000)
    here, there = (
        ledger.apply(None, denied, target, HERE, limits).entry
        for limits in (short, LIMITS)
    )
    assert here.relevant_until(LIMITS) >= there.relevant_until(LIMITS)


@pytest.mark.parametrize("age_ms", [0, 5_000, 60_000, 3_000_000])
def test_lifetimes_that_are_too_short_here_cut_off_no_later_token(age_ms):
    logout = user_event(time=moment(NOW - age_ms))
    (target,) = events.targets(logout)
    short = Limits(8_000, 8_000, leeway_ms=1_000)
    entry = ledger.apply(None, logout, target, HERE, short).entry
    assert entry.not_before >= apply(None, logout).entry.not_before


def test_a_denial_is_the_same_whatever_is_known():
    denied = event(events.TokenRevoked, jti="x")
    known = apply(None, denied).entry
    assert apply(known, denied) == apply(None, denied)
