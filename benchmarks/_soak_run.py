"""One run of benchmarks/soak.py: asks, revokes, disturbs, and notes what is seen.

The asker is told of each change before it happens, and of when its promise is due once
that is known. What was applied while the sidecar could not see the store is due after
the store is back.
"""

import asyncio
import contextlib
import time
from math import inf
from typing import Final, NamedTuple

from _soak_asker import LoadReport
from _soak_asking import Asking
from _soak_questions import NEWS, REPORTS, WRITE, Questions, Revocable
from _soak_record import Event, Record, Second, quantile_ms
from _soak_system import REGION, Seen, System

from revocation.publisher import Publisher
from revocation.receipts import wait_applied

REVOCATIONS_PER_SECOND: Final = 3
MAX_WRONG: Final = 20
"""After as many there is no need to go on."""
LOSS: Final = "a record of the feed lost"
"""The event after which the sidecar loads everything anew."""
APPLIED_SECONDS: Final = 1.0
"""From a store that has applied a revocation to a sidecar that refuses."""
BACK_SECONDS: Final = 10.0
"""The same from a store that is back: readers try again after up to 5 s."""
GAP_SECONDS: Final = 10.0
"""The same for a record that was lost: everything is loaded anew. Until that is done
the sidecar knows nothing newer, and past their bound writes are refused."""
RULES_SECONDS: Final = 3.0
"""From a rules file that was written to its rules being in force."""
_OLDEST_SECONDS: Final = 1.0
"""How old knowledge may be while all is well: so much sooner it may be too old."""
_SLACK_SECONDS: Final = 0.5
_METRICS: Final = (
    *("revocation_replica_snapshots_total", "revocation_replica_entries"),
    *("revocation_feed_retries_total", "revocation_rules_reloads_total"),
)
"""What shows that all of it did happen."""
_LAST_REVOCATION_SECONDS: Final = 5
_SEEN_SECONDS: Final = 10
_LOOK_SECONDS: Final = 0.1
_APPLIED_TIMEOUT_SECONDS: Final = 60


class Pace(NamedTuple):
    """How long a run takes, its parts, and what is waited for; all in seconds.

    `hurries`: goes on as soon as a change was seen, and not only when it is due.
    `patience`: so many times as long as is promised a change may take.
    """

    seconds: float
    warm_up: float = 15
    outage: float = 10
    hurries: bool = False
    patience: float = 1


class Outcome(NamedTuple):
    """What came of a run. `took`: the longest that a change took to be seen, in s."""

    record: Record
    told: list[LoadReport]
    took: dict[str, float]
    revocations: dict[bool, list[float]]
    """From being published to being refused; whether the store was away meanwhile."""
    metrics: list[str]


class Run:
    """Ten minutes in the life of a sidecar."""

    def __init__(
        self, system: System, asking: Asking, questions: Questions, pace: Pace
    ) -> None:
        """Prepare."""
        self._system = system
        self._asking = asking
        self._questions = questions
        self._gaps = list(questions.in_gaps)
        self._pace = pace
        self._begin = 0.0
        self._told: list[LoadReport] = []
        self._noted: list[Second] = []
        self._events: list[Event] = []
        self._took: dict[str, float] = {}
        # When each revocation that was applied is due; those that wait for the store to
        # be back, and those that ever did.
        self._due: dict[str, float] = {}
        self._away = False
        self._back_due = -inf
        self._held: set[str] = set()
        self._delayed: set[str] = set()

    async def run(self, rate: float) -> Outcome:
        """Warm up, and then run for as long as was said, or until much is wrong."""
        noting = asyncio.create_task(self._note())
        await asyncio.wait({noting}, timeout=self._pace.warm_up)
        if not noting.done():
            await self._act(noting)
        if noting.done():
            noting.result()
            if not self._told or not self._told[-1].wrong:
                raise SystemExit("the asker's process ended; why stands above")
        took = await self._asking.took()
        self._asking.end()
        await noting
        revocations: dict[bool, list[float]] = {False: [], True: []}
        for name in self._due:
            if name in took:
                revocations[name in self._delayed].append(took[name])
        return Outcome(
            Record(rate, self._noted, self._events),
            self._told,
            self._took,
            revocations,
            await self._system.metrics(*_METRICS),
        )

    async def _act(self, noting: asyncio.Task[None]) -> None:
        """Do all that is to be done, for as long as all is noted."""
        self._asking.begin()
        self._begin = time.monotonic()
        async with Publisher() as publisher:
            work = asyncio.gather(
                *(self._revoke_all(publisher), self._disturb()),
                asyncio.sleep(self._pace.seconds),
            )
            await asyncio.wait({work, noting}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    # Noting --------------------------------------------------------------------------

    async def _note(self) -> None:
        """Note each second, until the asker ends or much is wrong."""
        before, at = await self._system.look(), time.monotonic()
        while (told := await self._asking.told.get()) is not None:
            if told.at == 1:
                self._told.clear()
                self._noted.clear()
            seen, now = await self._system.look(), time.monotonic()
            self._told.append(told)
            second = _second(told, before, seen, now - at)
            if told.at <= self._pace.seconds:
                self._noted.append(second)
            if told.at % 10 == 0:
                print(_line(second, told), flush=True)
            before, at = seen, now
            if told.wrong >= MAX_WRONG:
                return

    # Revoking ------------------------------------------------------------------------

    async def _revoke_all(self, publisher: Publisher) -> None:
        last = self._begin + self._pace.seconds - _LAST_REVOCATION_SECONDS
        async with asyncio.TaskGroup() as group:
            for number, each in enumerate(self._questions.revocable):
                due = self._begin + number / REVOCATIONS_PER_SECOND
                if due > last:
                    break
                await asyncio.sleep(due - time.monotonic())
                group.create_task(self._revoke(publisher, each))

    async def _revoke(self, publisher: Publisher, each: Revocable) -> None:
        course = each.question.course
        await self._asking.turn(course, 401, time.monotonic())
        receipts = await publisher.publish(each.event)
        readers = {REGION: self._system.store}
        await wait_applied(receipts, readers, timeout_seconds=_APPLIED_TIMEOUT_SECONDS)
        due = time.monotonic() + APPLIED_SECONDS * self._pace.patience
        self._due[course] = max(due, self._back_due)
        if self._due[course] == self._back_due:
            self._delayed.add(course)
        if self._away:
            self._held.add(course)
        else:
            self._asking.close(course, self._due[course])

    def _leave(self) -> None:
        """Nothing is due while the sidecar cannot see the store."""
        self._away = True
        for course, due in self._due.items():
            if due > time.monotonic():
                self._held.add(course)
                self._asking.close(course, inf)

    def _return(self, due: float) -> None:
        self._away, self._back_due = False, due
        for course in self._held:
            self._asking.close(course, due)
        self._delayed |= self._held
        self._held.clear()

    # Disturbing ----------------------------------------------------------------------

    async def _disturb(self) -> None:
        plan = (
            (0.2, self._lose_store),
            (0.45, self._lose_record),
            (0.6, lambda: self._change_rules(changed=True)),
            (0.75, self._lose_record),
            (0.9, lambda: self._change_rules(changed=False)),
        )
        for part, act in plan:
            due = self._begin + part * self._pace.seconds
            await asyncio.sleep(due - time.monotonic())
            await act()

    async def _lose_store(self) -> None:
        asking, bound, since = self._asking, self._system.bound_s, time.monotonic()
        await asking.turn(WRITE, 503, since + bound - _OLDEST_SECONDS)
        self._leave()
        await asyncio.to_thread(self._system.kill_store)
        asking.close(WRITE, time.monotonic() + bound + _SLACK_SECONDS)
        await asyncio.sleep(self._pace.outage)
        await asking.turn(WRITE, 200, time.monotonic())
        await asyncio.to_thread(self._system.launch_store)
        back = time.monotonic()
        due = back + BACK_SECONDS * self._pace.patience
        asking.close(WRITE, due)
        self._return(due)
        self._tell("store killed, and back with its data", since, back)
        await self._note_took("writes pass again", BACK_SECONDS, WRITE)

    async def _lose_record(self) -> None:
        asking, since = self._asking, time.monotonic()
        revoked = self._gaps.pop()
        course = revoked.question.course
        await asking.turn(course, 401, since)
        self._leave()
        await self._system.lose(revoked)
        due = time.monotonic() + GAP_SECONDS * self._pace.patience
        asking.close(course, due)
        # Right only past the bound; passing is right all the time.
        await asking.turn(WRITE, 503, since + self._system.bound_s - _OLDEST_SECONDS)
        await asking.turn(WRITE, 200, since)
        asking.close(WRITE, due)
        self._return(due)
        self._tell(LOSS, since, since)
        await self._note_took("lost events are known", GAP_SECONDS, course)

    async def _change_rules(self, *, changed: bool) -> None:
        asking, since = self._asking, time.monotonic()
        await asking.turn(NEWS, 200 if changed else 401, since)
        await asking.turn(REPORTS, 403 if changed else 200, since)
        self._system.change_rules(changed=changed)
        due = time.monotonic() + RULES_SECONDS * self._pace.patience
        for course in (NEWS, REPORTS):
            asking.close(course, due)
        self._tell("rules changed" if changed else "rules back", since, since)
        await self._note_took("rules in force", RULES_SECONDS, NEWS, REPORTS)

    async def _note_took(self, what: str, due: float, *courses: str) -> None:
        if not self._pace.hurries:
            await asyncio.sleep(due)
        end, took = time.monotonic() + _SEEN_SECONDS, await self._asking.took()
        while not took.keys() >= {*courses} and time.monotonic() < end:
            await asyncio.sleep(_LOOK_SECONDS)
            took = await self._asking.took()
        # Unseen within its time: whoever asks later is told that it is wrong.
        seen = max(took.get(course, inf) for course in courses)
        self._took[what] = max(seen, self._took.get(what, 0.0))

    def _tell(self, name: str, since: float, until: float) -> None:
        event = Event(
            name, round(since - self._begin, 1), round(until - self._begin, 1)
        )
        self._events.append(event)
        print(f"{event.since:5.1f} s  {name}", flush=True)


def _second(told: LoadReport, before: Seen, seen: Seen, elapsed: float) -> Second:
    return Second(
        *(told.at, told.answers),
        *(quantile_ms(told.latencies, 0.5), quantile_ms(told.latencies, 0.99)),
        told.longest / 1e3,
        {str(status): count for status, count in sorted(told.statuses.items())},
        seen.memory_mb,
        round((seen.cpu_seconds - before.cpu_seconds) / elapsed, 3),
        seen.stale_s,
    )


def _line(second: Second, told: LoadReport) -> str:
    return (
        f"{second.at:5.0f} s  {second.answers:6,}/s  "
        f"p50 {second.p50:.2f}  p99 {second.p99:.2f}  max {second.longest:.1f} ms  "
        f"{second.memory_mb:.1f} MB  {second.cpu:.0%} of a core  "
        f"{second.stale_s:.2f} s old  {dict(second.statuses)}  wrong {told.wrong}  "
        f"lost {told.lost}"
    )
