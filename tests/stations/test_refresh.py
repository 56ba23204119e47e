"""Standing entries are refreshed evenly, once per period, for ever."""

import asyncio
import itertools
from collections import Counter, defaultdict

import pytest

from revocation.authority import reemission
from revocation.authority.reemission import Reemitter
from revocation.entries import Entry, Kind, Position, Status, Target
from tests.installation import eventually
from tests.unit.strategies import ISSUER, LIMITS, NOW

PARTITION = 3


def entry(name, *, kind=Kind.USER, version=1, status=Status.ACTIVE, age_ms=0):
    at = Position(PARTITION, 7, NOW - age_ms)
    target = Target(kind, ISSUER, str(name))
    return Entry(target, at, version=version, not_before=at.time, status=status)


class Walked:
    """A refresher, driven tick by tick, and the ticks at which it emits entries."""

    def __init__(self, ledger, ticks):
        self.ledger = ledger
        self.ticks = ticks
        self.now = 0
        self.emitted = defaultdict(list)
        self.start()

    def start(self):
        """Begin as a worker does, also after a restart."""
        self.refresher = Reemitter(
            self.ledger,
            self.note,
            period_seconds=self.ticks * reemission._TICK_SECONDS,
            limits=LIMITS,
        )
        self.refresher.log_time_ms = NOW

    async def note(self, partition, emitted):
        assert partition == PARTITION
        self.emitted[emitted.target.id].append(self.now)

    async def tick(self, times=1):
        for _ in range(times):
            self.now += 1
            await self.refresher._advance(PARTITION)

    def gaps(self, name, since=0):
        """Return how long the entry was not emitted, each time until now."""
        times = [since, *self.emitted[name], self.now]
        return [after - before for before, after in itertools.pairwise(times)]

    def per_tick(self):
        return Counter(itertools.chain(*self.emitted.values())).values()


@pytest.mark.parametrize("rows", [1, 2, 7, 30, 101])
@pytest.mark.parametrize("ticks", [1, 10, 30])
async def test_every_entry_once_per_period(ledger, rows, ticks):
    """At most a tick late, and equally many in each tick."""
    for name in range(rows):
        ledger.remember(PARTITION, entry(name))
    walked = Walked(ledger, ticks)
    await walked.tick(4 * ticks)

    assert len(walked.emitted) == rows
    for name, times in walked.emitted.items():
        assert max(walked.gaps(name)) <= ticks + 1
        assert 3 <= len(times) <= 5
    assert max(walked.per_tick()) - min(walked.per_tick()) <= 1


async def test_a_ledger_that_begins_empty(ledger):
    """Later entries are refreshed as well, without a restart."""
    walked = Walked(ledger, ticks=10)
    await walked.tick(25)
    ledger.remember(PARTITION, entry("late"))
    await walked.tick(11)
    assert walked.emitted["late"]


async def test_a_ledger_that_grows(ledger):
    """The pace adapts: a hundredfold ledger does not need a hundred periods."""
    ledger.remember(PARTITION, entry("000"))
    walked = Walked(ledger, ticks=20)
    await walked.tick(5)
    for name in range(1, 100):
        ledger.remember(PARTITION, entry(f"{name:03}"))
    born = walked.now
    await walked.tick(40)
    for name in range(1, 100):
        assert max(walked.gaps(f"{name:03}", since=born)) <= 21


async def test_a_worker_restarted_all_the_time(ledger):
    """A round continues where it stopped, so the last rows get their turn."""
    for name in range(30):
        ledger.remember(PARTITION, entry(name))
    walked = Walked(ledger, ticks=30)
    for _ in range(20):
        await walked.tick(3)
        walked.start()
    assert len(walked.emitted) == 30
    assert {len(times) for times in walked.emitted.values()} <= {2, 3}


async def test_a_worker_restarted_before_the_next_is_due(ledger):
    """Each time it advances by one entry, however often it restarts."""
    for name in range(3):
        ledger.remember(PARTITION, entry(name))
    walked = Walked(ledger, ticks=1_000)
    for _ in range(3):
        await walked.tick()
        walked.start()
    assert len(walked.emitted) == 3


@pytest.mark.parametrize(
    ("what", "kept"),
    [
        (entry("recent grant", kind=Kind.GRANT, version=0), True),
        (entry("old grant", kind=Kind.GRANT, version=0, age_ms=4_000_000), False),
        (entry("old data", kind=Kind.RESOURCE, version=0, age_ms=4_000_000), False),
        (entry("old, versionless", version=0, age_ms=4_000_000), False),
        (entry("old version", version=1, age_ms=4_000_000), True),
        (entry("k", kind=Kind.KEY, version=0, age_ms=10**9), True),
        (
            entry("off", version=0, age_ms=10**9, status=Status.DISABLED),
            True,
        ),
        (
            entry("gone", version=0, age_ms=10**9, status=Status.DELETED),
            True,
        ),
    ],
    ids=lambda value: value.target.id if isinstance(value, Entry) else "",
)
async def test_an_entry_that_no_valid_token_can_match_is_deleted(ledger, what, kept):
    """But never a version: the count would start again."""
    ledger.remember(PARTITION, what)
    walked = Walked(ledger, ticks=1)
    await walked.tick(2)
    assert (ledger.recall(PARTITION, what.target) is not None) == kept
    assert bool(walked.emitted[what.target.id]) == kept


async def test_no_entry_is_deleted_by_our_own_clock(ledger):
    """Only the brokers' time counts, and before the first record there is none."""
    old = entry("old", kind=Kind.GRANT, version=0, age_ms=10**9)
    ledger.remember(PARTITION, old)
    walked = Walked(ledger, ticks=1)
    walked.refresher.log_time_ms = 0
    await walked.tick(2)
    assert ledger.recall(PARTITION, old.target) == old


async def test_an_entry_that_changes_meanwhile_is_not_deleted(ledger):
    """An event may come between the look at an entry and its turn."""
    slow = entry("a", version=1)
    old = entry("b", version=0, age_ms=4_000_000)
    ledger.remember(PARTITION, slow)
    ledger.remember(PARTITION, old)
    renewed = entry("b", version=1)

    async def emit(*_):
        ledger.remember(PARTITION, renewed)

    refresher = Reemitter(ledger, emit, period_seconds=1, limits=LIMITS)
    refresher.log_time_ms = NOW
    await refresher._advance(PARTITION)
    assert ledger.recall(PARTITION, renewed.target) == renewed


async def test_partitions_of_other_workers_are_left_alone(ledger, monkeypatch):
    monkeypatch.setattr(reemission, "_TICK_SECONDS", 0.001)
    ledger.remember(PARTITION, entry("mine"))
    ledger.remember(PARTITION + 1, entry("somebody else's"))
    owned, walked = set(), Walked(ledger, ticks=2)
    running = asyncio.create_task(walked.refresher.run(lambda: owned))
    await asyncio.sleep(0.01)
    assert not walked.emitted
    owned.add(PARTITION)
    await eventually(lambda: len(walked.emitted["mine"]) >= 3, pause=0.001)
    running.cancel()
    assert [*walked.emitted] == ["mine"]
