"""Which rejections are reported, and when."""

from hypothesis import given, strategies as st

from revocation.decision import Reason, Verdict
from revocation.entries import Entry, Kind, Position, Target
from revocation.verifier.reporting.rejection_sampling import Rejection, Sampler

NOW = 1_795_273_445_000
REPEAT_MS = 60_000


def rejection(name, at=NOW, route="read"):
    target = Target(Kind.USER, "https://idp.example/", name)
    entry = Entry(target, Position(3, 17, NOW - 9_000))
    verdict = Verdict(
        active=False,
        reason=Reason.USER_DISABLED,
        as_of=at - 300,
        staleness_ms=300,
        entry=entry,
    )
    return Rejection(target, verdict, route, at)


def sampler(*, repeat_ms=REPEAT_MS, per_second=100, targets=1_000):
    return Sampler(repeat_ms=repeat_ms, per_second=per_second, targets=targets)


def names(samples):
    return [sample.latest.target.id for sample in samples]


def test_the_first_use_is_reported_at_once():
    one = sampler()
    assert one.add(rejection("alice"))
    (sample,) = one.due(NOW)
    assert (sample.count, sample.first_seen) == (1, NOW)
    assert sample.latest == rejection("alice")
    assert [*one.due(NOW)] == []


def test_a_retrying_client_is_reported_once_per_period_with_a_count():
    one = sampler()
    told = []
    for at in range(NOW, NOW + 3 * REPEAT_MS, 100):
        one.add(rejection("alice", at))
        told += one.due(at)
    assert [sample.count for sample in told] == [1, 600, 600]
    assert told[1].first_seen == NOW + 100
    assert told[1].latest.at == NOW + REPEAT_MS


def test_a_count_is_reported_at_the_end_of_the_period_without_further_use():
    one = sampler()
    for _ in range(3):
        one.add(rejection("alice"))
        [*one.due(NOW)]
    assert [*one.due(NOW + REPEAT_MS - 1)] == []
    (sample,) = one.due(NOW + REPEAT_MS)
    assert sample.count == 2


def test_a_target_is_forgotten_when_it_is_not_used_any_more():
    one = sampler(targets=1)
    one.add(rejection("alice"))
    [*one.due(NOW)]
    assert not one.add(rejection("bob"))
    assert [*one.due(NOW + REPEAT_MS)] == []
    assert one.add(rejection("bob"))


def test_targets_do_not_wait_for_each_other():
    one = sampler()
    for name in ("alice", "bob"):
        one.add(rejection(name))
    assert names(one.due(NOW)) == ["alice", "bob"]


def test_reports_above_the_rate_are_delayed():
    one = sampler(per_second=10)
    for number in range(25):
        assert one.add(rejection(f"user-{number}"))
    assert len([*one.due(NOW)]) == 10
    assert len([*one.due(NOW + 500)]) == 5
    assert len([*one.due(NOW + 5_000)]) == 10


def test_what_waits_is_counted_together():
    one = sampler(per_second=1)
    one.add(rejection("alice"))
    one.add(rejection("bob"))
    one.add(rejection("bob", NOW + 5, "write"))
    assert names(one.due(NOW)) == ["alice"]
    (sample,) = one.due(NOW + 1_000)
    assert (sample.count, sample.first_seen) == (2, NOW)
    assert (sample.latest.at, sample.latest.route) == (NOW + 5, "write")


def test_a_first_use_goes_before_a_repeated_one():
    one = sampler(per_second=1)
    one.add(rejection("alice"))
    [*one.due(NOW)]
    one.add(rejection("alice"))
    one.add(rejection("bob"))
    assert names(one.due(NOW + REPEAT_MS)) == ["bob"]
    assert names(one.due(NOW + REPEAT_MS + 1_000)) == ["alice"]


def test_no_more_targets_are_remembered_than_there_is_room_for():
    one = sampler(targets=2)
    assert one.add(rejection("alice"))
    assert one.add(rejection("bob"))
    assert not one.add(rejection("carol"))
    assert one.add(rejection("bob"))
    assert one.forget() == 3
    assert one.forget() == 0


def test_reports_that_are_not_taken_stay():
    """The task that sends may be stopped between one and the next."""
    one = sampler()
    for name in ("alice", "bob", "carol"):
        one.add(rejection(name))
    due = one.due(NOW)
    assert next(due).latest.target.id == "alice"
    one.add(rejection("dave"))
    due.close()
    assert names(one.due(NOW)) == ["bob", "carol", "dave"]


def test_a_clock_that_is_set_back_silences_nobody():
    one = sampler()
    one.add(rejection("alice"))
    [*one.due(NOW)]
    one.add(rejection("alice"))
    assert names(one.due(NOW - 3_600_000)) == ["alice"]


STEPS = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.integers(-2_000, 30_000)), max_size=200
)


@given(STEPS, st.integers(1, 5), st.integers(1, 6))
def test_every_rejection_is_reported_refused_or_left_once(steps, per_second, targets):
    """And nobody's retries are told more often than once per period."""
    one = sampler(per_second=per_second, targets=targets)
    now = NOW
    refused = told = 0
    for name, passed in steps:
        now += passed
        refused += not one.add(rejection(name, now))
        samples = [*one.due(now)]
        assert len(samples) <= per_second
        told += sum(sample.count for sample in samples)
    assert told + refused + one.forget() == len(steps)


@given(STEPS)
def test_a_target_is_reported_at_most_once_per_period(steps):
    one = sampler()
    now, told_at = NOW, {}
    for name, passed in steps:
        now += abs(passed)
        one.add(rejection(name, now))
        for sample in one.due(now):
            target = sample.latest.target
            assert now - told_at.get(target, 0) >= REPEAT_MS
            told_at[target] = now
