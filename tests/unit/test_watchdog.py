"""Stalls. Sibling: connected/test_broken_stations.py, with real stations."""

import asyncio

import pytest

from revocation import metrics, watchdog as module
from revocation.watchdog import ProgressExpectation, StallWatch, Watchdog, stopping


def expect(value, *, due=True, seconds=10.0, detail="", first_seconds=0.0):
    return ProgressExpectation("entries", value, due, seconds, detail, first_seconds)


class Clock:
    """Checks once a second, from second 0."""

    def __init__(self):
        self.now = 0.0
        self.watch = StallWatch()

    def check(self, *expectations, times=1):
        for _ in range(times):
            stall = self.watch.check(self.now, expectations)
            self.now += 1
        return stall


def test_progress_is_no_stall():
    clock = Clock()
    assert not any(clock.check(expect(value)) for value in range(100))


def test_an_unchanged_value_stalls_after_its_time():
    clock = Clock()
    assert clock.check(expect(7), times=10) is None
    stall = clock.check(expect(7))
    assert stall.seconds == 10
    assert str(stall) == "entries: no progress for 10 s"


def test_a_value_that_is_not_due_may_stay_unchanged():
    clock = Clock()
    assert clock.check(expect(7, due=False), times=100) is None
    assert clock.check(expect(7), times=9) is None
    assert clock.check(expect(7)) is not None


def test_one_change_restarts_the_time_limit():
    clock = Clock()
    clock.check(expect(7), times=10)
    assert clock.check(expect(8), times=10) is None
    assert clock.check(expect(8)) is not None


def test_the_first_change_may_take_longer():
    clock = Clock()
    starting = expect(0, first_seconds=30.0)
    assert clock.check(starting, times=30) is None
    assert clock.check(starting) is not None
    assert clock.check(expect(1, first_seconds=30.0), times=10) is None
    assert clock.check(expect(1, first_seconds=30.0)) is not None


def test_an_outage_restarts_the_time_limits():
    """Whatever stood still before it and during it begins to count after it."""
    clock = Clock()
    clock.check(expect(7), times=9)
    clock.now += 100
    clock.watch.reset(clock.now)
    assert clock.check(expect(7), times=10) is None
    assert clock.check(expect(7)) is not None


def test_each_partition_is_judged_alone():
    clock = Clock()
    for value in range(10):
        clock.check(expect(value, detail="0"), expect(3, detail="1"))
    stall = clock.check(expect(11, detail="0"), expect(3, detail="1"))
    assert str(stall) == "entries 1: no progress for 10 s"


def test_an_expectation_that_returns_starts_anew():
    """As for a task that ended and was restarted."""
    clock = Clock()
    clock.check(expect(7), times=9)
    clock.check()
    assert clock.check(expect(7), times=10) is None


# The watchdog -------------------------------------------------------------------------


class Time:
    """Its module's clock."""

    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def time(monkeypatch):
    played = Time()
    monkeypatch.setattr(module, "time", played)
    return played


@pytest.fixture
def ended(monkeypatch):
    causes = []
    monkeypatch.setattr(module, "abort_process", causes.append)
    return causes


def counted():
    return metrics.STALLS.labels("entries")._value.get()


async def check(dog, time, times):
    for _ in range(times):
        await dog.check()
        time.now += 1


async def test_a_stall_is_reported_and_counted_before_the_process_ends(time, ended):
    async def answered():
        return [expect(7)]

    dog, before = Watchdog(list, answered), counted()
    await check(dog, time, 10)
    assert (dog.problem, counted()) == ("", before)
    await check(dog, time, 1)
    assert dog.problem == "entries: no progress for 10 s"
    assert counted() == before + 1
    assert ended == []
    await check(dog, time, 1)
    assert ended == ["entries: no progress for 11 s"]
    assert counted() == before + 1


async def test_progress_at_the_last_moment_prevents_the_end(time, ended):
    values = [7] * 11 + [8] * 5

    async def answered():
        return [expect(values.pop(0))]

    dog = Watchdog(list, answered)
    await check(dog, time, 11)
    assert dog.problem
    await check(dog, time, 5)
    assert dog.problem == ""
    assert ended == []


async def test_nothing_is_expected_while_kafka_or_the_store_is_down(time, ended):
    async def silence():
        return None

    dog = Watchdog(list, silence)
    await check(dog, time, 100)
    assert (dog.problem, ended) == ("", [])


async def test_nothing_is_expected_while_kafka_accepts_no_writes(time, ended):
    async def answered():
        return [expect(7)]

    async def refused():
        return False

    dog = Watchdog(list, answered, confirm=refused)
    await check(dog, time, 100)
    assert (dog.problem, ended) == ("", [])


async def test_a_paused_process_is_not_blamed(time, ended):
    async def answered():
        return [expect(7)]

    dog = Watchdog(list, answered)
    await check(dog, time, 9)
    time.now += 3_600
    await dog.check(paused=True)
    await check(dog, time, 9)
    assert (dog.problem, ended) == ("", [])


async def test_a_station_that_does_not_stop_is_ended_even_during_an_outage(time, ended):
    async def silence():
        return None

    dog = Watchdog(lambda: [stopping(is_stopping=True, seconds=25)], silence)
    await check(dog, time, 25)
    assert ended == []
    await check(dog, time, 2)
    assert ended == ["stop: no progress for 26 s"]


async def test_an_error_in_the_watchdog_does_not_end_it(monkeypatch):
    monkeypatch.setattr(module, "INTERVAL_SECONDS", 0.001)
    checks = asyncio.Semaphore(0)

    async def answered():
        checks.release()
        raise LookupError

    running = asyncio.create_task(Watchdog(list, answered)._run())
    for _ in range(3):
        await checks.acquire()
    running.cancel()
