"""Detects that a station makes no progress, whatever the cause, and ends it.

A station declares what must progress (`ProgressExpectation`); `StallWatch` finds what
has not, and `Watchdog` checks once a second, from a thread with an event loop of its
own, so that nothing that hangs in the station can hang the watchdog.

While Kafka or the store does not answer, nothing is expected of a station: restarting
it would not help.
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
"""EX_TEMPFAIL of sysexits.h: a restart may help."""

INTERVAL_SECONDS: Final = 1.0
FIRST_SECONDS: Final = 30.0
"""A starting station has much to load, and the machine may be busy."""

TASK_SECONDS: Final = 2.0
"""A task that has ended never resumes, but a successor may be about to start."""

STOP_SECONDS: Final = 25.0

_ABORT_DELAY_SECONDS: Final = 1.0
_LATE_SECONDS: Final = 2.0


class ProgressExpectation(NamedTuple):
    """Something that must progress: while it is `due`, `value` must change in time.

    `cause` is the metric's label; `detail` distinguishes those of the same cause.
    `seconds`: how long `value` may stay unchanged; `first_seconds`: before its first
    change, if that is longer.
    """

    cause: str
    value: object
    due: bool
    seconds: float
    detail: str = ""
    first_seconds: float = 0.0


class Stall(NamedTuple):
    """An expectation that was not met, and for how many seconds."""

    expectation: ProgressExpectation
    seconds: float

    def __str__(self) -> str:
        """Return a message for operators."""
        expectation = self.expectation
        named = f"{expectation.cause} {expectation.detail}".strip()
        return f"{named}: no progress for {self.seconds:.0f} s"


class _Progress:
    __slots__ = ("has_changed", "since", "value")

    def __init__(self, value: object, since: float) -> None:
        self.value = value
        self.since = since
        self.has_changed = False


class StallWatch:
    """Finds expectations that have not been met for too long. Pure: time is passed."""

    def __init__(self) -> None:
        """Prepare, without expectations."""
        self._progress: dict[tuple[str, str], _Progress] = {}

    def check(
        self, now: float, expectations: Iterable[ProgressExpectation]
    ) -> Stall | None:
        """Return the first stall, or None; `now` is in seconds of a monotonic clock."""
        before, self._progress = self._progress, {}
        stalls = []
        for each in expectations:
            key = each.cause, each.detail
            last = self._progress[key] = before.get(key) or _Progress(each.value, now)
            if last.value != each.value:
                last.value, last.since, last.has_changed = each.value, now, True
            if not each.due:
                last.since = now
            limit = each.seconds
            if not last.has_changed:
                limit = max(limit, each.first_seconds)
            if now - last.since >= limit:
                stalls.append(Stall(each, now - last.since))
        return stalls[0] if stalls else None

    def reset(self, now: float) -> None:
        """Restart every time limit: nothing could be expected until now."""
        for last in self._progress.values():
            last.since = now


async def _nothing() -> tuple[ProgressExpectation, ...]:
    return ()


class Watchdog:
    """Watches one station from a thread, until the process ends.

    `problem` describes a stall, for `/healthz`, and is empty without one. A second
    after a stall is found the process ends with exit code 75, unless it has passed.
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
            always: what is expected even while neither Kafka nor the store answers.
            if_answered: what is expected while both answer; returns None when they do
                not. Runs in the watchdog's own loop.
            confirm: whether Kafka accepts writes as well; called before a stall is
                reported.
        """
        self._always = always
        self._if_answered = if_answered
        self._confirm = confirm
        self._watches = (StallWatch(), StallWatch())
        self._reported_at: float | None = None
        self.problem = ""

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._main, name="watchdog", daemon=True).start()

    def _main(self) -> None:
        # asyncio's own loop, not uvloop's, so that it shares no fault with the station.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        while True:
            slept_at = time.monotonic()
            await asyncio.sleep(INTERVAL_SECONDS)
            late = time.monotonic() - slept_at - INTERVAL_SECONDS
            try:
                await self.check(paused=late > _LATE_SECONDS)
            except Exception:  # noqa: BLE001 - it must go on checking
                _log.exception("watchdog check failed")

    async def check(self, *, paused: bool = False) -> None:
        """Check once; `paused` if the whole process, or machine, stood still."""
        stall = self._check_always(paused=paused) or await self._check_if_answered(
            paused=paused
        )
        if stall is None:
            self.problem, self._reported_at = "", None
            return
        self.problem = str(stall)
        if self._reported_at is None:
            self._reported_at = time.monotonic()
            metrics.STALLS.labels(stall.expectation.cause).inc()
            _log.error("no progress", cause=self.problem)
        elif time.monotonic() - self._reported_at >= _ABORT_DELAY_SECONDS:
            abort_process(self.problem)

    def _check_always(self, *, paused: bool) -> Stall | None:
        watch = self._watches[0]
        now = time.monotonic()
        if paused:
            watch.reset(now)
        return watch.check(now, self._always())

    async def _check_if_answered(self, *, paused: bool) -> Stall | None:
        watch = self._watches[1]
        expectations = await self._if_answered()
        now = time.monotonic()
        if expectations is None or paused:
            watch.reset(now)
            return None
        stall = watch.check(now, expectations)
        is_new = stall is not None and self._reported_at is None
        if is_new and self._confirm is not None and not await self._confirm():
            watch.reset(time.monotonic())
            return None
        return stall


def abort_process(cause: str) -> None:
    """End the process at once: what hangs cannot be stopped in an orderly way."""
    _log.critical("exiting for a restart", cause=cause, code=EXIT_STALLED)
    os._exit(EXIT_STALLED)


def client_expectations(
    clients: Mapping[str, KafkaClient], *, seconds: float
) -> Iterator[ProgressExpectation]:
    """Expect the background tasks of aiokafka clients, given by name, to run."""
    for kind, client in clients.items():
        for name in ended_tasks(client):
            yield ProgressExpectation(
                "task", None, due=True, seconds=TASK_SECONDS, detail=f"{kind} {name}"
            )
        pending = metadata_wait(client)
        is_due = pending is not None
        yield ProgressExpectation("metadata", pending, is_due, seconds, kind)


def stopping(
    *, is_stopping: bool, seconds: float = STOP_SECONDS
) -> ProgressExpectation:
    """Expect a station that was told to stop to do so."""
    return ProgressExpectation("stop", None, is_stopping, seconds)
