"""Notices that a station makes no progress, whatever the cause, and ends it.

A station says what has to move on (`ProgressExpectation`); `StallWatch` tells what did
not, and `Watchdog` asks once a second, from a thread with an event loop of its own, so
that nothing that hangs in the station can hang it as well.

While Kafka or the store does not answer nothing is expected of a station: to start it
again would not help.
"""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import structlog

from revocation import metrics
from revocation.kafka.clients import KafkaClient, ended_tasks, metadata_wait

_log = structlog.get_logger()

EXIT_STALLED: Final = 75
"""EX_TEMPFAIL of sysexits.h: start me again."""

INTERVAL_SECONDS: Final = 1.0
FIRST_SECONDS: Final = 30.0
"""A station that starts has much to load, and others may keep the machine busy."""

TASK_SECONDS: Final = 2.0
"""A task that has ended stays so, but another may be about to take its place."""

STOP_SECONDS: Final = 25.0

_LAST_WORDS_SECONDS: Final = 1.0
_LATE_SECONDS: Final = 2.0


class ProgressExpectation(NamedTuple):
    """Something that must move on: as long as it is `due`, `value` changes in time.

    `cause` names it in the metric, `detail` tells it from others of the same cause.
    `seconds`: how long it may stay as it is, `first_seconds` if it has not moved yet.
    """

    cause: str
    value: object
    due: bool
    seconds: float
    detail: str = ""
    first_seconds: float = 0.0


class Stall(NamedTuple):
    """What did not move on, and for how many seconds."""

    expectation: ProgressExpectation
    seconds: float

    def __str__(self) -> str:
        """Say it to an operator."""
        expectation = self.expectation
        named = f"{expectation.cause} {expectation.detail}".strip()
        return f"{named}: no progress for {self.seconds:.0f} s"


class _Seen:
    __slots__ = ("has_moved", "since", "value")

    def __init__(self, value: object, since: float) -> None:
        self.value = value
        self.since = since
        self.has_moved = False


class StallWatch:
    """Tells which expectations have not been met for too long. Pure: time is given."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._seen: dict[tuple[str, str], _Seen] = {}

    def look(
        self, now: float, expectations: Iterable[ProgressExpectation]
    ) -> Stall | None:
        """Return one that stalls, or None; `now` is in seconds of any steady clock."""
        before, self._seen = self._seen, {}
        stalls = []
        for each in expectations:
            key = each.cause, each.detail
            seen = self._seen[key] = before.get(key) or _Seen(each.value, now)
            if seen.value != each.value:
                seen.value, seen.since, seen.has_moved = each.value, now, True
            if not each.due:
                seen.since = now
            limit = each.seconds
            if not seen.has_moved:
                limit = max(limit, each.first_seconds)
            if now - seen.since >= limit:
                stalls.append(Stall(each, now - seen.since))
        return stalls[0] if stalls else None

    def pardon(self, now: float) -> None:
        """Count from now on: nothing could be expected until now."""
        for seen in self._seen.values():
            seen.since = now


async def _nothing() -> tuple[ProgressExpectation, ...]:
    return ()


class Watchdog:
    """Watches one station from a thread, until the process ends.

    `complaint` says what is wrong, for `/healthz`; it is empty while nothing is. A
    second after the first complaint the process ends with exit code 75, unless what
    stalled has moved on.
    """

    def __init__(
        self,
        always: Callable[[], Iterable[ProgressExpectation]],
        if_answered: Callable[
            [], Awaitable[Iterable[ProgressExpectation] | None]
        ] = _nothing,
        *,
        confirm: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """Prepare.

        Args:
            always: what is expected even while nobody else answers.
            if_answered: what is expected while Kafka and the store answer; returns None
                when they do not. Runs in the watchdog's own loop.
            confirm: whether Kafka takes writes as well; asked before a complaint.
        """
        self._always = always
        self._if_answered = if_answered
        self._confirm = confirm
        self._watches = (StallWatch(), StallWatch())
        self._complained_at: float | None = None
        self.complaint = ""

    def start(self) -> None:
        """Watch from now on."""
        threading.Thread(target=self._main, name="watchdog", daemon=True).start()

    def _main(self) -> None:
        # asyncio's own loop, not uvloop's: no fault is shared with the station's.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        while True:
            slept_at = time.monotonic()
            await asyncio.sleep(INTERVAL_SECONDS)
            late = time.monotonic() - slept_at - INTERVAL_SECONDS
            try:
                await self.look(pardon=late > _LATE_SECONDS)
            except Exception:  # noqa: BLE001 - it must go on looking
                _log.exception("watchdog cannot look")

    async def look(self, *, pardon: bool = False) -> None:
        """Look once; `pardon` if the whole process, or machine, stood still."""
        stall = self._look_always(pardon=pardon) or await self._look_if_answered(
            pardon=pardon
        )
        if stall is None:
            self.complaint, self._complained_at = "", None
            return
        self.complaint = str(stall)
        if self._complained_at is None:
            self._complained_at = time.monotonic()
            metrics.STALLS.labels(stall.expectation.cause).inc()
            _log.error("no progress", cause=self.complaint)
        elif time.monotonic() - self._complained_at >= _LAST_WORDS_SECONDS:
            abort_process(self.complaint)

    def _look_always(self, *, pardon: bool) -> Stall | None:
        watch = self._watches[0]
        now = time.monotonic()
        if pardon:
            watch.pardon(now)
        return watch.look(now, self._always())

    async def _look_if_answered(self, *, pardon: bool) -> Stall | None:
        watch = self._watches[1]
        expectations = await self._if_answered()
        now = time.monotonic()
        if expectations is None or pardon:
            watch.pardon(now)
            return None
        stall = watch.look(now, expectations)
        is_new = stall is not None and self._complained_at is None
        if is_new and self._confirm is not None and not await self._confirm():
            watch.pardon(time.monotonic())
            return None
        return stall


def abort_process(complaint: str) -> None:
    """End the process at once: what hangs cannot be stopped in an orderly way."""
    _log.critical("ending, to be started again", cause=complaint, code=EXIT_STALLED)
    os._exit(EXIT_STALLED)


def client_expectations(
    clients: Mapping[str, KafkaClient], *, seconds: float
) -> Iterator[ProgressExpectation]:
    """Expect of aiokafka's clients, by name, that their background tasks go on."""
    for kind, client in clients.items():
        for name in ended_tasks(client):
            yield ProgressExpectation(
                "task", None, due=True, seconds=TASK_SECONDS, detail=f"{kind} {name}"
            )
        waited_for = metadata_wait(client)
        is_due = waited_for is not None
        yield ProgressExpectation("metadata", waited_for, is_due, seconds, kind)


def stopping(
    *, is_stopping: bool, seconds: float = STOP_SECONDS
) -> ProgressExpectation:
    """Expect that a station that is to stop does so."""
    return ProgressExpectation("stop", None, is_stopping, seconds)
