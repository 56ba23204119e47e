"""Tasks that must run for as long as their owner does.

For code inside another application's process, which it must not end: where a station
exits and is restarted, here only the task is restarted.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from revocation import metrics

_log = structlog.get_logger()

_CHECK_SECONDS: Final = 1.0
_CANCEL_AGAIN_SECONDS: Final = 0.1


class Background:
    """A task that is restarted when it ends, or when it does not `beat` in time.

    An event-loop timer supervises it rather than a task, so the supervisor itself
    needs no supervision.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], Coroutine[Any, Any, None]],
        *,
        silent_seconds: float,
    ) -> None:
        """Prepare.

        Args:
            name: what it does; the cause in `revocation_stalls_total`.
            run: the coroutine function, which never returns; a hung run is cancelled
                and started again.
            silent_seconds: the longest time between two calls of `beat`.
        """
        self._name = name
        self._run = run
        self._silent_seconds = silent_seconds
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expected_at = 0.0
        self._is_hung = False

    def start(self) -> None:
        """Start the task in the running loop; may be called twice."""
        if self._timer is None:
            self._begin()

    async def stop(self) -> None:
        """Stop the task; may be called twice."""
        timer, self._timer = self._timer, None
        task, self._task = self._task, None
        if timer is not None:
            timer.cancel()
        if task is not None:
            await end_task(task)

    def beat(self, *, pause_seconds: float = 0.0) -> None:
        """Report progress; the task calls this before it pauses for at most this."""
        now = asyncio.get_running_loop().time()
        self._expected_at = now + pause_seconds + self._silent_seconds

    def _begin(self) -> None:
        self._is_hung = False
        self.beat()
        self._task = asyncio.create_task(self._run(), name=self._name)
        self._schedule_check()

    def _schedule_check(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_CHECK_SECONDS, self._check)

    def _check(self) -> None:
        task = self._task
        if task is not None and not task.done():
            if asyncio.get_running_loop().time() > self._expected_at:
                self._report("hung")
                task.cancel()
            self._schedule_check()
            return
        if task is not None:
            failed = not task.cancelled() and task.exception()
            self._report(repr(failed) if failed else "ended")
        self._begin()

    def _report(self, cause: str) -> None:
        if not self._is_hung:
            metrics.STALLS.labels(self._name).inc()
            _log.error("task restarted", task=self._name, cause=cause)
        self._is_hung = True


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended; its result and error are discarded."""
    while not task.done():
        # Repeatedly: a client that is about to answer may swallow a cancellation.
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_AGAIN_SECONDS)
