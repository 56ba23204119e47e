"""When a failing fallback is skipped, and when it is called again."""

from revocation.verifier.fallback.fallback_source import Breaker


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def tripped():
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(4):
        breaker.failed()
        assert breaker.admits()
    breaker.failed()
    return breaker, clock


def test_failures_in_a_row_trip_it_and_others_do_not():
    breaker = Breaker(Clock())
    for _ in range(50):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.admits()
    assert not tripped()[0].admits()


def test_after_a_while_one_question_tries():
    breaker, clock = tripped()
    clock.now += 0.9
    assert not breaker.admits()
    clock.now += 2.2
    assert breaker.admits()
    assert not breaker.admits()


def test_one_success_opens_it_and_one_failure_does_not():
    breaker, clock = tripped()
    clock.now += 3.1
    assert breaker.admits()
    breaker.failed()
    assert not breaker.admits()
    clock.now += 3.1
    assert breaker.admits()
    breaker.succeeded()
    assert breaker.admits()
    assert breaker.admits()


def test_a_trial_that_never_ends_is_followed_by_another():
    breaker, clock = tripped()
    for _ in range(3):
        clock.now += 3.1
        assert breaker.admits()


def test_not_everybody_comes_back_at_once():
    pauses = set()
    for _ in range(20):
        breaker, clock = tripped()
        while not breaker.admits():
            clock.now += 0.01
        pauses.add(round(clock.now, 2))
    assert len(pauses) > 5
    assert 101 <= min(pauses) <= max(pauses) <= 103.02
